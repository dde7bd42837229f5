# hw_readme.sh PROGRAM SOURCE: the tables of hw/README.md are what `moesim validate` makes of the
# public tables, where these lie beside the source.
set -eu
moesim=$1
source=$2
data=$source/../shared/data/measured
readme=$source/hw/README.md
[ -d "$data" ] || {
    echo "no public tables in ../shared/data/measured; skipped"
    exit 77
}
"$moesim" validate "$data" --markdown tables.md -b -q --worst 0 >said 2>&1 || {
    cat said
    exit 1
}
sed '/<!-- validate: begin -->/q' "$readme" >wanted.md
{ echo && cat tables.md && echo; } >>wanted.md
sed -n '/<!-- validate: end -->/,$p' "$readme" >>wanted.md
if [ -n "${MOE_UPDATE_GOLDEN:-}" ]; then
    cmp -s wanted.md "$readme" || cp wanted.md "$readme"
    exit 0
fi
diff -u "$readme" wanted.md || {
    echo "(- hw/README.md, + now; when the change is wanted: MOE_UPDATE_GOLDEN=1)"
    exit 1
}
