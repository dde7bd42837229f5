# validate.sh PROGRAM: what it prints, stores, writes and draws; the order of files and rows is nothing.
set -eu
moesim=$1
head=framework,version,device,op_name,kernel_source,gemm_dtype,m,n,k,latency
{
    echo $head
    i=1
    while [ $i -le 40 ]; do
        echo "VLLM,0.24.0,NVIDIA H100 80GB HBM3,gemm,lib,bfloat16,$((i * 64)),4096,$((i % 8 * 512 + 512)),0.0$((10 + i))"
        i=$((i + 1))
    done
} >gemm.csv
{ head -n 1 gemm.csv && tail -n +2 gemm.csv | sort -r; } >turned.csv
mkdir -p folder/deeper
gzip -c gemm.csv >folder/deeper/gemm.csv.gz
echo "nothing to see" >folder/notes.txt
echo "a,b" >folder/other.csv

fail()
{
    echo "$1"
    exit 1
}
"$moesim" validate gemm.csv -b --worst 0 -q >one.txt
"$moesim" validate turned.csv -b --worst 0 -q >two.txt
"$moesim" validate folder -b --worst 0 -q >three.txt
cmp one.txt two.txt || fail "another order, other errors"
cmp one.txt three.txt || fail "packed and in a folder, other errors"
grep -q "gemm bf16, vllm 0.24.0  *40 " one.txt || fail "no forty rows"

"$moesim" validate gemm.csv --fit 4of5 --worst 1 -o errors.db --markdown table.md --plot figures >all.txt
grep -q "    fitted  *35 " all.txt && grep -q "    foretold  *5 " all.txt || fail "not four of five"
grep -q "gemm.csv:[0-9]" all.txt || fail "no place of the worst row"
grep -q "^| gemm bf16, vllm 0.24.0 | 40 |" table.md || fail "no Markdown"
python3 - <<'PYTHON'
import sqlite3
d = sqlite3.connect("errors.db")
rows, fitted = d.execute("SELECT count(*), sum(fitted) FROM validation_row").fetchone()
assert (rows, fitted) == (40, 35), (rows, fitted)
(mean,) = d.execute("SELECT mean FROM v_validation_error WHERE family LIKE 'gemm%'").fetchone()
(sum_,) = d.execute("SELECT avg(abs(predicted_us / measured_us - 1)) FROM validation_row").fetchone()
assert abs(mean - sum_) < 1e-9, (mean, sum_)
worst = d.execute("SELECT abs(error) FROM v_validation LIMIT 1").fetchone()[0]
assert worst > mean, (worst, mean)
PYTHON
"$moesim" validate gemm.csv --fit 4of5 -q -b --worst 0 -o errors.db >again.txt
python3 -c 'import sqlite3; d = sqlite3.connect("errors.db"); n, = d.execute("SELECT count(*) FROM validation_row").fetchone(); assert n == 40, n'
if command -v gnuplot >/dev/null; then
    [ -s figures/page.png ] || fail "no figure"
fi
# a library that is learnt
printf 'name: mine\ngemm:\n  - name: lib\n    dtype: bf16\n    efficiency: 50%%\n    stream_efficiency: 80%%\n    fixed: 5us\n' >mine.yaml
"$moesim" calibrate gemm.csv --device learnt --base server-h100 --kernels mine.yaml --kernels-out learnt.yaml --worst 0 >learnt.txt
grep -q "basis: fitted" learnt.yaml || fail "nothing was learnt"
"$moesim" validate gemm.csv --kernels learnt.yaml -b --worst 0 -q >with.txt
grep -q "gemm bf16" with.txt || fail "the library is not taken"
