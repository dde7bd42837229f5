#!/bin/sh
# Databases that are none, are somebody else's, are damaged, newer, locked, full or read-only.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
needs python3
scenario small

sql() {
    python3 -c 'import sqlite3, sys
d = sqlite3.connect(sys.argv[1]); d.executescript(sys.argv[2]); d.close()' "$1" "$2"
}
unchanged() {
    cmp -s "$1" "$1.before" || { echo "$1 was changed"; failed=1; }
    for left in "$1-wal" "$1-shm" "$1-journal"; do
        [ -e "$left" ] && { echo "$left was left"; failed=1; }
    done
}

echo "notes" >text.db
sql other.db "CREATE TABLE notes(text); PRAGMA application_id = 42; PRAGMA journal_mode = WAL"
"$moesim" run -q small.yaml -o newer.db || failed=1
sql newer.db "PRAGMA user_version = 99"
for case in "text:is not a database" "other:another application" "newer:a newer moesim"; do
    name=${case%%:*}.db
    cp "$name" "$name.before"
    expect 3 "^moesim: $name: .*${case#*:}" "$moesim" run small.yaml -o "$name"
    unchanged "$name"
    expect 3 "^moesim: $name: .*${case#*:}" "$moesim" plot "$name" --x seed --y hit_rate -o a.png
    unchanged "$name"
done

mkdir folder
expect 3 "folder: is not a regular file" "$moesim" run small.yaml -o folder
expect 3 "/dev/null: is not a regular file" "$moesim" run small.yaml -o /dev/null
expect 3 "no/such/a.db: cannot be opened or created" "$moesim" run small.yaml -o no/such/a.db
expect 3 "absent.db" "$moesim" plot absent.db --x seed --y hit_rate -o a.png
[ -e absent.db ] && { echo "absent.db was made"; failed=1; }
: >empty.db
expect 3 "is empty" "$moesim" plot empty.db --x seed --y hit_rate -o a.png
expect 0 "1 run in empty.db" "$moesim" run small.yaml -o empty.db

# Damaged in the middle: what is read of it tells.
"$moesim" run -q small.yaml -o damaged.db || failed=1
python3 - <<'PYTHON'
with open("damaged.db", "r+b") as file:
    size = file.seek(0, 2)
    file.seek(4096)
    file.write(b"\xff" * (size - 4096))
PYTHON
expect 3 "damaged.db: the database is damaged" "$moesim" run small.yaml -o damaged.db

# A read-only folder: that of somebody else, or for root one of the kernel's.
mkdir read-only
chmod a-w read-only
if touch read-only/x 2>/dev/null; then
    [ -d /sys/kernel ] && expect 3 "cannot be opened or created" "$moesim" run small.yaml \
        -o /sys/kernel/moesim.db
else
    expect 3 "cannot be opened or created" "$moesim" run small.yaml -o read-only/a.db
fi

# Locked for longer than moesim waits.
"$moesim" run -q small.yaml -o locked.db || failed=1
python3 - >ready <<'PYTHON' &
import sqlite3, time
database = sqlite3.connect("locked.db", isolation_level=None)
database.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(8)
PYTHON
while ! grep -q locked ready 2>/dev/null; do sleep 0.1; done
expect 3 "locked.db: locked by another program" "$moesim" run small.yaml --seed 5 -o locked.db
kill $! 2>/dev/null
wait 2>/dev/null

# No room: the limit on file sizes stands for a full disk. What was committed stays whole.
scenario many "sweep: {seed: [$(seq -s, 1 60)]}
store: all"
(ulimit -f 200 && "$moesim" run -q many.yaml -o full.db) >said 2>&1
code=$?
if [ $code != 3 ] || ! grep -q "full.db" said; then
    echo "no room: exit $code"
    cat said
    failed=1
fi
[ "$(wc -l <said)" = 1 ] || { echo "no room: more than one line"; cat said; failed=1; }
python3 - <<'PYTHON' || failed=1
import sqlite3
database = sqlite3.connect("full.db")
assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
runs, = database.execute("SELECT count(*) FROM run").fetchone()
whole, = database.execute("SELECT count(DISTINCT run) FROM blame").fetchone()
assert 0 < runs < 60 and runs == whole, (runs, whole)
PYTHON
expect 0 "60 runs in full.db" "$moesim" run many.yaml -o full.db
exit $failed
