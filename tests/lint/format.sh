#!/bin/sh
# format.sh SOURCE: every C file is as clang-format 14 writes it.
cd "$1" || exit 1
format=$(command -v clang-format-14) || format=$(command -v clang-format) || format=
case $("${format:-false}" --version 2>/dev/null) in
*"version 14."*) ;;
*)
    echo "clang-format 14 is not here; skipped"
    exit 77
    ;;
esac
if ! list=$(git -c safe.directory='*' ls-files -co --exclude-standard '*.c' '*.h' '*.cu' '*.cuh' '*.cc' 2>/dev/null); then
    list=$(find . \( -name build -o -name .git \) -prune -o \( -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' -o -name '*.cc' \) -print)
fi
[ -n "$list" ] || exit 1
# The first place in each file is enough.
# shellcheck disable=SC2086
found=$("$format" --dry-run $list 2>&1 | sed -n 's/ warning: code.*/ not as clang-format writes it/p' |
    sort -t: -u -k1,1)
if [ -z "$found" ]; then
    exit 0
fi
printf '%s\nmend with: %s -i FILE\n' "$found" "$format"
exit 1
