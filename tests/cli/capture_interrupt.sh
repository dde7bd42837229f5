#!/bin/sh
# Captures that do not come to their end: killed, interrupted, out of disk. What is there is a trace.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
needs python3
python3 -B "$source/tests/cli/checkpoint.py" model 'max_position_embeddings=100000'
python3 -c 'print(*((i * 7 + i // 9) % 64 for i in range(900)))' >ids.txt
run="capture -m model -t ids.txt --decode 90000 --ignore-end --save-every 100ms -o x"

# end SIGNAL: starts a capture that would take long, waits until it has written some of what it
# decodes, sends the signal, prints the exit code. (A shell lets its background jobs ignore SIGINT.)
end() {
    rm -f x.safetensors
    python3 - "$moesim" $1 $run <<'PYTHON'
import os, signal, subprocess, sys, time
process = subprocess.Popen([sys.argv[1]] + sys.argv[3:], stdout=open("said", "w"),
                           stderr=subprocess.STDOUT)
# The prompt alone takes 90 kB.
for _ in range(6000):
    if os.path.exists("x.safetensors") and os.path.getsize("x.safetensors") > 100000:
        break
    time.sleep(0.01)
process.send_signal(getattr(signal, sys.argv[2]))
print(process.wait(60))
PYTHON
}

code=$(end SIGKILL)
[ "$code" = -9 ] || { echo "SIGKILL: exit $code"; cat said; failed=1; }
expect 0 "^unfinished   the first [0-9]* of 90900 tokens" "$moesim" trace info x.safetensors
grep -q "(900 prefill, [1-9][0-9]* decode)" said || { cat said; failed=1; }

code=$(end SIGBUS) # sent, not of a file: ends the program as it would any
[ "$code" = -7 ] || { echo "SIGBUS: exit $code"; cat said; failed=1; }

for signal in SIGINT:130 SIGTERM:143; do
    code=$(end ${signal%:*})
    if [ "$code" != "${signal#*:}" ] ||
        ! grep -q "^moesim: interrupted: x.safetensors holds the first [0-9]* of 90900 tokens" said; then
        echo "$signal: exit $code"
        cat said
        failed=1
    fi
    said=$(sed -n 's/.*holds the first \([0-9]*\) of.*/\1/p' said)
    expect 0 "^tokens       $said (900 prefill, " "$moesim" trace info x.safetensors
done
# What was interrupted is a beginning of what goes on: the same tokens, run again.
capture="$moesim capture -m model --exact"
$capture -t ids.txt --decode 6 --ignore-end -o short >/dev/null || failed=1
$capture -t ids.txt --decode 3 --ignore-end -o shorter >/dev/null || failed=1
python3 -B "$source/tests/cli/capture.py" same_rows short.safetensors shorter.safetensors || failed=1

# A kill in a save leaves nothing beside what was saved before, where files can be without names.
python3 - "$moesim" <<'PYTHON' || failed=1
import os, signal, subprocess, sys, time
try:
    os.close(os.open(".", os.O_TMPFILE | os.O_WRONLY))
except OSError:
    sys.exit(0)
for signals in ((signal.SIGKILL,), (signal.SIGINT, signal.SIGINT)):
    process = subprocess.Popen([sys.argv[1], "capture", "-m", "model", "-t", "ids.txt", "--decode",
                                "90000", "--ignore-end", "--logits", "--save-every", "1ms", "-o", "k"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    fds = "/proc/%d/fd" % process.pid
    writing = False
    while not writing and process.poll() is None:
        for fd in os.listdir(fds):
            try:
                to = os.readlink(os.path.join(fds, fd))
            except OSError:
                continue
            writing |= "k.safetensors." in to or to.startswith(os.getcwd()) and "(deleted)" in to
    for number in signals:
        process.send_signal(number)
    process.wait()
    left = [name for name in os.listdir(".") if name.startswith("k.safetensors.")]
    if left:
        sys.exit("%s: left behind: %s" % (signals, left))
PYTHON

# No room: what fitted stays. The limit is the size of a file, in blocks of 512 or of 1024 bytes.
rm -f x.safetensors*
(ulimit -f 500 && expect 3 "^moesim: x.safetensors: " "$moesim" $run && exit $failed) || failed=1
grep -q "^moesim: x.safetensors holds the first [0-9]* of 90900 tokens" said || { cat said; failed=1; }
expect 0 "^unfinished   the first [0-9]* of 90900 tokens" "$moesim" trace info x.safetensors
[ "$(ls -A | grep -c x.safetensors)" = 1 ] || { echo "left behind: $(ls -A)"; failed=1; }

# On a terminal a line says how far it is, how fast, and how long it will take.
python3 - "$moesim" capture -m model -t ids.txt --decode 400 --ignore-end -o shown <<'PYTHON' >said
import os, pty, sys
pty.spawn(sys.argv[1:], lambda fd: os.read(fd, 4096))
PYTHON
grep -q "[0-9]* of 1300 tokens, [0-9.e+]* tokens/s, [0-9]* s to go" said || { cat said; failed=1; }
grep -q "^.*shown.safetensors written" said || { cat said; failed=1; }
# A file of the checkpoint that gets shorter meanwhile: an error, and what was saved stays a trace.
cp -r model whole
rm -f x.safetensors
python3 - "$moesim" $run <<'PYTHON' || { cat said; failed=1; }
import os, subprocess, sys, time
process = subprocess.Popen(sys.argv[1:], stdout=open("said", "w"), stderr=subprocess.STDOUT)
for _ in range(6000):
    if os.path.exists("x.safetensors") and os.path.getsize("x.safetensors") > 100000:
        break
    time.sleep(0.01)
os.truncate("model/model.safetensors", 100)
code = process.wait(60)
said = open("said").read()
assert code == 3, code
assert "moesim: model: a file of the checkpoint was cut short while it was read" in said, said
PYTHON
rm -r model && mv whole model
expect 0 "^unfinished   the first [0-9]* of 90900 tokens" "$moesim" trace info x.safetensors
exit $failed
