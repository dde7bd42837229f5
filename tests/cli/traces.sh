#!/bin/sh
# Traces: the sample is made anew byte for byte, CSV comes in, misses are counted.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
sample=$source/traces/samples/quickstart.safetensors

expect 0 "sample.safetensors written" "$moesim" trace sample -o sample.safetensors
cmp sample.safetensors "$sample" || { echo "the sample differs"; failed=1; }
expect 0 "32" "$moesim" trace info sample.safetensors
head -c 5000 "$sample" >cut.safetensors
expect 1 "cut.safetensors" "$moesim" trace info cut.safetensors
expect 3 "absent.safetensors" "$moesim" trace info absent.safetensors
if [ -c /dev/full ]; then
    expect 3 "/dev/full" "$moesim" trace sample -o /dev/full
fi
# A description, too, is written into a device and not over it; on a node of our own.
if mknod full c 1 7 2>/dev/null && ! echo x >full 2>/dev/null; then
    expect 3 "full: cannot write: No space left" "$moesim" trace fit "$sample" --rounds 1 \
        --tokens 256 -o full
    [ -c full ] || { echo "the device was replaced"; failed=1; }
fi
rm -f full

# Three experts of four in turn, one at a time: with two slots LRU always misses.
awk 'BEGIN { print "seq,pos,layer,experts"
             for (s = 0; s < 2; s++) for (i = 0; i < 30; i++) print s "," i ",0," i % 3 }' >turn.csv
expect 0 "turn.safetensors written" "$moesim" trace import --format csv turn.csv --experts 4 \
    -o turn.safetensors
mrc="$moesim trace mrc turn.safetensors --csv"
line() {
    wanted=$1
    shift
    got=$("$@" 2>&1 | tail -n +2 | tr '\n' ' ')
    [ "$got" = "$wanted " ] || { echo "$got, not $wanted: $*"; failed=1; }
}
# shellcheck disable=SC2086
{
    [ "$($mrc --slots 2 | head -n 1)" = "evict,slots,accesses,misses" ] || failed=1
    line "lru,2,60,60 lru,3,60,3" $mrc --evict lru --slots 2,3
    line "lru,3,60,0" $mrc --evict lru --slots 3 --first-fill hit
    line "lru,3,30,3" $mrc --evict lru --slots 3 --sequences 1..2
    line "belady,2,60,31" $mrc --evict belady --slots 2
    line "lru,2,60,60 belady,2,60,31" $mrc --evict lru,belady --slots 2 --group token-layer -j 2
    expect 2 "did you mean 'lru'" $mrc --evict lur --slots 2
    expect 2 "\-\-slots: error: wants whole numbers from 1 on, not '0'" $mrc --slots 2,0
    expect 1 "the trace has sequences 0..2" $mrc --slots 2 --sequences 1..3
    expect 2 "wants A..B, not '1-2'" $mrc --slots 2 --sequences 1-2
}

printf 'seq,pos,layer,experts\n0,0,0,1 1\n0,x,0,2\n' >bad.csv
expect 1 "bad.csv:2:9: error: expert 1 twice" "$moesim" trace import bad.csv -o bad.safetensors
expect 1 "bad.csv:3:3: error: .*pos" "$moesim" trace import bad.csv -o bad.safetensors
[ -e bad.safetensors ] && { echo "bad.safetensors was made"; failed=1; }
expect 3 "absent.csv" "$moesim" trace import absent.csv -o bad.safetensors

# The order of ids, where a file does not have it from weights.
expect 0 "written" "$moesim" trace import turn.csv --by-weight -o ordered.safetensors
expect 0 "order  *weight" "$moesim" trace info ordered.safetensors
expect 0 "order  *file" "$moesim" trace info turn.safetensors
printf 'seq,pos,layer,experts,weights\n0,0,0,0 1,0.4 0.6\n' >weighted.csv
expect 1 "by-weight is for files without gate weights" "$moesim" trace import weighted.csv \
    --by-weight -o weighted.safetensors
[ -e weighted.safetensors ] && { echo "weighted.safetensors was made"; failed=1; }

# What changed a trace is said of the joined one, and of what is made from its description.
printf 'seq,pos,layer,experts,weights\n0,0,0,0 1,3e38 3e38\n0,1,0,1 2,1 1\n' >heavy.csv
printf 'seq,pos,layer,experts,weights\n0,0,0,0 1 2,1 1 1\n' >three.csv
expect 0 written "$moesim" trace import heavy.csv --experts 4 -o heavy.safetensors
expect 0 written "$moesim" trace import three.csv --experts 4 -o three.safetensors
expect 0 written "$moesim" trace transform heavy.safetensors -s '{kind: top-k, k: 1}' -o one.safetensors
expect 0 one "$moesim" trace info one.safetensors # its weights are finite
expect 0 "one.safetensors: top-1, its rows padded to 3 with no expert" \
    "$moesim" trace transform one.safetensors three.safetensors -o joined.safetensors
expect 0 "transform  *one.safetensors: .*top-k" "$moesim" trace info joined.safetensors
expect 0 "written" "$moesim" trace transform "$sample" -s '{kind: mask, keep: 4}' -o masked.safetensors
expect 0 "written" "$moesim" trace fit masked.safetensors --rounds 1 --tokens 256 -o masked.yaml
expect 0 "written" "$moesim" trace synth masked.yaml --tokens 64 --sequences 2 -o made.safetensors
expect 0 "counterfactual" "$moesim" trace info made.safetensors
expect 0 "transform  *.*mask" "$moesim" trace info made.safetensors
exit $failed
