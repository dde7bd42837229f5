#!/bin/sh
# What a step takes is for what there is to run; where there is no memory for it, that is said.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
needs python3
(ulimit -v 1000000 && exec "$moesim" --version) >/dev/null 2>&1 ||
    { echo "skipped: the program does not run in 1 GB of addresses"; exit 77; }
python3 -B "$source/tests/cli/checkpoint.py" wide num_experts=4096 num_experts_per_tok=16 \
    moe_intermediate_size=1 hidden_size=8 num_hidden_layers=2 max_position_embeddings=65536
python3 -c 'print("1 2 3\n" * 20000)' >many.txt
echo "1 2 3" >ids.txt
limited() { (ulimit -v 1000000 && exec "$moesim" capture -m wide --chunk 65536 -o x "$@"); }
expect 3 "^moesim: not enough memory: to record steps of 60000 rows wants 1.8 GiB" \
    limited -t many.txt --batch 20000 --logits --lookahead 0
expect 3 "^moesim: not enough memory: the routing of batches of 60000 rows wants 955.8 MiB" \
    limited -t many.txt --batch 20000 --lookahead 1
expect 0 "^x.safetensors written" limited -t ids.txt --logits
exit $failed
