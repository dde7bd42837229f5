#!/bin/sh
# An interrupted sweep says so, exits with 130 (SIGTERM: 143), and goes on later.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
needs python3
scenario long "sweep: {seed: [$(seq -s, 1 400)]}"

# interrupt SIGNAL: starts the sweep, sends the signal, prints the exit code. (A shell lets its
# background jobs ignore SIGINT.)
interrupt() {
    python3 - "$moesim" "$1" <<'PYTHON'
import signal, subprocess, sys, time
process = subprocess.Popen([sys.argv[1], "run", "long.yaml", "-j", "2"],
                           stdout=open("said", "w"), stderr=subprocess.STDOUT)
time.sleep(0.5)
process.send_signal(getattr(signal, sys.argv[2]))
print(process.wait(10))
PYTHON
}

for signal in SIGINT:130 SIGTERM:143; do
    rm -f long.db
    code=$(interrupt ${signal%:*})
    if [ "$code" != "${signal#*:}" ] ||
        ! grep -q "interrupted: [0-9]* of 400 runs were stored" said; then
        echo "$signal: exit $code"
        cat said
        failed=1
    fi
    [ -e long.db-wal ] && { echo "the log was left behind"; failed=1; }
done
stored=$(sed -n 's/.*interrupted: \([0-9]*\) of.*/\1/p' said)
[ "$stored" -gt 0 ] || { echo "nothing was stored"; failed=1; }
expect 0 "400 runs in long.db, $stored of them from before" "$moesim" run long.yaml -j 2
exit $failed
