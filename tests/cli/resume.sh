#!/bin/sh
# A sweep that is killed again and again ends with the same content as one that is not, whatever
# the number of jobs.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
needs python3
scenario sweep 'sweep:
  seed: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
  experts.cache.evict: [lru, lfu, belady]
  experts.cache.capacity: [25%, 50%]
store: all
expect:
  - {metric: hit_rate, of: {experts.cache.evict: belady}, over: {experts.cache.evict: lru}, agg: each,
     value: 1, bound: at_least, basis: arithmetic, source: "no policy has fewer misses"}'

content() {
    python3 "$source/tests/cli/dump.py" "$1" || echo "cannot be read"
}

expect 0 "60 runs in one.db" "$moesim" run sweep.yaml -o one.db -j 1
expect 0 "60 runs in two.db" "$moesim" run sweep.yaml -o two.db -j 2
content one.db >one.txt
content two.db >two.txt
cmp one.txt two.txt || { echo "-j 1 and -j 2 differ"; failed=1; }
[ "$(wc -l <one.txt)" -gt 1000 ] || { echo "the database is nearly empty"; failed=1; }

kills=0
while [ $kills -lt 8 ]; do
    "$moesim" run sweep.yaml -o killed.db -j 2 >/dev/null 2>&1 &
    pid=$!
    # 0 to 0.25 s from the start
    sleep "0.$(printf %03d "$(od -An -N1 -tu1 /dev/urandom)")"
    kill -9 $pid 2>/dev/null || break
    wait $pid 2>/dev/null
    kills=$((kills + 1))
done
"$moesim" run sweep.yaml -o killed.db -j 2 >last 2>&1 || { cat last; failed=1; }
content killed.db >killed.txt
cmp one.txt killed.txt || { echo "killed $kills times: another content"; failed=1; }

# Nothing is simulated again.
expect 0 "60 of them from before" "$moesim" run sweep.yaml -o one.db
content one.db >again.txt
cmp one.txt again.txt || { echo "running again changed the content"; failed=1; }
exit $failed
