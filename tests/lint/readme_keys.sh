#!/bin/sh
# readme_keys.sh PROGRAM SOURCE: the README's key reference is what the program's tables say.
# MOE_UPDATE_GOLDEN=1 rewrites it between its two markers.
set -eu
readme=$2/README.md
begin='<!-- keys: written by tests/lint/readme_keys.sh -->'
end='<!-- keys: end -->'

if ! grep -qxF "$begin" "$readme" || ! grep -qxF "$end" "$readme"; then
    echo "README.md lacks the line '$begin' or '$end'"
    exit 1
fi
"$1" help --markdown >keys.md
awk -v begin="$begin" -v end="$end" '
    $0 == end { inside = 0 }
    !inside { print }
    $0 == begin { inside = 1; while ((getline line < "keys.md") > 0) print line }
' "$readme" >README.new
cmp -s README.new "$readme" && exit 0
if [ "${MOE_UPDATE_GOLDEN:-}" = 1 ]; then
    cat README.new >"$readme"
    echo "README.md: key reference rewritten"
    exit 0
fi
diff -u "$readme" README.new || true
echo "README.md: the key reference is not what the program says (- README, + program); mend with"
echo "  MOE_UPDATE_GOLDEN=1 ctest --preset release -R lint/readme_keys"
exit 1
