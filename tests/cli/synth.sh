#!/bin/sh
# Synthesised traces: lengths that options leave out stay those of the description.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
printf '%s\n' 'layers: 2' 'experts: 4' 'sequences: 247' 'prompt: 100' 'output: 203' >x.yaml

# made WHAT OPTIONS...: what the command says it made, and what `trace info` finds.
made() {
    wanted=$1
    shift
    expect 0 "^$wanted\$" "$moesim" trace synth x.yaml "$@" -o x.safetensors
    tokens=${wanted% tokens in all} sequences=${wanted%% *}
    "$moesim" trace info x.safetensors >info
    for number in "${tokens##* }" "$sequences"; do
        grep -qw "$number" info || { echo "trace info without $number: $*"; failed=1; }
    done
}
made "247 sequences of 303 tokens, 100 of them prompt; 74841 tokens in all"
made "66 sequences of 303 or 304 tokens, 100 of them prompt; 20000 tokens in all" --tokens 20000
made "1 sequence of 40 tokens, 13 of them prompt; 40 tokens in all" --tokens 40
made "5 sequences of 303 tokens, 100 of them prompt; 1515 tokens in all" --sequences 5
made "5 sequences of 200 or 201 tokens, 66 of them prompt; 1003 tokens in all" \
    --sequences 5 --tokens 1003
exit $failed
