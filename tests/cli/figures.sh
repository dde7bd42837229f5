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
exit $failed
