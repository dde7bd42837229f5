#!/bin/sh
# counters.sh MOESIM PROGRAM FAKES: plans with the real libcupti, runs with the fakes of
# tests/inject: what is counted ends in the profile, once for each group.
set -u
moesim=$1 program=$2 fakes=$3
fail()
{
    echo "$*" >&2
    exit 1
}
"$moesim" counters --check >check.txt 2>&1 || {
    cat check.txt
    exit 77
}
run()
{
    "$moesim" counters "$@" -- env LD_LIBRARY_PATH="$fakes/cuda" \
        MOESIM_CUPTI_LIB="$fakes/cupti/libcupti.so.13" "$program" cuda push:3:router pop \
        push:3:experts pop 2>said.txt
}
sql()
{
    sqlite3 "$1" "$2"
}

run -o one -m dram__bytes_read.sum,lts__t_bytes.sum || fail "one group: $? $(cat said.txt)"
[ "$(sql one.db "SELECT layer, stage, metric, value FROM counter ORDER BY id" | tr '\n' ' ')" = \
    "3|router|dram__bytes_read.sum|0.0 3|router|lts__t_bytes.sum|1.0 3|experts|dram__bytes_read.sum|100.0 3|experts|lts__t_bytes.sum|101.0 " ] ||
    fail "one group: $(sql one.db "SELECT * FROM counter")"
[ ! -e one.d ] || fail "raw logs were left behind"

# Two groups: two runs, two processes. A metric of several passes is left out, aloud.
run -o two -m dram__bytes_read.sum,nvlrx__bytes.sum,lts__t_sector_hit_rate.pct ||
    fail "two groups: $? $(cat said.txt)"
[ "$(sql two.db "SELECT count(DISTINCT pid), count(DISTINCT metric), count(*) FROM counter")" = "2|2|4" ] ||
    fail "two groups: $(sql two.db "SELECT * FROM counter")"
grep -q "lts__t_sector_hit_rate.pct takes 2 passes: left out" said.txt || fail "$(cat said.txt)"

run -o one && fail "one.db was replaced"
run -o one -f -s moe || fail "replacing: $(cat said.txt)"
[ "$(sql one.db "SELECT count(DISTINCT metric) FROM counter")" = 6 ] || fail "the set moe"

# A trace of that name is another command's; a program that is not there costs nothing.
touch one.safetensors
run -o one -f -s moe || fail "replacing: $(cat said.txt)"
[ -e one.safetensors ] || fail "-f removed a trace"
mkdir one.d && touch one.d/1.raw
"$moesim" counters -f -o one -- no-such-program 2>said.txt
[ $? = 127 ] && [ -e one.d/1.raw ] || fail "no such program: $(cat said.txt)"
rm -r one.d

# Each run reads the whole of standard input, where it is a file.
echo in >input
"$moesim" counters -o input -m dram__bytes_read.sum,nvlrx__bytes.sum -- cat <input >out 2>said.txt
[ "$(grep -c in out)" = 2 ] || fail "standard input of two runs: $(cat out said.txt)"

# A program that fails: its status, and what was counted until then.
"$moesim" counters -o failed -- env LD_LIBRARY_PATH="$fakes/cuda" \
    MOESIM_CUPTI_LIB="$fakes/cupti/libcupti.so.13" "$program" cuda push:1:experts pop exit:9 2>said.txt
[ $? = 9 ] || fail "status of the program: $(cat said.txt)"
[ "$(sql failed.db "SELECT count(*) FROM counter")" = 6 ] || fail "what was counted before it failed"
exit 0
