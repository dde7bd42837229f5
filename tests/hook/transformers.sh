#!/bin/sh
# transformers.sh MOESIM SOURCE: models of transformers under `moesim capture --`: the trace says what
# the execution core's own capture of the same checkpoint says, and the program notices nothing.
# MOE_TRANSFORMERS_PYTHON names a Python that has transformers (4.x or 5.x); skips where there is none.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
python=${MOE_TRANSFORMERS_PYTHON:-python3}
"$python" -c "import torch, transformers, safetensors" 2>/dev/null || {
    echo "transformers is not here; skipped. To test its hook: pip install torch transformers (the CPU"
    echo "wheels), and name that Python in MOE_TRANSFORMERS_PYTHON"
    exit 77
}
# A library with sanitizers is none for a program without.
python3 -c "import ctypes; ctypes.CDLL('$(dirname "$moesim")/libmoesim_inject.so')" 2>/dev/null || {
    echo "skipped: this Python cannot load libmoesim_inject.so (built with sanitizers?)"
    exit 77
}
unset CUDA_INJECTION64_PATH NVTX_INJECTION64_PATH MOESIM_INJECT_LIB MOESIM_CAPTURE
hook=$source/tests/hook

# 4.x computes other attention for these: what the first layer says of the first tokens is compared.
how_much() {
    case $version$1 in 4*deepseek_v2* | 4*gpt_oss*) echo 1e-4 first ;; esac
}
version=$("$python" -c "import transformers; print(transformers.__version__)" 2>/dev/null)

# same FOLDER IDS: the same tokens under the capture of either kind.
same() {
    name=$(basename "$1")
    "$moesim" capture -m "$1" -t "$2" --decode 6 --ignore-end --lookahead 0 -o "$name.own" >said 2>&1 ||
        { echo "$name:"; cat said; failed=1; return; }
    "$moesim" capture -o "$name.hook" --trace=route,nvtx -- \
        "$python" -B "$hook/transformers_run.py" "$1" "$2" 6 >captured 2>said
    case $? in
    0) ;;
    66) echo "$name: this transformers does not load it; left out"; left_out="$left_out $name"; return ;;
    *) echo "$name:"; cat said; failed=1; return ;;
    esac
    printf '%s: ' "$name"
    # shellcheck disable=SC2046
    python3 -B "$hook/compare.py" "$name.own.safetensors" "$name.hook.safetensors" $(how_much "$name") ||
        { cat said; failed=1; }
}
left_out=
"$python" -B "$hook/models.py" models || exit 1
for model in models/*/; do
    same "${model%/}" "${model%/}/ids.jsonl"
done
printf '%s\n' '{"ids": [5, 9, 17, 33, 2, 60, 41, 8, 8, 3]}' '{"ids": [7, 1, 1, 50, 22]}' >ids.jsonl
same "$source/profiler/smallmoe" ids.jsonl
[ "$(echo "$left_out" | wc -w)" -lt 6 ] || { echo "left out:$left_out"; failed=1; }

# The program notices nothing: it says the same without a capture.
"$python" -B "$hook/transformers_run.py" "$source/profiler/smallmoe" ids.jsonl 6 >bare 2>/dev/null
cmp bare captured || failed=1

# Stages: each layer's attention, router and experts once a step, the ends of the model too.
stages=$(python3 -c "import sqlite3
rows = sqlite3.connect('smallmoe.hook.db').execute(
    'SELECT stage, count(*), count(DISTINCT layer), count(DISTINCT step) FROM stage GROUP BY stage ORDER BY stage')
print(*('%s %d/%d/%d' % row for row in rows), sep=', ')")
[ "$stages" = "attention 112/8/14, embed 14/0/14, experts 112/8/14, router 112/8/14, unembed 14/0/14" ] ||
    { echo "stages: $stages"; failed=1; }

# Batches with padding, copies, exceptions, compiled code and more: each says what it expects.
for case in padded packed copied failing threads inner compiled pickled odd_router two_models; do
    rm -f case.*
    "$moesim" capture -o case --trace=route,nvtx -- "$python" -B "$hook/transformers_odd.py" $case \
        >out 2>said || { echo "$case:"; cat out said; failed=1; continue; }
    python3 -B "$hook/transformers_expected.py" $case case out || { cat said; failed=1; }
done
exit $failed
