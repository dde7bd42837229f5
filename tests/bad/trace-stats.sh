# Selections and groups that are none, and what a trace does not have.
sample=traces/samples/quickstart.safetensors
stats() {
    echo "== $*"
    "$moesim" trace stats "$@" >out 2>&1
    status=$?
    grep -v '^statistic' out | head -n 12
    echo "exit $status"
    rm out
}
cd "$source" || exit 1
stats
stats absent.safetensors
stats README.md
stats $sample --sequences 3..2
stats $sample --sequences 0..17,x
stats $sample --sequences ""
stats $sample --sequences 1,,2
stats $sample --only overlap,overlp
stats $sample --only ""
stats $sample --sample 0
stats $sample --batch 2000
stats $sample --select absent.txt
folder=$(mktemp -d)
cd "$folder" || exit 1
printf '0, 1\n2 sixteen # a comment\n\n3,-4,16\n' >keep.txt
printf '# none\n' >none.txt
printf '1\0002\n' >nul.txt
for file in keep none nul; do
    stats "$source/$sample" --select $file.txt
done
printf '1\n' >one.txt
stats "$source/$sample" --select one.txt --sequences 4..8
stats "$source/$sample" --only gate,lookahead --sequences 1
printf 'layer,expert,rank\n*,0,0\n3,9,1\n3,1,x\n' >ranks.csv
stats "$source/$sample" --only balance --placement ranks.csv
printf 'layer,expert,rank\n*,0,0\n' >few.csv
stats "$source/$sample" --only balance --placement few.csv
printf 'text' >text.db
stats "$source/$sample" --only gate --sequences 1 -o text.db
stats "$source/$sample" --only gate --sequences 1 -o absent/x.db
PATH=/nowhere
stats() {
    "$moesim" trace stats "$@" >/dev/null
    echo "exit $?"
}
stats "$source/$sample" --only overlap --sequences 1 --plot figures
PATH=/usr/bin:/bin
rm -r "$folder"
