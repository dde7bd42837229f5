#!/bin/sh
# Exit code 4 for a missed expectation, unless it is a known miss; rows in the database.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
sweep='sweep: {experts.cache.evict: [lru, belady], experts.cache.capacity: [25%, 50%]}
expect:
  - {metric: hit_rate, of: {experts.cache.evict: belady}, over: {experts.cache.evict: lru}, agg: min,
     value: 1, bound: at_least, basis: arithmetic, source: "no policy has fewer misses"}'
miss='  - {metric: hit_rate, of: {experts.cache.evict: lru, experts.cache.capacity: 50%}, value: 99%,
     within: 1%, basis: predicted, source: "nobody"'

scenario met "$sweep"
scenario missed "$sweep
$miss}"
scenario known "$sweep
$miss, known_miss: the trace is not theirs}"
scenario wrong "$sweep
$miss, known_mist: x}"

expect 0 "expectations: 1 of 1 met" "$moesim" run met.yaml
expect 4 "expected 0.99 within 1%, got 0\.[0-9]* (-[0-9.]*%) \[predicted: nobody\]" "$moesim" run missed.yaml
expect 4 "1 of 2 met, 1 missed" "$moesim" run missed.yaml
expect 4 "missed: hit_rate" "$moesim" run --quiet missed.yaml
expect 0 "1 of 2 met, 1 known miss" "$moesim" run known.yaml
expect 0 "the trace is not theirs" "$moesim" run known.yaml
expect 0 "" "$moesim" run --quiet known.yaml
expect 1 "wrong.yaml:[0-9]*:[0-9]*: error: .*did you mean 'known_miss'" "$moesim" run wrong.yaml
[ -e wrong.db ] && { echo "wrong.db was made"; failed=1; }
expect 0 "1 skipped" "$moesim" run met.yaml --set experts.cache.evict=lru -o other.db
if command -v python3 >/dev/null; then
    rows=$(python3 -c 'import sqlite3
d = sqlite3.connect("missed.db")
print(*d.execute("SELECT number, verdict, round(expected, 2) FROM expectation ORDER BY number"))')
    [ "$rows" = "(1, 'met', 1.0) (2, 'missed', 0.99)" ] || { echo "rows: $rows"; failed=1; }
fi
exit $failed
