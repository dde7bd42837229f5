#!/bin/sh
# A trace that was pruned or merged beforehand gives what the same steps in the scenario give.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
sample=$source/traces/samples/quickstart.safetensors
mask='{kind: mask, keep: 4}' merge='{kind: remap, from: groups, groups: 3}'
expect 0 "written" "$moesim" trace transform "$sample" --step "$mask" -o mask.safetensors
expect 0 "written" "$moesim" trace transform "$sample" --step "$merge" -o merge.safetensors
expect 0 "absent  *128 of 256 experts" "$moesim" trace info mask.safetensors
# a choice of tokens and layers keeps what the layers lack
expect 0 "written" "$moesim" trace transform mask.safetensors \
    --step '{kind: slice, layers: 4}' -o slice.safetensors
expect 0 "absent  *16 of 32 experts" "$moesim" trace info slice.safetensors
cat >absent.yaml <<END
name: absent
model: mixtral-8x7b
hardware: desktop-rtx4090
precision: {experts: int4}
workload: {requests: 2}
experts: {home: dram, cache: {capacity: 60%, scope: layer}}
zip:
  label: [mask, mask before, merge, merge before]
  routing.trace: [$sample, mask.safetensors, $sample, merge.safetensors]
  routing.transform: [[$mask], [], [$merge], []]
END
expect 0 "4 runs" "$moesim" run absent.yaml
for label in mask merge; do
    for run in "$label" "$label before"; do
        sqlite3 absent.db "SELECT m.name, m.value FROM metric m JOIN parameter p ON p.run = m.run
            WHERE p.key = 'label' AND p.value = '$run' ORDER BY 1" >"$run.txt"
    done
    [ -s "$label.txt" ] && cmp "$label.txt" "$label before.txt" || failed=1
done
exit $failed
