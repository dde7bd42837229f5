#!/bin/sh
# The execution core's NVTX ranges, as a capture of the program itself sees them: steps with their
# phases, stages with their layers; from the processor, and from an emulated device.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
needs python3
folder=$(dirname "$moesim")
if ! [ -e "$folder/libmoesim_inject.so" ] || ! "$moesim" --version | grep -q "^nvtx .* are ranges"; then
    echo "skipped: built without NVTX's headers, or without libmoesim_inject.so"
    exit 77
fi
python3 -B "$source/tests/cli/checkpoint.py" model
echo '{"ids": [5, 9, 17, 33, 2, 60]}' >ids.jsonl

# ranges NAME OPTIONS...: what a capture of `moesim capture OPTIONS` saw, in NAME.txt.
ranges() {
    name=$1
    shift
    "$moesim" capture -o "$name" --trace=nvtx --engine=none -- "$moesim" capture -m model \
        -t ids.jsonl --decode 3 --chunk 4 --ignore-end -o trace --force "$@" >said 2>&1 || {
        cat said
        failed=1
    }
    python3 -B - "$name.db" >"$name.txt" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
for row in db.execute("select step, phase from step order by step"):
    print("step", *row)
for row in db.execute("select step, layer, stage from stage order by start_ns"):
    print(*row)
for row in db.execute("select text, category, payload from range where domain = 'moesim' and "
                      "category < 100 group by text, category order by category"):
    print("range", row[0], row[1], type(row[2]).__name__)
PY
}
ranges cpu
python3 - >expected.txt <<'PY'
steps = ["prefill", "prefill", "decode", "decode", "decode"]
for i, phase in enumerate(steps):
    print("step", i, phase)
for i, phase in enumerate(steps):
    print(i, None, "embed")
    for layer in range(4):
        for stage in "attention", "router", "dispatch", "experts", "combine":
            print(i, layer, stage)
    if 0 < i < 4: # what comes behind the last token is not asked for
        print(i, None, "unembed")
names = "embed", "attention", "router", "dispatch", "experts", "combine", "unembed"
for i, name in enumerate(names):
    kind = "NoneType" if name in ("embed", "unembed") else "int"
    print("range", name, 1 + i, kind)
PY
diff expected.txt cpu.txt || failed=1

# Stages of a step that is asked for at once, and of one that is captured into a graph.
emulated=$folder/tests/libmoesim_cuda_emulated.so
if [ -e "$emulated" ]; then
    MOESIM_CUDA_LIB=$emulated
    export MOESIM_CUDA_LIB
    ranges eager --backend cuda --eager
    diff expected.txt eager.txt || failed=1
    ranges graphs --backend cuda
    diff expected.txt graphs.txt || failed=1
fi
exit $failed
