#!/bin/sh
# From a fresh clone to a table, a database and a figure:
#
#   sh scenarios/quickstart.sh
#
# Installs what is missing when it may (root, or sudo without a password), builds the program,
# runs scenarios/quickstart.yaml and leaves quickstart.db, quickstart.png and quickstart.pdf in
# the current folder. The same numbers come out on every machine.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
. "$source/scenarios/setup.sh"

moe_setup "$moe_needs_build" "$moe_needs_faster"
echo "Building moesim"
moe_build release moesim
moesim=$source/build/release/moesim

"$moesim" run -o quickstart.db "$source/scenarios/quickstart.yaml"
echo
echo "Left here: quickstart.db (SQLite), quickstart.png, quickstart.pdf."
echo "Next: ask something else of it, or write a scenario of your own (see README.md)."
echo "  $moesim run $source/scenarios/quickstart.yaml --set experts.cache.capacity=90% -o other.db"
