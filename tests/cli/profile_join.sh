#!/bin/sh
# A profile and a routing trace of the same run, joined by step and layer.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
needs python3
join() { python3 -B "$source/tests/cli/profile_join.py" "$@" || failed=1; }
printf '{"ids": [1, 50, 60, 70, 80], "prompt": 5}\n{"ids": [1, 51, 61, 71], "prompt": 4}\n' >ids.jsonl
"$moesim" capture --model "$source/profiler/smallmoe" --tokens ids.jsonl -n 5 -b 2 -o run \
    >said 2>&1 || { cat said; failed=1; }
join make run.safetensors run.db
"$moesim" profile stats run.db --trace run.safetensors --only expert_rows --csv >rows.csv ||
    failed=1
join check run.safetensors rows.csv
# each expert takes 100 ns here
expect 0 "decode against distinct experts: 0.000 us +0.100 us each, which explains 100.0 %" \
    "$moesim" profile stats run.db --trace run.safetensors --only experts
expect 0 "nothing recorded for: experts" "$moesim" profile stats run.db --only experts
python3 -B "$source/tests/cli/profile_db.py" small small.db || failed=1
expect 1 "small.db: [0-9]* of the [0-9]* steps of run.safetensors are not in the profile" \
    "$moesim" profile stats small.db --trace run.safetensors
expect 3 "^moesim: absent.safetensors: " "$moesim" profile stats run.db --trace absent.safetensors
expect 1 "ids.jsonl" "$moesim" profile stats run.db --trace ids.jsonl
exit $failed
