# add_policy.sh PROGRAM SOURCE: the README's example of a new policy, done as it says.
for need in python3 cmake ninja; do
    command -v $need >/dev/null || {
        echo "$need is not here; skipped"
        exit 77
    }
done
exec python3 -B "$(dirname "$0")/add_policy.py" "$2"
