#!/bin/sh
# Where a capture computes: what is said where there is no CUDA device, and that --backend auto goes
# on without.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
needs python3
unset MOESIM_CUDA_LIB
python3 -B "$source/tests/cli/checkpoint.py" model
echo '{"ids": [5, 9, 17, 33, 2, 60, 41, 8, 8, 3], "prompt": 6}' >ids.jsonl
capture() { "$moesim" capture -m model -t ids.jsonl "$@"; }
none="^moesim: no usable CUDA device:"

# No library, something else, another's.
expect 3 "$none /nowhere/l.so is not there: this build has no CUDA backend" \
    env MOESIM_CUDA_LIB=/nowhere/l.so "$moesim" capture -m model -t ids.jsonl -o one --backend cuda
echo text >text.so
expect 3 "$none .*text.so: .*" env MOESIM_CUDA_LIB=$PWD/text.so "$moesim" capture -m model \
    -t ids.jsonl -o one --backend cuda
libc=$(ldd "$moesim" | awk '/libz\.so/ { print $3 }')
[ -z "$libc" ] || expect 3 "$none $libc is of another version of moesim" \
    env MOESIM_CUDA_LIB="$libc" "$moesim" capture -m model -t ids.jsonl -o one --backend cuda

# The real library, on a machine without a driver or with the toolkit's stub of one.
real=$(dirname "$moesim")/libmoesim_cuda.so
if [ -e "$real" ] && ! [ -e /dev/nvidiactl ]; then
    if ! ldconfig -p | grep -q 'libcuda\.so\.1'; then
        expect 3 "$none .* (35); is the NVIDIA driver installed? (libcuda.so.1)" \
            "$moesim" capture -m model -t ids.jsonl -o one --backend cuda
    fi
    for stub in /usr/local/cuda/lib64/stubs/libcuda.so /usr/local/cuda/lib/stubs/libcuda.so; do
        [ -e "$stub" ] || continue
        mkdir -p stubs && ln -sf "$stub" stubs/libcuda.so.1
        expect 3 "$none .* (34); libcuda.so.1 is the toolkit's stub" \
            env LD_LIBRARY_PATH="$PWD/stubs" "$moesim" capture -m model -t ids.jsonl -o one \
            --backend cuda
        break
    done
fi

# auto: the same trace as from the processor, and two lines.
capture -o one >/dev/null || failed=1
MOESIM_CUDA_LIB=/nowhere/l.so capture -o two --backend auto >/dev/null 2>said || failed=1
cmp one.safetensors two.safetensors || failed=1
grep -q "$none /nowhere/l.so is not there" said || { cat said; failed=1; }
grep -q "^moesim: falling back to the cpu backend (no GPU timing will be recorded)$" said || failed=1
[ "$(wc -l <said)" = 2 ] || failed=1

# What does not go together.
expect 2 "'--exact' is of the processor: no '--backend cuda' with it" \
    "$moesim" capture -m model -t ids.jsonl -o one --backend cuda --exact
expect 2 "'--exact' is of the processor: no '--backend auto' with it" \
    "$moesim" capture -m model -t ids.jsonl -o one --backend auto --exact
expect 2 "'--eager' is of CUDA devices" "$moesim" capture -m model -t ids.jsonl -o one --eager
expect 2 "'--precision' is of CUDA devices" \
    "$moesim" capture -m model -t ids.jsonl -o one --precision f32
expect 2 "'--grouped' is of CUDA devices" \
    "$moesim" capture -m model -t ids.jsonl -o one --grouped cublas
expect 2 "'--offload-home dram' wants '--backend cuda'" \
    "$moesim" capture -m model -t ids.jsonl -o one --offload 25% --offload-home dram
expect 2 "'--offload-home' says where '--offload SIZE' leaves experts" \
    "$moesim" capture -m model -t ids.jsonl -o one --backend cuda --offload-home dram
expect 2 "'--grouped cublas' wants all experts on the device" \
    "$moesim" capture -m model -t ids.jsonl -o one --backend cuda --grouped cublas --offload 25%
expect 0 "^cuda  " "$moesim" --version
expect 0 "^nvtx  " "$moesim" --version
exit $failed
