#!/bin/sh
# moesim capture -- PROGRAM around programs without CUDA: it changes nothing of them, says what could
# not be recorded, and never writes over what is there.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
needs python3
unset CUDA_INJECTION64_PATH NVTX_INJECTION64_PATH MOESIM_INJECT_LIB MOESIM_CAPTURE
capture() { "$moesim" capture "$@"; }

# The program's streams, words, exit status and signals are its own.
printf 'in\n' | capture -o streams -- sh -c 'cat; echo out; echo err >&2; exit 5' >out 2>err
[ $? = 5 ] || { echo "exit of the program"; failed=1; }
printf 'in\nout\n' | cmp - out || failed=1
grep -qx err err || { cat err; failed=1; }
[ "$(grep -vc '^moesim: ' err)" = 1 ] || { echo "on standard error:"; cat err; failed=1; }
expect 0 "^-- -x a b 	$" capture -o words -- printf '%s %s %s %s\n' -- -x 'a b' '	'
expect 143 "was ended by signal 15" capture -o term -- sh -c 'kill -TERM $$'
expect 139 "was ended by signal 11" capture -o segv -- sh -c 'kill -SEGV $$'
expect 127 "cannot run 'no-such-program'" capture -o absent -- no-such-program
expect 141 "was ended by signal 13" capture -o pipe -- sh -c 'kill -PIPE $$; exit 3'
(trap '' PIPE; capture -o ignored -- sh -c 'kill -PIPE $$; exit 3' 2>said) # as systemd starts programs
[ $? = 3 ] || { echo "SIGPIPE is ignored no more"; failed=1; }
printf 'exit 4\n' >script
expect 126 "cannot run './script'" capture -o script -- ./script
chmod +x script
expect 4 "nothing was recorded" capture -o script -- ./script
[ ! -e absent.d ] && [ ! -e absent.db ] && [ ! -e script.d ] || { ls; failed=1; }
expect 0 "^value$" capture -o env --env MOE_TEST=value -- sh -c 'echo $MOE_TEST'

# On a machine without a driver: what is missing, and why; with --require-gpu nothing runs.
if "$moesim" capture --probe | grep -q '^cuda=absent$'; then
    expect 0 "no kernels were recorded: there is no NVIDIA driver here (libcuda.so.1 was not found)" \
        capture -o plain -- true
    grep -q "no routing was recorded: no MoE model of transformers, vLLM or SGLang" said || failed=1
    expect 3 "nothing was run: kernels cannot be recorded here" capture -o no --require-gpu -- touch ran
    [ ! -e ran ] && [ ! -e no.db ] && [ ! -e no.d ] || { echo "--require-gpu ran it"; failed=1; }
    expect 3 "no kernels were recorded" capture -o strict --strict -- true
    expect 0 "routing was not asked for\|nothing was recorded" capture -o nvtx --strict --trace=nvtx -- true
    expect 3 "^kernels, copies, calls of CUDA: no: there is no NVIDIA driver here" capture --check
    for row in injector driver device CUPTI "held by" counters Python disk "ranges of NVTX" routing; do
        grep -q "^$row" said || { echo "--check has no '$row'"; cat said; failed=1; }
    done
    expect 0 "no_driver|there is no NVIDIA driver" python3 -c "import sqlite3
for row in sqlite3.connect('plain.db').execute('SELECT code, text FROM diagnostic'): print('|'.join(row))"
fi

expect 2 "'--output' wants a name" capture -o ./ -- touch ran
expect 2 "'--duration' wants a time above 0" capture --duration 0 -- touch ran
[ ! -e ran ] && [ ! -e .db ] || { ls -a; failed=1; }

# What is there stays there; -f replaces it.
expect 0 "first.db written" capture -o first -- true
cp first.db copy.db
expect 5 "first.db is there already" capture -o first -- touch ran
expect 5 "first.db is there already" capture -o first.db -- touch ran
cmp first.db copy.db && [ ! -e ran ] || failed=1
expect 0 "first.db written" capture -f -o first -- true
touch first.safetensors
mkdir first.d && touch first.d/1.raw
expect 127 "cannot run 'no-such-program'" capture -f -o first -- no-such-program
[ -e first.safetensors ] && [ -e first.d/1.raw ] || { echo "-f removed it for nothing"; failed=1; }
mkdir held.d && touch held.d/1.raw
expect 5 "held.d is there already: a capture that was not finished" capture -o held -- touch ran
touch held.d/mine
expect 5 "holds other files than raw logs" capture -f -o held -- touch ran
[ -e held.d/mine ] && [ ! -e ran ] || { echo "somebody's file went"; failed=1; }
expect 5 "no/folder/x.d: cannot make the folder" capture -o no/folder/x -- touch ran
expect 0 "capture.db written" capture -- true
mkdir blocked.db
expect 5 "blocked.db is there already" capture -o blocked -- touch ran
expect 5 "stays in blocked.d" capture -f -o blocked -- true
[ -d blocked.d ] && [ -d blocked.db ] || { ls; failed=1; }

# What a process that the program left behind records while the profile is made stays. Messages wait for
# room in a pipe here, the first of them until there is such a log.
python3 - "$moesim" <<'PYTHON' || failed=1
import os, subprocess, sys, time
reader, writer = os.pipe()
os.set_blocking(writer, False)
try:
    while True:
        os.write(writer, b"." * 4096)
except BlockingIOError:
    os.set_blocking(writer, True)
process = subprocess.Popen([sys.argv[1], "capture", "-o", "late", "--", "true"], stderr=writer)
os.close(writer)
for _ in range(1000):
    if os.path.exists("late.db"):
        break
    time.sleep(0.01)
