#!/bin/sh
# An interrupted sweep says so, exits with 130 (SIGTERM: 143), and goes on later.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
needs python3
scenario long "sweep: {seed: [$(seq -s, 1 1500)]}"

# interrupt SIGNAL: starts the sweep, sends the signal, prints the exit code. (A shell lets its
# background jobs ignore SIGINT.)
interrupt() {
    python3 - "$moesim" "$1" <<'PYTHON'
import os, signal, subprocess, sys, time
process = subprocess.Popen([sys.argv[1], "run", "long.yaml", "-j", "2"],
                           stdout=open("said", "w"), stderr=subprocess.STDOUT)
# Once the log of the database holds more than its schema, runs are being stored.
for _ in range(1500):
    if os.path.exists("long.db-wal") and os.path.getsize("long.db-wal") > 200000:
        break
    time.sleep(0.02)
process.send_signal(getattr(signal, sys.argv[2]))
print(process.wait(10))
PYTHON
}

for signal in SIGINT:130 SIGTERM:143; do
    rm -f long.db
    code=$(interrupt ${signal%:*})
    if [ "$code" != "${signal#*:}" ] ||
        ! grep -q "interrupted: [0-9]* of 1500 runs were stored" said; then
        echo "$signal: exit $code"
        cat said
        failed=1
    fi
    [ -e long.db-wal ] && { echo "the log was left behind"; failed=1; }
done
stored=$(sed -n 's/.*interrupted: \([0-9]*\) of.*/\1/p' said)
[ "$stored" -gt 0 ] || { echo "nothing was stored"; failed=1; }
expect 0 "1500 runs in long.db, $stored of them from before" "$moesim" run long.yaml -j 2
exit $failed
