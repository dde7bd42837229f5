#!/bin/sh
# profile plot: figures where there is something to show, with the numbers that views have.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
needs python3
for kind in small host empty lossy random-1; do
    python3 -B "$source/tests/cli/profile_db.py" $kind $kind.db || failed=1
done
expect 2 "'-o WHERE' is missing" "$moesim" profile plot small.db
expect 2 "'--bandwidth' wants a rate such as" "$moesim" profile plot small.db -o f/ \
    --expert-bytes 1MiB --bandwidth fast
expect 2 "go together" "$moesim" profile plot small.db -o f/ --expert-bytes 1MiB
expect 3 "^moesim: gnuplot is not installed" env PATH=/nowhere "$moesim" profile plot small.db -o f/
[ -e f ] && { echo "f was made"; failed=1; }

needs gnuplot
is() {
    head -c 4 "$2" 2>/dev/null | grep -q -e "$1" || { echo "$2 is no $1"; failed=1; }
}
has() {
    grep -qxF -e "$2" "$1" || { echo "$1 lacks: $2"; cat "$1"; failed=1; }
}
expect 0 "figure: f/copies.pdf, f/copies.png (script: copies.gp)" "$moesim" profile plot small.db \
    -o f/ --expert-bytes 1MiB --bandwidth 1TB/s
for figure in stages split gaps experts copies; do
    is "%PDF" f/$figure.pdf
    is "PNG" f/$figure.png
    [ -s f/$figure.dat ] && [ -s f/$figure.gp ] || { echo "$figure lacks its data"; failed=1; }
done
has f/stages.dat '"1" 0 0.015 0.002 0 0.028 0 0 0'
has f/gaps.dat '"64" 0 0.096 0 0.001'
has f/gaps.dat '"32" 0.03 0.003 0 0.002'
has f/split.dat '"decode" 44.82758621 0 3.448275862 18.96551724 32.75862069'
has f/experts.dat ' 2 8'
grep -q "reading weights" f/experts.gp || { echo "no bound"; failed=1; }
(cd f && rm stages.png && gnuplot stages.gp) && is "PNG" f/stages.png

# Ranges alone; nothing at all; a prefix; one figure.
expect 0 "figure: one-split left out, nothing of it was recorded" "$moesim" profile plot host.db \
    -o one
is "PNG" one-stages.png
grep -q "Host time" one-stages.gp || { echo "not of the host"; failed=1; }
expect 0 "figure: empty-stages left out" "$moesim" profile plot empty.db -o g/empty
expect 0 "figure: ./two-gaps.pdf" "$moesim" profile plot random-1.db -o two --figure gaps
[ -e two-stages.dat ] && { echo "more than one figure"; failed=1; }
expect 1 "18.5 % were lost" "$moesim" profile plot lossy.db -o f/
expect 0 "figure: f/gaps.pdf" "$moesim" profile plot lossy.db -o f --allow-loss
expect 3 "/dev/null" "$moesim" profile plot small.db -o /dev/null/x
exit $failed
