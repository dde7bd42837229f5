#!/bin/sh
# Imports: the same bytes however much is held in memory; a full disk leaves nothing behind; what
# cannot be meant is said.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"

awk 'BEGIN { print "seq,pos,layer,experts,weights"
             for (s = 0; s < 20; s++) for (i = 0; i < 50; i++) for (l = 0; l < 3; l++) {
                 e = (s * 7 + i * 3 + l) % 40
                 print s "," i "," l "," e " " e + 1 (i % 9 ? " " e + 5 : "") ",0.5 0.25" (i % 9 ? " 0.25" : "")
             } }' >rows.csv
expect 0 "rows.safetensors written" "$moesim" trace import --force rows.csv -o rows.safetensors
for memory in 1B 1KiB 10KiB; do
    expect 0 "45 experts" "$moesim" trace import --force rows.csv -o spilled.safetensors --memory $memory
    cmp rows.safetensors spilled.safetensors || { echo "differs with --memory $memory"; failed=1; }
done

# Rows in any order are the same routing, found in another way.
{ head -n 1 rows.csv; tail -n +2 rows.csv | sort -t, -k3,3n -k1,1nr -k2,2n; } >scattered.csv
expect 0 "do not follow one another: gathered" "$moesim" trace import --force scattered.csv -o scattered.safetensors
"$moesim" trace info scattered.safetensors | sed -n 's/^balance/&/p' >scattered.txt
"$moesim" trace info rows.safetensors | sed -n 's/^balance/&/p' | cmp - scattered.txt || failed=1
mkfifo pipe
cat rows.csv >pipe &
expect 1 "pipe: error: can be read once only; --format says what it is" "$moesim" trace import --force pipe -o piped.safetensors
cat pipe >/dev/null
cat rows.csv >pipe &
expect 0 "read once only: all held in memory" "$moesim" trace import --force -f csv pipe -o piped.safetensors
cmp rows.safetensors piped.safetensors || { echo "differs through a pipe"; failed=1; }

# A disk that is full while columns spill.
mkdir small
( ulimit -f 8; exec "$moesim" trace import --force rows.csv -o small/full.safetensors --memory 1KiB ) >out 2>&1
[ $? -eq 3 ] && grep -q "small: cannot write a temporary file: " out || { cat out; failed=1; }
[ -z "$(ls -A small)" ] || { echo "left behind: $(ls -A small)"; failed=1; }
expect 3 "absent: cannot write a temporary file: No such" "$moesim" trace import --force rows.csv -o small/absent/x.safetensors --memory 1KiB

# Shards are one trace for whoever opens the index.
expect 0 "sharded.safetensors.index.json written, 7 shards beside it" "$moesim" trace import --force rows.csv -o sharded.safetensors --shard-size 8kB
expect 0 "tokens       1000" "$moesim" trace info sharded.safetensors.index.json
"$moesim" trace mrc rows.safetensors --slots 9 --csv >one.txt
"$moesim" trace mrc sharded.safetensors.index.json --slots 9 --csv | cmp - one.txt || failed=1
rm sharded-00003-of-00007.safetensors
expect 1 "shard sharded-00003-of-00007.safetensors is missing" "$moesim" trace info sharded.safetensors.index.json

expect 2 "'--shard-size' wants a size" "$moesim" trace import --force rows.csv -o x.safetensors --shard-size 0
expect 2 "'--memory' wants a size" "$moesim" trace import --force rows.csv -o x.safetensors --memory much
expect 1 "scattered.csv: error: format csv takes one input at a time" "$moesim" trace import --force rows.csv scattered.csv -o x.safetensors
echo "just words" >words
expect 1 "words: error: its content is no format that is known here" "$moesim" trace import --force words -o x.safetensors
exit $failed
