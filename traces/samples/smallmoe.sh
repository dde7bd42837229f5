#!/bin/sh
# The traces of the small model, bit for bit:
#
#   sh traces/samples/smallmoe.sh [MOESIM] [FOLDER]
#
# MOESIM is the program (build/release/moesim of this tree), FOLDER where the traces go
# (traces/samples/smallmoe). Each domain's prompts run one by one and decode 32 tokens; `mixed` has
# prompts of all domains, seven at a time, that decode 64 and look two layers ahead.
set -eu
samples=$(cd "$(dirname "$0")" && pwd)
model=$samples/../../profiler/smallmoe
moesim=${1:-$samples/../../build/release/moesim}
folder=${2:-$samples/smallmoe}
mkdir -p "$folder"

capture()
{
    name=$1
    shift
    "$moesim" capture --model "$model" --tokens "$model/prompts/$name.ids.jsonl" --exact \
        --ignore-end --licence Apache-2.0 --output "$folder/$name" "$@" >/dev/null
}

for domain in english docs python c french german spanish; do
    capture $domain --decode 32
done
capture mixed --decode 64 --batch 7 --lookahead 2
