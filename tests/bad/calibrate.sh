# What can be wrong about measured tables, and about how calibrate is called.
try()
{
    echo "== $1"
    shift
    "$moesim" calibrate "$@" 2>&1
    echo "exit $?"
}
head=kind,device,m,n,k,time_us
rows()
{
    i=1
    while [ $i -le 20 ]; do
        echo "gemm,$1,$((i * i * 8)),4096,$((i * 512)),$((i * 7))$2"
        i=$((i + 1))
    done
}
{ echo $head && rows H100 ""; } >good.csv
{ echo $head && rows H100 "" && rows H200 ""; } >two.csv
{ echo $head && rows H100 "000"; } >nanoseconds.csv
{ echo $head && echo gemm,H100,4096,4096,4096,0.166; } >milliseconds.csv
{ echo kind,devise,time_us && echo launch,H100,5; } >column.csv
{ echo kind,time_us && echo gem,5 && echo gemm,5 && echo launch,-5; } >rows.csv
{ echo kind,kernels,time_us && echo launch,10,25; } >few.csv
echo "text" >text.csv
: >empty.csv
printf 'SQLite format 3\0garbage' >broken.db

try "no name" good.csv
try "no table" --device mine
try "no such table" --device mine --base server-h100 none.csv
try "no base" --device mine good.csv --worst 0
sed 's/,H100,/,,/' good.csv >nobody.csv
try "no base to guess" --device mine nobody.csv
try "no such base" --device mine --base server-h1000 good.csv
try "no such model" --device mine --base server-h100 --model mixtral good.csv
try "an unknown column" --device mine --base server-h100 column.csv
try "unknown kinds, missing and bad values" --device mine --base server-h100 rows.csv
try "no table at all" --device mine --base server-h100 text.csv
try "an empty file" --device mine --base server-h100 empty.csv
try "no database" --device mine --base server-h100 broken.db
try "milliseconds" --device mine --base server-h100 milliseconds.csv
try "nanoseconds" --device mine --base server-h100 nanoseconds.csv
try "too few" --device mine --base server-h100 few.csv
try "two devices" --device mine --base server-h100 two.csv
try "one of two" --device mine --base server-h100 two.csv --only device=H10
try "no such column" --device mine --base server-h100 two.csv --only devise=H100
try "nothing to choose by" --device mine --base server-h100 two.csv --only H100
try "nothing left" --device mine --base server-h100 good.csv --not device=H100
try "over its own input" --device mine --base server-h100 good.csv -o good.csv
try "a full disk" --device mine --base server-h100 good.csv --worst 0 -o /dev/full
rm ./*.csv broken.db
