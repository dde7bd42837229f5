# Profiles on a disk that is full, over a profile that is there, and read back.
moesim=$1 source=$2
set -eu
fail()
{
    echo "profile.sh: $*"
    exit 1
}

mkdir run.d
cp "$source/tests/fuzz/corpus/rawlog/whole.raw" run.d/7.raw
"$moesim" profile decode run.d -o a.db --trace a.safetensors
"$moesim" profile decode run.d -o b.db --trace b.safetensors
cmp a.db b.db || fail "the same folder gives other bytes"
cmp a.safetensors b.safetensors || fail "the same folder gives another trace"
"$moesim" trace info a.safetensors | grep -q '^tokens *5 (4 prefill, 1 decode)' ||
    fail "the trace is not what was routed"
"$moesim" profile info a.db >info.txt
grep -q '14 kernels' info.txt || fail "kernels are missing: $(cat info.txt)"

# A packed trace of PyTorch, and what is refused leaves nothing.
"$moesim" profile import torch "$source/tests/unit/data/torch_cpu.json.gz" -o torch.db
"$moesim" profile import torch "$source/README.md" -o none.db 2>/dev/null && fail "a text was read"
[ ! -e none.db ] || fail "a refused input left a profile"
[ "$(ls -A | grep -c '\.db')" = 3 ] || fail "left behind: $(ls -A)"

# A full disk: one line, nothing left but what was there before.
if ! unshare -m true 2>/dev/null; then
    echo "no name space of mounts for us: the full disk is left out"
    exit 0
fi
mkdir disk
unshare -m sh -c '
    mount -t tmpfs -o size=64k none disk || exit 77
    echo "older profile" >disk/x.db
    status=0
    "$0" profile decode run.d -o disk/x.db -f >out.txt 2>&1 || status=$?
    ls -A disk >left.txt
    cat disk/x.db >older.txt
    exit $status' "$moesim" || status=$?
[ "${status:-0}" != 77 ] || exit 0
[ "${status:-0}" = 3 ] || fail "a full disk ended with ${status:-0}: $(cat out.txt)"
grep -q 'disk/x.db: .*full' out.txt || fail "a full disk said: $(cat out.txt)"
[ "$(cat left.txt)" = x.db ] || fail "left on a full disk: $(cat left.txt)"
[ "$(cat older.txt)" = "older profile" ] || fail "the older profile was harmed"
