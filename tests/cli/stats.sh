#!/bin/sh
# trace stats: every value of a small random trace against a slow oracle; the same bytes each time;
# the database and the figures.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
needs python3
oracle() { python3 -B "$source/tests/cli/stats_oracle.py" "$@"; }

for seed in 1 2; do
    oracle write random.safetensors $seed
    "$moesim" trace stats random.safetensors --csv >stats.csv 2>notes || failed=1
    oracle check random.safetensors $seed stats.csv || failed=1
    "$moesim" trace stats random.safetensors --csv 2>/dev/null | cmp - stats.csv || failed=1
done

# A selection is as good as a trace of its own, whichever way it is made.
stats="$moesim trace stats random.safetensors --csv"
printf '# some of them\n5, 1\n\n3 1 # again\n' >keep.txt
# shellcheck disable=SC2086
{
    $stats --sequences 1,3,5 >by-place.csv 2>/dev/null
    $stats --select keep.txt >by-number.csv 2>/dev/null
    cmp by-place.csv by-number.csv || failed=1
    cmp -s by-place.csv stats.csv && { echo "the selection changes nothing"; failed=1; }
    $stats --only overlap,srp >said 2>&1 && failed=1
    $stats --only segments 2>/dev/null | grep -v '^srp' | grep -v '^statistic,' && failed=1
    $stats --sample 100 2>&1 >/dev/null | grep -q "on 2 of 6 sequences" ||
        { echo "no sample"; failed=1; }
}

# Experts on three ranks as a file says, which says what is the default.
awk 'BEGIN { print "layer,expert,rank"; for (e = 0; e < 9; e++) print "*," e "," int(e * 3 / 9) }' >ranks.csv
$stats --only balance --placement ranks.csv 2>/dev/null >placed.csv || failed=1
$stats --only balance 2>/dev/null | grep -e statistic, -e ranks=3 | cmp - placed.csv || failed=1

# Into a database, twice: the second takes the place of the first; another selection stands beside.
"$moesim" trace stats random.safetensors -o stats.db >/dev/null 2>&1 || failed=1
"$moesim" trace stats random.safetensors -o stats.db >/dev/null 2>&1 || failed=1
"$moesim" trace stats random.safetensors --sequences 0..2 -o stats.db >/dev/null 2>&1 || failed=1
rows=$(python3 -B -c "
import sqlite3
print(sqlite3.connect('stats.db').execute('''SELECT group_concat(selection || ':' || n) FROM
 (SELECT selection, count(*) AS n FROM trace_statistic WHERE statistic = 'overlap' AND layer = -1
  GROUP BY selection)''').fetchone()[0])")
[ "$rows" = ":64,--sequences 0..2:32" ] || { echo "database: $rows"; failed=1; }

if command -v gnuplot >/dev/null; then
    "$moesim" trace stats random.safetensors --plot figures >said 2>&1 || { cat said; failed=1; }
    for figure in popularity affinity overlap coverage misses hits page; do
        for ending in pdf png gp; do
            [ -s figures/$figure.$ending ] || { echo "no $figure.$ending"; failed=1; }
        done
    done
    # The legend stands below the title, axes end at the data, intervals are seen or not spoken of.
    for figure in overlap coverage misses hits; do
        grep -q "^set key title '" figures/$figure.gp && grep -q "^set autoscale xfix" \
            figures/$figure.gp || { echo "$figure: title or axis"; failed=1; }
    done
    awk '$4 != "NaN" && $4 - $3 > 1.5 {wide = 1} END {exit !wide}' figures/hits.dat && seen=0 || seen=1
    grep -q "filledcurves.* title '95 % interval'" figures/hits.gp
    [ $? = $seen ] || { echo "hits: intervals"; failed=1; }
    # Few layers are named one by one, not by halves.
    printf 'sequences: 4\nlayers: 2\nexperts: 16\nprompt: 40\noutput: 40\n' >two.yaml
    "$moesim" trace synth two.yaml -o two.safetensors >said 2>&1 || { cat said; failed=1; }
    "$moesim" trace stats two.safetensors --plot two >said 2>&1 || { cat said; failed=1; }
    grep -q "^set ytics 1$" two/popularity.gp && ! grep -q "^set xtics 1$" two/popularity.gp ||
        { echo "popularity: halves of layers"; failed=1; }
fi
exit $failed
