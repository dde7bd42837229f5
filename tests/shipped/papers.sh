# papers.sh PROGRAM SOURCE: the scenarios of papers meet what they expect, and the table in their
# README is what comes out. MOE_UPDATE_GOLDEN=1 writes the table.
moesim=$1
readme=$2/scenarios/papers/README.md
status=0
command -v sqlite3 >/dev/null || {
    echo "sqlite3 is absent"
    exit 77
}

# Numbers with three digits, so that the table reads; `moesim run` prints more.
rows() {
    sqlite3 -separator ' | ' "$1" "
        WITH short AS (SELECT *,
            replace(replace(of, 'label=', ''), 'experts.cache.evict=', '') AS o,
            replace(replace(over, 'label=', ''), 'experts.cache.evict=', '') AS v
            FROM expectation WHERE pair = 0)
        SELECT '| ' || metric,
            CASE WHEN o = '' THEN 'all' ELSE o END || CASE WHEN v = '' THEN '' ELSE ' / ' || v END,
            CASE bound WHEN 'at_least' THEN '≥ ' WHEN 'at_most' THEN '≤ ' ELSE '' END ||
                printf('%.4g', expected),
            printf('%.4g', got), printf('%+.1f %%', 100 * (got / expected - 1)),
            basis, verdict || ' |'
        FROM short ORDER BY number" | sed 's/|\([a-z]\)/, \1/g'
}

for file in "$2"/scenarios/papers/*.yaml; do
    name=$(basename "$file" .yaml)
    "$moesim" run --no-plot -o "$name.db" "$file" >out 2>&1 || {
        status=1
        echo "== $file: exit $?"
        cat out
    }
    # The first line of a scenario is the paper's title and number, and goes on with what it is about.
    paper=$(sed -n '1s/^# \(.*arXiv [0-9.]*)\).*/\1/p' "$file")
    others=$(sed -n '/^#/!q;p' "$file" | grep -o 'arXiv [0-9.]*[0-9]' | sort -u |
        while read -r number; do case $paper in *"$number"*) ;; *) echo "$number" ;; esac; done |
        paste -sd, | sed 's/,/, /g')
    [ -n "$paper" ] || {
        status=1
        echo "== $file: the first line names no paper"
    }
    printf '\n**%s** ([%s.yaml](%s.yaml)): %s\n\n' "$(sed -n 's/^name: //p' "$file")" \
        "$name" "$name" "$paper${others:+; $others}"
    echo '| metric | of / over | expected | got | off | basis | verdict |'
    echo '|---|---|---|---|---|---|---|'
    rows "$name.db"
done >table
grep -A 40 '^== ' table

{
    sed '/<!-- table: /q' "$readme"
    cat table
    echo
    sed -n '/<!-- table: end -->/,$p' "$readme"
} >wanted
if [ "$MOE_UPDATE_GOLDEN" = 1 ] && [ $status = 0 ]; then
    cp wanted "$readme"
elif ! diff -u "$readme" wanted; then
    echo "the table is not what comes out: MOE_UPDATE_GOLDEN=1 writes it"
    status=1
fi
exit $status
