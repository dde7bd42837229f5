#!/bin/sh
# captured.sh MOESIM PROGRAM FAKES PYTHON: from `moesim capture -- PROGRAM` to the profile, with a
# driver and a CUPTI that are fakes.
set -eu
moesim=$1 program=$2 fakes=$3 python=$4
export LD_LIBRARY_PATH="$fakes/cuda" MOESIM_CUPTI_LIB="$fakes/cupti/libcupti.so.13"
unset CUDA_INJECTION64_PATH NVTX_INJECTION64_PATH MOESIM_CAPTURE

# capture NAME STATUS ACTIONS…: the program's status comes through.
capture() {
    name=$1 wanted=$2 status=0
    shift 2
    "$moesim" capture -o "$name" -- "$program" "$@" >"$name.out" 2>&1 || status=$?
    if [ "$status" != "$wanted" ]; then
        echo "$name: ended with $status, not $wanted"
        cat "$name.out"
        exit 1
    fi
}

# is NAME QUERY EXPECTED
is() {
    got=$("$python" -c '
import sqlite3, sys
rows = sqlite3.connect(sys.argv[1] + ".db").execute(sys.argv[2])
print(" ".join("|".join("" if v is None else str(v) for v in row) for row in rows))' "$1" "$2")
    if [ "$got" != "$3" ]; then
        echo "$1: $2: got '$got', wanted '$3'"
        "$moesim" profile info "$1.db"
        exit 1
    fi
}

kernels="SELECT (SELECT value FROM string WHERE id = name), stage, layer, step FROM kernel ORDER BY id"

# A step with stages, a graph whose nodes were made in one, kernels outside of all.
capture steps 5 cuda step:7 push:2:router launch:topk:1 pop push:2:experts launch:gemm:2 node:41:0 \
    pop node:51:41 graph:in_graph:51 end:7 launch:after:1 exit:5
is steps "$kernels" \
    "topk|router|2|7 gemm|experts|2|7 gemm|experts|2|7 in_graph|experts|2|7 after|||"
is steps "SELECT count(*) FROM loss" 0
is steps "SELECT count(*) FROM api" 5
is steps "SELECT attach, ended FROM process" "full|exit"
is steps "SELECT (SELECT value FROM string WHERE id = nameId) FROM CUPTI_ACTIVITY_KIND_RUNTIME
    LIMIT 1" cudaLaunchKernel_v7000

# Killed, after the flushing thread has come by.
capture killed 137 cuda push:0:experts launch:k:3 pop sleep:900 signal:9
is killed "SELECT count(*) FROM kernel" 3
is killed "SELECT code FROM diagnostic WHERE code = 'killed'" killed

# Another tool has CUPTI.
FAKE_BUSY=kineto capture busy 0 cuda push:0:experts pop
is busy "SELECT count(*) FROM kernel" 0
is busy "SELECT count(*) FROM range" 1
is busy "SELECT instr(text, 'kineto') > 0 FROM diagnostic WHERE code = 'cupti_busy'" 1

# A child records nothing and says so; what is run anew by exec is recorded.
capture forks 0 cuda launch:k:1 fork push:0:router pop exit:0 joined launch:k:1
is forks "SELECT count(*) FROM kernel" 2
is forks "SELECT count(*) FROM diagnostic WHERE code = 'forked'" 1
capture execs 0 cuda launch:first:1 sleep:900 exec cuda launch:second:1
is execs "SELECT (SELECT value FROM string WHERE id = name) FROM kernel ORDER BY start_ns" \
    "first second"

# A CUPTI whose records are larger than any that is known.
export FAKE_LARGER=24 FAKE_VERSION=130400
capture larger 0 cuda push:1:experts launch:k:3 pop
is larger "$kernels" "k|experts|1| k|experts|1| k|experts|1|"
is larger "SELECT count(*) FROM diagnostic WHERE code = 'cupti_newer'" 1
