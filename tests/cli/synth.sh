#!/bin/sh
# Synthesised traces: lengths that options leave out stay those of the description.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
printf '%s\n' 'layers: 2' 'experts: 4' 'sequences: 247' 'prompt: 100' 'output: 203' >x.yaml

# made WHAT OPTIONS...: what the command says it made, and what `trace info` finds.
made() {
    wanted=$1
    shift
    expect 0 "^$wanted\$" "$moesim" trace synth --force x.yaml "$@" -o x.safetensors
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
expect 2 "'--tokens' is less than '--sequences'" "$moesim" trace synth --force x.yaml \
    --sequences 5 --tokens 4 -o x.safetensors

# Ids in order of score can be cut, without weights; ids that are copies cannot.
printf '%s\n' 'layers: 2' 'experts: 4' 'stickiness: 0' 'affinity: 0' \
    'hidden: {components: [{lasts: 9, rank: 2}]}' >state.yaml
for name in state x; do
    "$moesim" trace synth --force $name.yaml --sequences 2 -o $name.safetensors >/dev/null
done
expect 0 "top.safetensors written" "$moesim" trace transform --force state.safetensors \
    --step '{kind: top-k, k: 1}' -o top.safetensors
expect 1 "experts in order of weight" "$moesim" trace transform --force x.safetensors \
    --step '{kind: top-k, k: 1}' -o top.safetensors
# A fit is told from what it was.
ln -s "$source/traces" traces
"$moesim" trace fit --force traces/samples/quickstart.safetensors --sequences 2..5 --rounds 1 \
    -o fitted.yaml >/dev/null
"$moesim" trace synth --force fitted.yaml -o fitted.safetensors >/dev/null
expect 0 "fitted to 3 of 16 sequences of traces/samples/quickstart.safetensors, seed 1" \
    "$moesim" trace info fitted.safetensors

# compare says what it compares; the halves of a trace whose sequences are pairs do not differ.
sample=$source/traces/samples/quickstart.safetensors
echo "3 7 8" >some.txt
expect 0 "^first: 4 of 16 sequences, 512 tokens; second: 3 of 16 sequences, 384 tokens$" \
    "$moesim" trace compare "$sample" "$sample" --sequences 0..4 --select-second some.txt
awk 'BEGIN { print "seq,pos,layer,experts"
             for (s = 0; s < 4; s++) for (i = 0; i < 30; i++)
                 print s "," i ",0," (int(s / 2) + int(i * i / 3)) % 5 }' >pairs.csv
"$moesim" trace import --force --format csv pairs.csv --experts 5 -o pairs.safetensors >/dev/null
"$moesim" trace compare pairs.safetensors pairs.safetensors --csv >all.csv
grep -q '^"coverage, decode",batch=4,.*,nan$' all.csv || { echo "no quotes"; cat all.csv; failed=1; }
# halves OPTIONS...: the different values of that column; nan where a half is too little.
halves() {
    "$moesim" trace compare pairs.safetensors pairs.safetensors --csv "$@" | tail -n +2 |
        sed 's/.*,//' | sort -u | tr '\n' ' '
}
[ "$(halves)" = "0.000000 nan " ] || { echo "halves of pairs: $(halves)"; failed=1; }
[ "$(halves --no-halves)" = "nan " ] || { echo "not left out: $(halves --no-halves)"; failed=1; }
[ "$(halves --sequences 1)" = "nan " ] || { echo "of one: $(halves --sequences 1)"; failed=1; }
apart=$(halves --sequences 1..3 | wc -w)
[ "$apart" -gt 2 ] || { echo "halves that differ: $(halves --sequences 1..3)"; failed=1; }
exit $failed
