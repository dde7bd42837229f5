# readme.sh PROGRAM SOURCE: the README's commands run, and what it shows is what comes out.
command -v python3 >/dev/null || {
    echo "python3 is not here; skipped"
    exit 77
}
exec python3 -B "$(dirname "$0")/readme.py" "$1" "$2"
