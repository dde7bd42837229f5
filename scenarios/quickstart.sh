#!/bin/sh
# From a fresh clone to a trace, a table, a database and a figure:
#
#   sh scenarios/quickstart.sh
#
# Installs what is missing when it may (root, or sudo without a password), builds the program,
# captures the routing of the small model that ships, looks at it, runs scenarios/quickstart.yaml
# over it, and leaves mixed.safetensors, quickstart.db, quickstart.png and quickstart.pdf in the
# current folder. The same numbers come out on every machine.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
. "$source/scenarios/setup.sh"

moe_setup "$moe_needs_build" "$moe_needs_faster"
echo "Building moesim"
moe_build release moesim
moesim=$source/build/release/moesim

model=$source/profiler/smallmoe
"$moesim" capture --model "$model" --tokens "$model/prompts/mixed.ids.jsonl" --decode 64 --batch 7 \
    --lookahead 2 --exact --ignore-end --licence Apache-2.0 --output mixed
cmp mixed.safetensors "$source/traces/samples/smallmoe/mixed.safetensors" &&
    echo "It is the trace that ships, to the byte."
"$moesim" trace stats mixed.safetensors --only popularity,overlap,lookahead
"$moesim" run -o quickstart.db "$source/scenarios/quickstart.yaml"
echo
echo "Left here: mixed.safetensors (routing), quickstart.db (SQLite), quickstart.png, quickstart.pdf."
echo "Next: ask something else of it, or write a scenario of your own (see README.md)."
echo "  $moesim run $source/scenarios/quickstart.yaml --set experts.cache.capacity=90% -o other.db"
