#!/bin/sh
# compare.sh COMPARE SOURCE [CHECKPOINTS]: the execution core and the stored numbers against
# transformers itself, on every small model and on checkpoint folders (the shipped one when none is
# named). COMPARE: the program numerics_compare. MOE_TRANSFORMERS_PYTHON names a Python that has
# transformers; skips where there is none.
compare=$1 source=$2
shift 2
[ -x "$compare" ] || {
    echo "$compare is not built; build the tests first: cmake --build --preset release"
    exit 1
}
python=${MOE_TRANSFORMERS_PYTHON:-python3}
"$python" -c "import torch, transformers, safetensors, tokenizers" 2>/dev/null || {
    echo "transformers is not here; skipped. To compare with it: pip install torch transformers"
    echo "(the CPU wheels, not the CUDA ones), and name that Python in MOE_TRANSFORMERS_PYTHON"
    exit 77
}
numerics=$source/tests/numerics
status=0

"$python" -B "$numerics/golden.py" models . || status=1
for folder in */; do
    name=${folder%/}
    printf '%s' "$name"
    "$compare" "$name" "$name.safetensors" || status=1
done

# against FOLDER TEXTS: the checkpoint, on the starts of text files.
against() {
    folder=$1
    shift
    printf '%s' "$folder"
    "$python" -B "$numerics/golden.py" folder "$folder" folder.safetensors "$@" &&
        "$compare" "$folder" folder.safetensors
}

[ $# != 0 ] || set -- "$source/profiler/smallmoe"
for folder; do
    if [ -d "$folder/prompts" ]; then
        against "$folder" "$folder"/prompts/*.txt || status=1
    else
        against "$folder" "$source/README.md" "$source/LICENSE" "$source/profiler/decoder.h" \
            "$numerics/golden.py" || status=1
    fi
done
exit $status
