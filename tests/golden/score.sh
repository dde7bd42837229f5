# From a trace to a pruned set, to merged experts and to a precision per expert, and back into runs.
sample=$source/traces/samples/quickstart.safetensors
"$moesim" trace score "$sample" --keep 6 >keep.csv
"$moesim" trace score "$sample" --groups 6 >groups.csv
head -n 4 keep.csv groups.csv
printf 'layer,expert,error\n' >e1.csv
printf 'layer,expert,error\n' >e3.csv
for expert in 0 1 2 3 4 5 6 7; do
    echo "*,$expert,0.$((9 - expert))" >>e1.csv
    echo "*,$expert,0.0$((9 - expert))" >>e3.csv
done
"$moesim" trace bits "$sample" -w 1:e1.csv -w 2 -w 3:e3.csv --average 2 --each 2 >bits.csv
head -n 9 bits.csv
awk -F, 'NR > 1 { n[$3]++; sum += $3 } END { print n[1], n[2], n[3], sum / (NR - 1) }' bits.csv
"$moesim" trace transform "$sample" -s '{kind: mask, from: file, file: keep.csv}' -o pruned.safetensors
"$moesim" trace transform "$sample" -s '{kind: mask, keep: 6}' -o same.safetensors
"$moesim" trace transform "$sample" -s '{kind: remap, file: groups.csv}' -o merged.safetensors
cat >s.yaml <<END
name: what experts weigh
model: mixtral-8x7b
hardware: desktop-rtx4090
precision: {weights: bf16, experts: int4, kv: bf16}
routing: {trace: $sample}
workload: {requests: 3, prompt: 16, output: 16}
experts: {home: dram, cache: {capacity: 50%}}
sweep:
  routing.transform:
    - []
    - [{kind: mask, from: file, file: keep.csv}]
    - [{kind: remap, file: groups.csv}]
    - [{kind: precision, file: bits.csv}]
END
"$moesim" run --no-plot -o out.db s.yaml
rm -f ./*.csv ./*.safetensors s.yaml
