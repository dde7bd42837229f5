#!/bin/sh
# moesim capture -- PROGRAM with a driver and a CUPTI that are fakes (tests/inject): what is said, and
# with which exit status it ends, when things go well, and in every way in which they do not.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
needs python3
build=$(dirname "$moesim")/tests/inject
program=$build/inject_program fakes=$build/fakes
[ -x "$program" ] && [ -e "$fakes/cupti/libcupti.so.13" ] || {
    echo "skipped: no fakes here (built without CUPTI's headers?)"
    exit 77
}
unset CUDA_INJECTION64_PATH NVTX_INJECTION64_PATH MOESIM_INJECT_LIB MOESIM_CAPTURE
# A program that crashes does so under a sanitizer too.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}handle_segv=0"
libraries=$fakes/cuda
export LD_LIBRARY_PATH="$libraries" MOESIM_CUPTI_LIB="$fakes/cupti/libcupti.so.13"
work="cuda push:0:experts launch:k:3 pop"
capture() { "$moesim" capture -f "$@"; }
says() {
    grep -q -e "$1" said && return
    echo "says no '$1':"
    cat said
    failed=1
}
value() {
    python3 -c "import sqlite3, sys
print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone()[0])" "$@"
}

# All is well.
expect 0 "well.db written: 3 kernels, 3 calls of CUDA, 1 range, of 1 process" \
    capture -o well --strict --require-gpu -- "$program" $work
expect 0 "^kernels, copies, calls of CUDA: yes" "$moesim" capture --check
says "^driver  *CUDA 13.0"
says "^device  *Fake GPU"
says "^CUPTI  *13.0.1, .*fakes/cupti/libcupti.so.13"
says "^held by  *nobody"
expect 5 "3 kernels" capture -o status --strict -- "$program" $work exit:5

# No driver, its stub, one without a device, an old one.
expect 0 "no kernels were recorded: there is no NVIDIA driver here" \
    capture -o absent --env LD_LIBRARY_PATH= -- "$program" push:0:experts pop
says "absent.db written: 1 range"
expect 3 "kernels cannot be recorded here: there is no NVIDIA driver" \
    capture -o absent --require-gpu --env LD_LIBRARY_PATH= -- touch ran
FAKE_CUINIT=34 expect 3 "nothing was run: .*libcuda.so.1 is the toolkit's stub" \
    env FAKE_CUINIT=34 "$moesim" capture -o stub --require-gpu -- touch ran
expect 70 "no kernels were recorded: libcuda.so.1 is the toolkit's stub, not a driver" \
    env FAKE_CUINIT=34 "$moesim" capture -o stub -- "$program" cuda
[ "$(value stub.db 'SELECT max(code) FROM diagnostic')" = stub_driver ] || failed=1
expect 3 "the driver sees no device" env FAKE_DEVICES=0 "$moesim" capture -o none --require-gpu -- touch ran
expect 3 "the driver is of CUDA 12.8, older than CUPTI's 13.0: update the driver" \
    env FAKE_DRIVER=12080 "$moesim" capture --check
expect 3 "older than CUPTI's 13.0" env FAKE_DRIVER=12080 "$moesim" capture -o old --require-gpu -- touch ran

# CUPTI is absent, is held by another tool, is there twice.
export MOESIM_CUPTI_LIB=/no/libcupti.so
expect 3 "libcupti was not found: install CUPTI" "$moesim" capture --check
export MOESIM_CUPTI_LIB="$fakes/cupti/libcupti.so.13"
expect 3 "CUPTI is held by 'CUPTI for Nsight'" env FAKE_BUSY="CUPTI for Nsight" "$moesim" capture --check
says "^held by  *CUPTI for Nsight"
expect 0 "another tool holds CUPTI: no kernels were recorded.*CUPTI for Nsight" \
    env FAKE_BUSY="CUPTI for Nsight" "$moesim" capture -o busy -- "$program" cuda push:0:experts pop
says "busy.db written: 1 range"
expect 3 "CUPTI for Nsight" env FAKE_BUSY="CUPTI for Nsight" "$moesim" capture -o strict --strict -- \
    "$program" cuda push:0:experts pop
