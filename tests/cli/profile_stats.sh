#!/bin/sh
# profile stats: random profiles against slow sums; files that are none; losses; empty ones.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
needs python3
make() { python3 -B "$source/tests/cli/profile_db.py" "$@" || failed=1; }
all=stages,layers,split,idle,launch,queue,copies,expert_rows

for seed in 1 2 3 4 5 6; do
    make random-$seed random.db
    "$moesim" profile stats random.db --only $all --csv >stats.csv || failed=1
    python3 -B "$source/tests/cli/profile_oracle.py" random.db stats.csv || failed=1
    "$moesim" profile stats random.db --only $all --csv | cmp - stats.csv || failed=1
done

# One view is plain CSV; a comma in a name is quoted.
make small small.db
"$moesim" profile stats small.db --only kernels --csv >kernels.csv || failed=1
head -n 1 kernels.csv | grep -qx "stage,n,all_ns,share,mean_ns,shortest_ns,longest_ns,kernel" ||
    { echo "no header"; failed=1; }
grep -q "^experts,4,56000,0.6153846153846154,14000,8000,20000,experts_kernel$" kernels.csv ||
    { cat kernels.csv; failed=1; }
expect 0 "router  *2 " "$moesim" profile stats small.db --only kernels --top 1

# What cannot be trusted, or read.
make lossy lossy.db
expect 1 "^moesim: lossy.db: 18.5 % were lost (cupti: 5 of 27 records)" \
    "$moesim" profile stats lossy.db
expect 0 "^moesim: note: lossy.db: 18.52 % were lost" "$moesim" profile stats lossy.db --allow-loss
expect 0 "cupti.dropped  *5" "$moesim" profile stats lossy.db --only capture
sqlite() { python3 -c "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])" "$@"; }
sqlite lossy.db "DELETE FROM loss; INSERT INTO loss VALUES(10, 'log', 'unread_bytes', 100);
    INSERT INTO loss VALUES(10, 'cupti', 'buffer_denied', 9)"
expect 1 "lossy.db: 3.2 % were lost (log: 1 of 31 records)" "$moesim" profile stats lossy.db
make torn torn.db
expect 3 "^moesim: torn.db: table kernel, row [0-9]* ends before it starts$" \
    "$moesim" profile stats torn.db
expect 3 "^moesim: absent.db: cannot be opened" "$moesim" profile stats absent.db
echo "no database at all, however long this text may be made; SQLite's header has 100 bytes" >text.db
expect 3 "^moesim: text.db: is not a database$" "$moesim" profile stats text.db
expect 3 "is not a database" "$moesim" profile stats .
sqlite3 other.db "CREATE TABLE t(x)" 2>/dev/null &&
    expect 3 "^moesim: other.db: is a database, but no profile" "$moesim" profile stats other.db
python3 - <<'PYTHON'
import sqlite3
db = sqlite3.connect("small.db")
db.execute("PRAGMA user_version = 99")
db.commit()
PYTHON
expect 3 "small.db: made by a newer moesim (profile version 99" "$moesim" profile stats small.db
head -c 6000 torn.db >cut.db
expect 3 "^moesim: cut.db: " "$moesim" profile stats cut.db
expect 2 "no view is called 'stage'; did you mean 'stages'" "$moesim" profile stats torn.db \
    --only stage
make empty empty.db
expect 0 "^nothing recorded for: steps, stages, layers, split" "$moesim" profile stats empty.db
exit $failed
