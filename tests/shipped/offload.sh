#!/bin/sh
# The small model with its experts on disk: the counts of the simulator, on all prompts.
command -v python3 >/dev/null || { echo "python3 is not here; skipped"; exit 77; }
exec python3 -B "$2/tests/shipped/offload_counts.py" "$1" "$2"