expect 0 "two CUPTI libraries" capture -o two -- "$program" "load:$fakes/old/libcupti.so.12" \
    "load:$MOESIM_CUPTI_LIB" cuda

# Kernels without times, and records that CUPTI dropped: counted, said, and an exit status of its own.
expect 0 "3 of 6 records lost\|3 of 3 records lost\|records lost (.*no_timestamp 3" \
    env FAKE_NO_TIMES=1 "$moesim" capture -o times -- "$program" $work
says "some records have no times"
expect 0 "cupti.dropped 12" env FAKE_DROPPED=12 "$moesim" capture -o dropped -- "$program" $work
says "raise --max-buffer"
expect 4 "cupti.dropped 12" env FAKE_DROPPED=12 "$moesim" capture -f -o dropped --strict -- "$program" $work

# The program crashes, is killed, ends without a word, forks, runs another program in its place.
expect 139 "3 kernels" capture -o crashed -- "$program" $work sleep:900 signal:11
says "was ended by signal 11"
expect 137 "3 kernels" capture -o killed -- "$program" $work sleep:900 signal:9
says "warn: the process ended without closing its log"
expect 6 "3 kernels" capture -o short -- "$program" $work sleep:900 _exit:6
expect 0 "the process forked; the child is not recorded" \
    capture -o forks -- "$program" cuda launch:k:1 fork push:0:router pop exit:0 joined launch:k:2
says "3 kernels"
expect 0 "5 kernels" capture -o execs -- "$program" cuda launch:k:1 sleep:900 exec cuda launch:k:4
expect 9 "3 kernels" capture -o handled -- "$program" handle $work signal:15
# A flush of every half second still has them in its hands when the program ends.
expect 0 "3 kernels" env FAKE_SLOW=900 "$moesim" capture -f -o slow -- "$program" $work sleep:700

# No room for the raw log: the program goes on, and that it was so is the exit status. And no room for
# the profile: the raw logs stay, and can be decoded elsewhere.
expect 5 "error: the raw log could not be written on" capture -o full -- "$program" limit:20000 cuda \
    launch:some_kernel:100 sleep:700 launch:k:50000 exit:3
mkdir -p small && chmod 700 small
(
    ulimit -f 16
    expect 5 "what was recorded stays in few.d" "$moesim" capture -o few --trace=kernel -- "$program" cuda launch:k:10
    [ -d few.d ] && [ ! -e few.db ] || failed=1
    exit $failed
) || failed=1
expect 0 "10 kernels\|few.db" "$moesim" profile decode few.d -o few.db

# moesim is killed half-way: the program goes on, and its folder makes the same profile.
python3 - "$moesim" "$program" <<'PYTHON' || failed=1
import os, subprocess, sys, time
process = subprocess.Popen([sys.argv[1], "capture", "-o", "orphan", "--", sys.argv[2], "cuda",
                            "push:0:experts", "launch:k:3", "pop", "sleep:1500", "launch:k:2"],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
for _ in range(3000):
    raw = [os.path.join("orphan.d", f) for f in os.listdir("orphan.d")] if os.path.isdir("orphan.d") else []
    if raw and os.path.getsize(raw[0]) > 1000:
        break
    time.sleep(0.01)
process.kill()
process.wait()
size = 0
for _ in range(100):
    time.sleep(0.1)
    if os.path.getsize(raw[0]) == size and _ > 25:
        break
    size = os.path.getsize(raw[0])
PYTHON
expect 0 "orphan.db" "$moesim" profile decode orphan.d -o orphan.db
[ "$(value orphan.db 'SELECT count(*) FROM kernel')" = 5 ] || { echo "the orphan's kernels"; failed=1; }
[ "$(value orphan.db 'SELECT ended FROM process')" = exit ] || failed=1

# Windows and kinds.
expect 0 "written: 2 kernels, 2 calls of CUDA" capture -o window --range=profiler-api -- \
    "$program" cuda launch:a:1 profiler:1 launch:b:2 profiler:0 launch:c:4
expect 0 "written: 3 kernels, 1 range, of 1 process" capture -o kinds --trace=kernel -- "$program" $work
[ ! -e ran ] || { echo "--require-gpu ran it"; failed=1; }
exit $failed
