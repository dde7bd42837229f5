# Checkpoints that cannot be run: what is wrong with a folder comes at once, and nothing is written.
command -v python3 >/dev/null || exit 77
echo "1 2 3" >ids.txt
wrong="all shape dtype missing shard-missing shard-outside shard-other shard-config index-cut index-empty \
    offsets-overlap offsets-beyond offsets-shape offsets-swapped cut lfs unknown no-experts several rope no-weights \
    no-config"
# The last two are right; their headers are of odd length, so that no data is aligned.
python3 -B "$source/tests/bad/checkpoints.py" $wrong none shards
for fault in $wrong; do
    echo "== $fault"
    "$moesim" capture --model $fault --tokens ids.txt -o trace 2>&1
    echo "exit $?"
done
for fault in none shards; do
    "$moesim" capture --force --model $fault --tokens ids.txt -o trace >/dev/null 2>&1
    echo "$fault: exit $?"
done
rm -r $wrong none shards trace.safetensors ids.txt
