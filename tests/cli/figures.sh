#!/bin/sh
# Figures from scenarios and from databases; without gnuplot one plain line.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
scenario drawn 'sweep: {experts.cache.evict: [lru, belady], experts.cache.capacity: [25%, 50%]}
plot:
  - {x: experts.cache.capacity, y: decode_tokens_per_s, series: experts.cache.evict, file: [a.svg, a.pdf]}
  - {kind: blame, x: experts.cache.evict, series: experts.cache.capacity, file: b.svg}'

# Without gnuplot in the path.
expect 0 "note: gnuplot is not installed" env PATH=/nowhere "$moesim" run drawn.yaml
expect 3 "^moesim: gnuplot is not installed" env PATH=/nowhere "$moesim" plot drawn.db drawn.yaml
expect 0 "gnuplot *not found" env PATH=/nowhere "$moesim" --version
[ -e a.gp ] && { echo "a.gp was made"; failed=1; }

needs gnuplot
is() {
    head -c 4 "$2" 2>/dev/null | grep -q -e "$1" || { echo "$2 is no $1"; failed=1; }
}
expect 0 "figure: a.svg, a.pdf (script: a.gp)" "$moesim" run drawn.yaml
is "<?xm" a.svg
is "%PDF" a.pdf
is "<?xm" b.svg
[ -s a.dat ] && [ -s a.gp ] || { echo "data or script is missing"; failed=1; }
rm a.svg && gnuplot a.gp && is "<?xm" a.svg

# Another database's figures do not overwrite these.
cp a.svg kept.svg
cp drawn.db copy.db
expect 0 "figure: other-a.svg, other-a.pdf (script: other-a.gp)" "$moesim" run drawn.yaml \
    --seed 2 -o other.db
is "<?xm" other-a.svg
cmp a.svg kept.svg || { echo "a.svg was overwritten"; failed=1; }
expect 0 "figure: more/copy-a.svg" "$moesim" plot copy.db drawn.yaml -o more
expect 0 "left out, no run has what it shows" "$moesim" plot other.db drawn.yaml
mkdir elsewhere
expect 0 "figure: elsewhere/a.svg" "$moesim" run drawn.yaml -o elsewhere/drawn.db

expect 0 "figure: figures/a.svg" "$moesim" run drawn.yaml --plot figures
is "<?xm" figures/a.svg
expect 0 "figure: more/a.svg" "$moesim" plot drawn.db drawn.yaml -o more
is "<?xm" more/b.svg
expect 0 "figure: c.tex" "$moesim" plot drawn.db --x experts.cache.capacity --y hit_rate -o c.tex
is "%" c.tex
expect 0 "figure: d.png" "$moesim" plot drawn.db --kind blame -x experts.cache.evict \
    -w experts.cache.capacity=25% -o d.png
is "PNG" d.png
expect 1 "did you mean 'experts.cache.evict'" "$moesim" plot drawn.db --x experts.cache.evct \
    --y hit_rate -o e.png
expect 1 "unknown metric 'hit_rat'; did you mean 'hit_rate'" "$moesim" plot drawn.db \
    --x experts.cache.evict --y hit_rat -o e.png
expect 1 "figures end in" "$moesim" plot drawn.db --x experts.cache.evict --y hit_rate -o e.gif
expect 3 "/dev/null" "$moesim" plot drawn.db --x experts.cache.evict --y hit_rate -o /dev/null/e.png
[ -e e.png ] && { echo "e.png was made"; failed=1; }

# Runs on changed routing are marked: a series of them, else the bars of them, else all.
scenario changed 'sweep:
  routing.transform: [[], [{kind: mask, keep: 4}]]
  experts.cache.capacity: [25%, 50%]
plot:
  - {x: experts.cache.capacity, y: decode_tokens_per_s, series: routing.transform, file: f.svg}
  - {x: routing.transform, y: hit_rate, title: Hits, file: g.svg}
  - {kind: blame, x: routing.transform, series: experts.cache.capacity, file: h.svg}'
expect 0 "figure: h.svg" "$moesim" run changed.yaml
says() {
    grep -qF -e "$2" "$1" || { echo "$1 lacks: $2"; failed=1; }
}
note="routing changed, not recorded"
says f.gp "set title '* $note'"
says f.gp "title '[{kind: mask, keep: 4}] *'"
says g.gp "set title 'Hits (* $note)'"
says h.gp "set title '* $note'"
says h.gp "'[{kind: mask, keep: 4}] *'"
grep -qF "'[] *'" f.gp g.gp h.gp && { echo "routing as it was is marked"; failed=1; }
grep -qF "$note" a.gp && { echo "a.gp is marked"; failed=1; }
expect 0 "^\* counterfactual: the routing was transformed" "$moesim" run changed.yaml -o all.db \
    --set 'routing.transform=[{kind: mask, keep: 4}]'
exit $failed
