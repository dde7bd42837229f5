#!/bin/sh
# Times the import and the whole sweep of tests/bench/offload.yaml with the real gpt-oss-20b trace.
# usage: tests/bench/offload.sh [moesim] [more arguments of `run`]
set -eu
source=$(cd "$(dirname "$0")/../.." && pwd)
moesim=${1:-$source/build/release/moesim}
[ $# -gt 0 ] && shift
trace=$source/../shared/data/routing/gpt-oss-20b/gptoss20b_decode_all.csv.gz
[ -f "$trace" ] || { echo "skipped: the gpt-oss-20b trace is not here"; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$source/tests/bench/offload.yaml" "$folder"
cd "$folder"
seconds() { date +%s.%N; }
t0=$(seconds)
"$moesim" trace import --format csv "$trace" -o gpt-oss-20b.safetensors
t1=$(seconds)
"$moesim" run offload.yaml -o offload.db -j 2 "$@"
t2=$(seconds)
echo "$t0 $t1 $t2" | awk '{printf "import %.2f s (aim 3), sweep %.1f s (aim 120)\n", $2 - $1, $3 - $2}'
