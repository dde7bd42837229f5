# Profiles whose sums are known: kernels, a copy and a graph on one device; ranges of a host alone.
command -v python3 >/dev/null || { echo "python3 is absent"; exit 77; }
for kind in small host; do
    python3 -B "$source/tests/cli/profile_db.py" $kind $kind.db
    "$moesim" profile stats $kind.db
    rm $kind.db
done
