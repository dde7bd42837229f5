#!/bin/sh
# The exported accesses mean to libCacheSim what they mean here. Skips where it is not installed
# (pip install libcachesim); MOE_LIBCACHESIM_PYTHON names another Python that has it.
moesim=$1 source=$2
python=${MOE_LIBCACHESIM_PYTHON:-python3}
"$python" -c "import libcachesim" 2>/dev/null || { echo "libcachesim is not here; skipped"; exit 77; }
trace=$source/traces/samples/quickstart.safetensors
"$moesim" trace export "$trace" -f oracleGeneral -o accesses.bin || exit 1
"$python" -B "$source/tests/cli/cache_simulator.py" "$moesim" "$trace" accesses.bin 16 64 128 200
