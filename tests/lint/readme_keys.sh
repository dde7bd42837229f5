#!/bin/sh
# readme_keys.sh PROGRAM SOURCE: the README's key reference is what the program's tables say.
# MOE_UPDATE_GOLDEN=1 rewrites it between its two markers.
set -eu
readme=$2/README.md
begin='<!-- keys: written by tests/lint/readme_keys.sh -->'
end='<!-- keys: end -->'

{
    sed "/^$begin\$/q" "$readme"
    "$1" help --markdown
    sed -n "/^$end\$/,\$p" "$readme"
} >README.new
grep -qxF "$begin" "$readme" && grep -qxF "$end" "$readme" || {
    echo "README.md lacks the line '$begin' or '$end'"
    exit 1
}
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
