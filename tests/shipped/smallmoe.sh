# smallmoe.sh PROGRAM SOURCE: the small model's files agree with each other.
command -v python3 >/dev/null || {
    echo "python3 is not here; skipped"
    exit 77
}
exec python3 -B "$(dirname "$0")/smallmoe.py" "$2/profiler/smallmoe"
