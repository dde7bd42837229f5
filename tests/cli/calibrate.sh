# calibrate.sh PROGRAM SOURCE: from measured tables to a preset that scenarios use; and, where the
# public tables lie beside the source, what is made of those of an H100.
set -eu
moesim=$1
source=$2

fail()
{
    echo "$*"
    exit 1
}

# A table as a spreadsheet might have it: a machine with 20 GB/s and 15 us.
{
    echo "# by hand"
    echo "kind,direction,bytes,time_us"
    for shift in 0 1 2 3 4 5 6 7 8 9; do
        bytes=$((65536 << shift))
        echo "copy,h2d,$bytes,$((bytes / 20000 + 15))"
    done
} >copies.csv
"$moesim" calibrate copies.csv --device mine --base desktop-rtx3090 -o mine.yaml >said.txt
grep -q "links.0.rate *[0-9.]*GB/s *20" said.txt || fail "no rate of 20 GB/s: $(cat said.txt)"
grep -q "rate: {value: 20.*GB/s, basis: fitted, source: \"copies.csv: 8 rows of kind copy" mine.yaml ||
    fail "no provenance: $(grep rate: mine.yaml)"
"$moesim" calibrate copies.csv --device mine --base desktop-rtx3090 -o again.yaml >/dev/null
cmp mine.yaml again.yaml
cat >s.yaml <<'S'
model: mixtral-8x7b
hardware: mine.yaml
precision: {experts: int4}
routing: {synthetic: {sequences: 1, prompt: 0, output: 2}}
workload: {prompt: 0}
experts: {home: dram}
S
"$moesim" check s.yaml >/dev/null

measured=$source/../shared/data/measured/aiconfigurator
if ! ls "$measured"/h100_sxm__moe__vllm__* >/dev/null 2>&1 || ! command -v python3 >/dev/null; then
    echo "the public tables, or python3, are not here; the rest was tested"
    exit 0
fi
# kind, the largest mean error in percent of the rows that are fitted, and of those held back
python3 -B "$source/tests/fidelity/aiconfigurator.py" "$measured" h100.csv
"$moesim" calibrate h100.csv --device my-h100 --only dtype=bfloat16 -o h100.yaml >h100.txt
cat h100.txt
while read -r kind fitted held; do
    awk -v kind="$kind" -v fitted="$fitted" -v held="$held" '
        $1 == kind && $3 ~ /^[0-9.]+$/ && !seen { seen = 1; good = $3 <= fitted && $10 <= held
            printf "%s: %s %% (at most %s), held back %s %% (at most %s)\n", kind, $3, fitted, $10,
                held }
        END { exit !good }' h100.txt || fail "$kind is farther off"
done <<'S'
gemm 12 12.5
experts 12 15
attention 12 14
S
sed 's/^hardware: .*/hardware: h100.yaml/' s.yaml >t.yaml
"$moesim" check t.yaml >/dev/null
command -v gnuplot >/dev/null || exit 0
"$moesim" calibrate h100.csv --device my-h100 --only kind=experts --plot f \
    >/dev/null
[ -s f/experts.png ] && [ -s f/experts.pdf ] && [ -s f/experts.gp ] && [ -s f/page.png ] ||
    fail "no figures"