open("late.d/77.raw", "w").close()
said = os.fdopen(reader, "rb").read()
assert process.wait() == 0
assert os.path.exists("late.d/77.raw"), "a log that was not decoded went"
assert b"late.d holds what processes recorded" in said, said
PYTHON

# Another tool is injected already: nothing runs.
for name in CUDA_INJECTION64_PATH NVTX_INJECTION64_PATH; do
    expect 125 "nothing was run: $name is set already" env $name=/opt/other.so "$moesim" capture -o taken \
        -- touch ran
    expect 125 "$name is set already" capture -o taken --env $name=/opt/other.so -- touch ran
done
expect 0 "taken.db written" env NVTX_INJECTION64_PATH=/opt/o.so "$moesim" capture -o taken --trace=route -- true
[ ! -e ran ] || { echo "it ran"; failed=1; }

# What is noted of the run.
meta() {
    python3 -c "import sqlite3, sys
print(*(v for v, in sqlite3.connect(sys.argv[1]).execute('SELECT value FROM meta WHERE name = ?', sys.argv[2:])))" "$@"
}
expect 7 "s with recording, .* s without: " capture --overhead -o twice -- sh -c 'echo x >>runs; exit 7'
printf 'in\n' >input
capture --overhead -o reads -- cat <input >out 2>said || failed=1
[ "$(grep -cx in out)" = 2 ] || { echo "--overhead: the second run reads nothing"; cat out; failed=1; }
[ "$(wc -l <runs)" = 2 ] || { echo "--overhead ran it $(wc -l <runs) times"; failed=1; }
[ "$(meta twice.db command)" = "'sh' '-c' 'echo x >>runs; exit 7'" ] || { meta twice.db command; failed=1; }
[ "$(meta twice.db exit_status)" = 7 ] || failed=1
case $(meta twice.db wall_without_recording_s) in 0.*) ;; *) failed=1 ;; esac
[ -z "$(meta first.db wall_without_recording_s)" ] || failed=1

# SIGINT, SIGTERM and SIGHUP are the program's; the profile is written all the same.
for signal in INT TERM HUP; do
    python3 - "$moesim" $signal <<'PYTHON' >said 2>&1 || { echo "SIG$signal:"; cat said; failed=1; }
import os, signal, subprocess, sys
number = getattr(signal, "SIG" + sys.argv[2])
program = "trap 'echo caught; exit 9' %s; echo ready; while :; do sleep 0.01; done" % sys.argv[2]
process = subprocess.Popen([sys.argv[1], "capture", "-f", "-o", "signal", "--", "sh", "-c", program],
                           stdout=subprocess.PIPE, start_new_session=True)
assert process.stdout.readline() == b"ready\n"
process.send_signal(number)
assert process.stdout.read() == b"caught\n"
assert process.wait() == 9, process.returncode
assert os.path.exists("signal.db") and not os.path.exists("signal.d")
PYTHON
    rm -f signal.db
done

# Of a terminal the program gets its interrupt itself, and once.
python3 - "$moesim" <<'PYTHON' >said 2>&1 || { echo "the terminal's interrupt:"; cat said; failed=1; }
import os, pty, sys
program = ("import signal, time; n = [0]\nsignal.signal(signal.SIGINT, lambda *_: n.append(1))\n"
           "print('ready', flush=True); time.sleep(0.7); print('got %d' % (len(n) - 1))")
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], [sys.argv[1], "capture", "-o", "typed", "--", sys.executable, "-c", program])
said = b""
while True:
    try:
        part = os.read(fd, 4096)
    except OSError:
        break
    if not part:
        break
    if b"ready" not in said and b"ready" in said + part:
        os.write(fd, b"\x03")
    said += part
assert os.waitpid(pid, 0)[1] == 0, said
assert b"got 1" in said and b"typed.db written" in said, said
PYTHON

# moesim killed: the program goes on to its end, and its folder can still be decoded.
python3 - "$moesim" <<'PYTHON' || failed=1
import os, signal, subprocess, sys, time
process = subprocess.Popen([sys.argv[1], "capture", "-o", "killed", "--", "sh", "-c",
                            "echo ready; read go; touch went-on"],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)
assert process.stdout.readline() == b"ready\n"
process.kill()
process.wait()
process.stdin.write(b"go\n")
process.stdin.close()
for _ in range(1000):
    if os.path.exists("went-on"):
        break
    time.sleep(0.01)
assert os.path.exists("went-on") and os.path.isdir("killed.d") and not os.path.exists("killed.db")
PYTHON
# What is being written is not taken away, not even by -f: by a capture that runs, or by a program
# whose log it is.
python3 - "$moesim" <<'PYTHON' || failed=1
import fcntl, os, subprocess, sys
def capture(*words, **more):
    return subprocess.Popen([sys.argv[1], "capture", *words], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, **more)
first = capture("-o", "busy", "--", "sh", "-c", "echo ready; read go; exit 3", stdin=subprocess.PIPE)
assert first.stdout.readline() == "ready\n"
for words in ([], ["-f"]):
    second = capture(*words, "-o", "busy", "--", "touch", "ran")
    said = second.communicate()[1]
    assert second.returncode == 5 and "busy.d is still being written by another capture" in said, said
first.communicate("go\n")
assert first.returncode == 3 and os.path.exists("busy.db") and not os.path.exists("ran")
os.remove("held.d/mine")
with open("held.d/77.raw", "w") as log:
    fcntl.flock(log, fcntl.LOCK_EX)
    second = capture("-f", "-o", "held", "--", "true")
    said = second.communicate()[1]
    assert second.returncode == 5 and "held.d is still being written" in said, said
    assert os.path.exists("held.d/77.raw"), "the log went"
second = capture("-f", "-o", "held", "--", "true")
said = second.communicate()[1]
assert second.returncode == 0 and os.path.exists("held.db"), said
PYTHON
exit $failed
