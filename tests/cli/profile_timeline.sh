#!/bin/sh
# profile timeline: valid for its readers, whatever overlaps; steps aligned; simulated runs beside.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
needs python3
# Both formats say the same; timeline NAME WHAT... makes NAME.json and NAME.pftrace.
timeline() {
    name=$1
    shift
    for ending in json pftrace; do
        "$moesim" profile timeline --force "$@" -o "$name.$ending" >said 2>&1 || { cat said; failed=1; }
    done
}
check() {
    python3 -B "$source/tests/cli/profile_timeline.py" "$1.json" >tracks || failed=1
    python3 -B "$source/tests/cli/profile_timeline.py" "$1.pftrace" >ordered || failed=1
    sort tracks >a && sort ordered | diff a - || { echo "$1: the formats differ"; failed=1; }
}
has() { grep -qxF -e "$1" tracks || { echo "no track: $1"; cat tracks; failed=1; }; }
for kind in small host empty lossy random-1 random-2; do
    python3 -B "$source/tests/cli/profile_db.py" $kind $kind.db || failed=1
done

timeline small small.db
check small
has "small.db: GPU X, measured; stream 7; 11; 91000; 10000"
has "small.db: GPU X, measured; copy engine HtoD; 1; 30000; 69000"
has "small.db: GPU X, measured; copy engine memset; 1; 1000; 267000"
has "small.db: process 10, measured; steps; 2; 250000; 0"
has "small.db: GPU X, measured; launches that wait; most; 2; last; 0"
timeline again small.db
cmp small.json again.json && cmp small.pftrace again.pftrace || failed=1
"$moesim" profile timeline small.db -o small.json.gz >said || failed=1
gzip -dc small.json.gz | cmp - small.json || failed=1
"$moesim" profile timeline small.db -o small.pftrace.gz >said || failed=1
gzip -dc small.pftrace.gz | cmp - small.pftrace || failed=1
timeline one small.db --step 1
check one
has "small.db: GPU X, measured; stream 7; 4; 26000; 12000"
has "small.db: process 10, measured; steps; 1; 60000; 0"
for kind in host empty lossy random-1 random-2; do
    timeline $kind $kind.db
    check $kind
done
# text that JSON must escape
python3 - <<'PYTHON'
import sqlite3
db = sqlite3.connect("small.db")
db.execute("UPDATE string SET value = 'void f<\"x\\y\">\t\n\u00e9' || char(1) WHERE value = 'sample'")
db.execute("UPDATE range SET text = CAST(x'ff22fe' AS TEXT) WHERE text = 'step'")
db.commit()
PYTHON
timeline small small.db
check small

# A simulated step below the measured one: from a database, and from a scenario.
scenario drawn 'store: timeline'
expect 0 "1 run in drawn.db" "$moesim" run drawn.yaml
timeline both small.db --simulated drawn.db --simulated drawn.yaml --step 1
check both
[ "$(grep -c "; steps; 1; [0-9]*; [0-9]*$" tracks)" = 3 ] || { cat tracks; failed=1; }
sed -n 's/.*; steps; 1; [0-9]*; //p' tracks | uniq | wc -l | grep -qx " *1" ||
    { echo "steps do not begin together"; cat tracks; failed=1; }
# measured devices, what was simulated, hosts
sed 's/; .*//' ordered | uniq | tr '\n' '|' | grep -qx \
    "small.db: GPU X, measured|drawn.db: simulated|drawn: simulated|small.db: process 10, measured|" ||
    { echo "out of order"; cat ordered; failed=1; }
grep "drawn.db: simulated; " tracks | sed 's/^[^;]*//' >stored
grep "drawn: simulated; " tracks | sed 's/^[^;]*//' | cmp - stored || failed=1
grep -q "; compute " stored && grep -q "; copy engine " stored && grep -q "; link " stored ||
    { cat stored; failed=1; }
timeline alone --simulated drawn.yaml --set experts.cache.evict=belady
check alone

# What is recorded sums to what the run reports, and recording changes nothing.
"$moesim" run drawn.yaml -q --set store=summary -o plain.db || failed=1
python3 - <<'PYTHON' || failed=1
import sqlite3, sys
a, b = sqlite3.connect("drawn.db"), sqlite3.connect("plain.db")
wrong = [q for q in ("SELECT name, value FROM metric ORDER BY 1", "SELECT identity FROM run",
                     "SELECT * FROM blame") if a.execute(q).fetchall() != b.execute(q).fetchall()]
(begin,) = a.execute("SELECT min(start_ps) FROM step").fetchone()
(warm,) = a.execute("SELECT count(*) FROM step").fetchone()
busy = a.execute("SELECT name, busy_ps FROM device").fetchall()
for name, ps in busy:
    (sum_,) = a.execute("SELECT sum(end_ps - start_ps) FROM timeline WHERE server = ?", (name,)).fetchone()
    if sum_ != ps:
        wrong.append(f"{name}: {sum_} ps of tasks, {ps} ps busy")
for name, moved in a.execute("SELECT link, bytes FROM link WHERE bytes > 0"):
    (sum_,) = a.execute("SELECT sum(bytes) FROM timeline WHERE link = ?", (name,)).fetchone()
    if sum_ != moved:
        wrong.append(f"{name}: {sum_} bytes, {moved} reported")
if not busy or not warm or begin != 0:
    wrong.append("nothing was compared")
print(*wrong, sep="\n", end="\n" if wrong else "")
sys.exit(bool(wrong))
PYTHON

expect 2 "'-o FILE' is missing" "$moesim" profile timeline small.db
expect 2 "wants a profile" "$moesim" profile timeline -o x.json
expect 3 "^moesim: small.db: has no step 9" "$moesim" profile timeline small.db -o x.json --step 9
expect 3 "plain.db: has no such run with a timeline" "$moesim" profile timeline \
    --simulated plain.db -o x.json
expect 3 "the simulated run has no step 100000" "$moesim" profile timeline \
    --simulated drawn.yaml --step 100000 -o x.json
expect 2 "\-\-run 7: drawn.yaml has 1 run" "$moesim" profile timeline --simulated drawn.yaml \
    --run 7 -o x.json
[ -e x.json ] && { echo "x.json was written"; failed=1; }
[ -c /dev/full ] && expect 3 "^moesim: /dev/full: " "$moesim" profile timeline small.db -o /dev/full
exit $failed
