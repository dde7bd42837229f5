#!/bin/sh
# moesim capture --backend cuda on the emulated device: the trace is the processor's but for the
# arithmetic, what is offloaded replays, and what the device lacks is said.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
needs python3
emulated=$(dirname "$moesim")/tests/libmoesim_cuda_emulated.so
if ! [ -e "$emulated" ]; then
    echo "skipped: no C++ compiler, so no emulated device"
    exit 77
fi
MOESIM_CUDA_LIB=$emulated
export MOESIM_CUDA_LIB
python3 -B "$source/tests/cli/checkpoint.py" model
# The device's weights are bf16: so are the file's numbers, then.
python3 -B - model/model.safetensors <<'PY'
import struct, sys
with open(sys.argv[1], "rb") as file:
    data = bytearray(file.read())
first = 8 + struct.unpack("<Q", data[:8])[0]
data[first::4] = bytes(len(data[first::4]))
data[first + 1::4] = bytes(len(data[first + 1::4]))
with open(sys.argv[1], "wb") as file:
    file.write(data)
PY
echo '{"ids": [5, 9, 17, 33, 2, 60, 41, 8, 8, 3], "prompt": 4}' >ids.jsonl
capture() { "$moesim" capture --force -m model -t ids.jsonl --lookahead 2 "$@"; }
capture -o cpu >/dev/null || failed=1
capture -o cuda --backend cuda --precision f32 --times >/dev/null || failed=1
python3 -B - <<'PY' || failed=1
import array, json, struct, sys
def load(path):
    with open(path, "rb") as file:
        n, = struct.unpack("<Q", file.read(8))
        head, data = json.loads(file.read(n)), file.read()
    tensors = {}
    for name, t in head.items():
        if name != "__metadata__":
            raw = data[t["data_offsets"][0]:t["data_offsets"][1]]
            tensors[name] = array.array("f", raw) if t["dtype"] == "F32" else list(raw)
    return head["__metadata__"], tensors, head
meta, cpu, _ = load("cpu.safetensors")
said, cuda, head = load("cuda.safetensors")
bad = 0
for name in "expert_ids", "lookahead.1", "lookahead.2", "position", "phase", "step":
    if cpu[name] != cuda[name]:
        print(name, "differs:", cpu[name], cuda[name]); bad = 1
if any(abs(a - b) > 1e-4 for a, b in zip(cpu["similarity"], cuda["similarity"]) if a == a):
    print("similarity", cpu["similarity"], cuda["similarity"]); bad = 1
times = cuda["time.stages"]
steps, layers, stages = head["time.stages"]["shape"]
for s in range(steps):
    for l in range(layers):
        row = times[(s * layers + l) * stages:][:stages]
        if (row[0] > 0) != (l == 0) or min(row[1:6]) <= 0:
            print("times of step", s, "layer", l, row); bad = 1
if "cuda, f32" not in said["engine"] or "emulated, CUDA 13" not in said["hardware"]:
    print(said); bad = 1
sys.exit(bad)
PY

# Executed offloading, from either home.
for home in disk dram; do
    capture -o off --backend cuda --precision f32 --offload 30% --offload-home $home \
        --prefetch next-layer --decisions run.log >out || { cat out; failed=1; }
    case $home in
    disk) grep -q "reads and copies, .* page cache" out || { cat out; failed=1; } ;;
    dram) grep -q "copies, .* from pinned memory" out || { cat out; failed=1; } ;;
    esac
    grep -q "of device memory, evict lru, prefetch next-layer" out || failed=1
    "$moesim" trace replay run.log off.safetensors >out ||
        { cat out; failed=1; }
    grep -q "as the policies take them, and the counts are those of the run" out || failed=1
done

expect 3 "^moesim: no usable CUDA device: cudaErrorNoDevice (100)$" \
    env MOE_EMULATED_DEVICES=0 "$moesim" capture -m model -t ids.jsonl -o x --backend cuda
expect 3 "^moesim: not enough device memory: the weights, 1 sequences of 10 positions and batches \
of 4 rows want .* KiB, 97.7 KiB are available$" \
    env MOE_EMULATED_MEMORY=100000 "$moesim" capture -m model -t ids.jsonl -o x --backend cuda
expect 3 "^moesim: not enough device memory: the slots of experts want .* are available$" \
    env MOE_EMULATED_MEMORY=50000 "$moesim" capture -m model -t ids.jsonl -o x --backend cuda \
    --offload 90%
exit $failed
