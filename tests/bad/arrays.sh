# Every way in which arrays of routing can be wrong: npy, npz, answers of servers. Nothing is written.
command -v python3 >/dev/null || exit 77
# try KIND OPTIONS FAULT…
try()
{
    kind=$1
    options=$2
    shift 2
    python3 -B "$source/tests/bad/arrays.py" $kind "$@"
    for fault in "$@"; do
        echo "== $fault.$kind $options"
        "$moesim" trace import $options $fault.$kind -o routing.safetensors 2>&1
        echo "exit $?"
        rm $fault.$kind
    done
}
try npy "--experts 8" too-large negative twice all-zero all-empty rank shape no-tokens overflow object \
    text version float records python key-twice no-shape cut cut-header trailing
try npz "--format npz --experts 8" cut-zip checksum encrypted method overlap size-lies bomb two-models \
    layers-differ k-differs lengths facts fact-range position-twice nothing not-npy empty cut
try json "--format vllm --experts 8" ragged depth fraction words flat number none-in-it length base64 \
    alphabet npy-cut raw raw-cut object-shape object-dtype object-start object-encoding object-half \
    too-large negative twice two-models k-varies cut deep not-objects rows-twice
for options in "--format npz" "--model mixtral-8x7b" "--layers 5" "--top-k 3" "--experts 4"; do
    try npy "$options" none
done
