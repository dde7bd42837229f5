#!/bin/sh
# full_disk.sh PROGRAM LIBRARY DUMP: a disk that is full, to the last byte, in the middle of a
# capture. The program goes on to its end, the log is whole and closed, and written and lost calls
# add up. A small disk is mounted in a name space of its own; skips where that is not allowed.
set -eu
program=$1 library=$2 dump=$3
calls=200000
if ! unshare -m true 2>/dev/null; then
    echo "no name space of mounts for us"
    exit 77
fi
mkdir -p disk out
MOESIM_INJECT_LIB=$library MOESIM_CAPTURE=$PWD/disk/c.d MOESIM_TRACE=route \
    unshare -m sh -c '
        mount -t tmpfs -o size=400k none disk || exit 77
        status=0
        "$0" route:'$calls' sleep:300 exit:7 || status=$?
        cp disk/c.d/*.raw out/
        exit $status' "$program" || status=$?
[ "${status:-0}" = 77 ] && exit 77
[ "${status:-0}" = 7 ] || {
    echo "the program ended with ${status:-0}"
    exit 1
}
"$dump" out/*.raw >dump.txt
cat dump.txt
grep -q 'whole=1 closed=1 texts_first=1' dump.txt
grep -q 'said disk_full: No space left on device' dump.txt
awk -v calls=$calls '
    /whole=/ { sub(/.*routes=/, ""); written = $1 }
    /^lost (log.full|route.lost)/ { lost += $3 }
    END { exit !(written > 0 && lost > 0 && written + lost == calls) }' dump.txt
