# Databases that are not moesim's, of another version, damaged, or on a full disk: exit 3, and the
# database stays as it was.
command -v sqlite3 >/dev/null || { echo "sqlite3 is not here; skipped"; exit 77; }
cat >scenario.yaml <<'END'
name: a scenario that is right
model: mixtral-8x7b
hardware: desktop-rtx4090
precision: {experts: int4}
routing: {trace: traces/samples/quickstart.safetensors}
workload: {requests: 1, prompt: 0, output: 2}
experts: {home: dram, cache: {capacity: 25%}}
END
try()
{
    echo "== $1"
    before=$(cksum <"$2")
    "$moesim" run -q scenario.yaml -o "$2" 2>&1
    echo "exit $?"
    [ "$before" = "$(cksum <"$2")" ] || echo "$2 was changed"
    rm -f "$2" "$2-wal" "$2-shm"
}
sqlite3 other.db 'CREATE TABLE run(a, b); INSERT INTO run VALUES(1, 2);'
try "somebody else's database" other.db
sqlite3 unknown.db 'CREATE TABLE recipes(a, b);'
try "a database with other tables" unknown.db

"$moesim" run -q scenario.yaml -o newer.db
sqlite3 newer.db 'PRAGMA user_version = 9999;'
try "a later version" newer.db

"$moesim" run -q scenario.yaml -o cut.db
truncate -s 5000 cut.db
rm -f cut.db-wal cut.db-shm
try "cut short" cut.db

# A limit on the size of files stands for a disk that is full.
echo "== disk full"
(
    trap '' XFSZ
    ulimit -f 8
    "$moesim" run -q scenario.yaml -o full.db 2>&1
    echo "exit $?"
)
runs=$(sqlite3 full.db 'SELECT count(*) FROM run' 2>/dev/null || echo 0)
echo "runs stored: ${runs:-0}"
rm -f full.db full.db-wal full.db-shm scenario.yaml
