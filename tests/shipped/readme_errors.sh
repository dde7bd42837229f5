# readme_errors.sh PROGRAM SOURCE: the errors that README.md names are those of hw/README.md.
command -v python3 >/dev/null || {
    echo "python3 is not here; skipped"
    exit 77
}
exec python3 -B "$(dirname "$0")/readme_errors.py" "$2"
