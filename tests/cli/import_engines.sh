# Files of engines: the format is found by the content; packed, in several files, through a pipe and in
# another order of memory the same routing gives the same bytes.
set -u
moesim=$1
data=$2/tests/unit/data/engines
failed=0
# engine WANTED OPTIONS FILE…
engine()
{
    wanted=$1
    options=$2
    shift 2
    if ! "$moesim" trace import --force $options "$@" -o x.safetensors >out 2>&1; then
        echo "$*:"; cat out; failed=1
        return
    fi
    found=$("$moesim" trace info x.safetensors | sed -n 's/^engine *//p')
    [ "$found" = "$wanted" ] || { echo "$*: engine '$found', not '$wanted'"; failed=1; }
}
# same AS OPTIONS FILE…
same()
{
    as=$1
    options=$2
    shift 2
    "$moesim" trace import --force $options "$@" -o y.safetensors >out 2>&1 || { echo "$*:"; cat out; failed=1; }
    cmp "$as" y.safetensors || { echo "$*: not as $as"; failed=1; }
}

for file in "$data"/vllm_*; do
    engine vllm "--experts 16" "$file"
done
engine sglang "--top-k 4" "$data/sglang_native.json"
engine sglang "--top-k 4" "$data/sglang_openai.jsonl"
engine sglang "--format sglang" "$data/sglang_recorder.npz"
engine tensorrt-llm "" "$data/trtllm_steady.safetensors"
engine transformers "--top-k 2" "$data/hf_mixtral.safetensors"
engine transformers "--top-k 4 --sequences 2 --format hf-logits" "$data/hf_qwen.npz"
for file in "$data"/llamacpp*; do
    engine llama.cpp "" "$file"
done
engine megatron "--format megatron --sequences 2" "$data/megatron_list.npz"
engine "" "" "$data/plain.npy"
engine "" "" "$data/two.npz"

"$moesim" trace import --force --experts 16 "$data/plain.npy" -o plain.safetensors >out || failed=1
cp "$data/plain.npy" .
gzip -k plain.npy
command -v zstd >/dev/null && zstd -q plain.npy -o plain.npy.zst
mkfifo pipe
same plain.safetensors "--experts 16" plain.npy.gz
[ ! -f plain.npy.zst ] || same plain.safetensors "--experts 16" plain.npy.zst
same plain.safetensors "--experts 16" "$data/fortran.npy"
same plain.safetensors "--experts 16" "$data/layers_first.npy"
same plain.safetensors "--experts 16" "$data/zip64.npz"
timeout 20 sh -c 'cat plain.npy >pipe' &
same plain.safetensors "--experts 16 --format npy" pipe
wait

# Two files are two sequences, as two members are; two ranks that saw the same are one.
"$moesim" trace import --force --experts 16 "$data/vllm_lists.json" "$data/vllm_encoding.json" -o x.safetensors >out
"$moesim" trace info x.safetensors | grep -q '^sequences *2, of 12 .. 12 tokens' || { echo "two files"; failed=1; }
cp "$data/trtllm_steady.safetensors" rank1.safetensors
"$moesim" trace import --force --experts 16 "$data/trtllm_steady.safetensors" -o one.safetensors >out
same one.safetensors "--experts 16" "$data/trtllm_steady.safetensors" rank1.safetensors
grep -q 'rank1.safetensors: the same tokens as a rank before: left out' out || { cat out; failed=1; }

# What came in is said, and that an answer is there twice.
"$moesim" trace import --force --experts 16 "$data/vllm_lists.json" "$data/vllm_lists.json" -o x.safetensors >out 2>&1
grep -q '^2 sequences, 24 tokens (10 prefill), 3 layers, 16 experts, top-4$' out || { cat out; failed=1; }
grep -q 'warning: sequences 0 and 1 are equal throughout: was an answer given twice' out || { cat out; failed=1; }

# What is mapped is no memory of its own: four times 8 MB in 16 MB of data. (A sanitizer's shadow has no
# room in such a limit.)
( ulimit -d 16000; exec "$moesim" --version ) >/dev/null 2>&1 || exit $failed
python3 -c "
import struct
n, layers, k = 12000, 42, 8
head = \"{'descr': '<i2', 'fortran_order': False, 'shape': (%d, %d, %d), }\" % (n, layers, k)
rows = [struct.pack('<336h', *[(3 * t + 5 * l + 7 * j) % 64 for l in range(layers) for j in range(k)]) for t in range(64)]
open('large.npy', 'wb').write(b'\x93NUMPY\x01\x00' + struct.pack('<H', len(head)) + head.encode() + b''.join(rows[t // 4 % 64] for t in range(n)))
" || exit 77
( ulimit -d 16000; exec "$moesim" trace import --force --memory 1MiB large.npy large.npy large.npy large.npy -o x.safetensors ) >out 2>&1 ||
    { cat out; failed=1; }
exit $failed
