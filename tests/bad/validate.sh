# What can be wrong about tables of other projects, and about how validate is called.
try()
{
    echo "== $1"
    shift
    "$moesim" validate "$@" >said 2>&1
    code=$?
    grep -v "^ \|^$\|^Errors\|^server" said | sed 's/take [0-9.e+]* times/take N times/'
    echo "exit $code"
}
who="VLLM,1.2,NVIDIA H100 80GB HBM3"
gemm=framework,version,device,op_name,kernel_source,gemm_dtype,m,n,k,latency
moe=framework,version,device,op_name,kernel_source,moe_dtype,num_tokens,hidden_size,inter_size,topk
moe=$moe,num_experts,moe_tp_size,moe_ep_size,distribution,latency
rows()
{
    i=1
    while [ $i -le 20 ]; do
        echo "$who,gemm,lib,bfloat16,$((i * 64)),4096,4096,$1$((i * 3))"
        i=$((i + 1))
    done
}
{ echo $gemm && rows 0.0; } >gemm.csv
{ echo $gemm && rows 0.00000; } >seconds.csv
{ echo $gemm && rows 2; } >microseconds.csv
{ echo $gemm && rows 0.0 | sed 's/NVIDIA H100 80GB HBM3/NVIDIA Z9000/'; } >device.csv
{ echo $gemm && rows 0.0 | sed 's/bfloat16/bf17/'; } >dtype.csv
{ echo $gemm && rows 0.0 | sed 's/,4096,/,many,/'; } >number.csv
{ echo ${gemm%,k,latency},latency && rows 0.0; } >column.csv
{ echo $moe && echo "$who,moe,x,fp8,4,4096,1024,2,8,1,1,zipf,0.1"; } >distribution.csv
{ echo $moe && echo "$who,moe,x,fp8,4,4096,1024,2,8,1,1"; } >short.csv
{ echo "m,k,n,latency_us,mfu" && echo "8,64,64,5,0.1"; } >gemm_data.csv
{ echo "tokens,activated_experts,time_us" && echo 1,8,50; } >moe.csv
echo "a,b" >other.csv
head -n 3 gemm.csv | sed '1s/$/,m/; 2,$s/$/,7/' >twice.csv
{ head -n 2 gemm.csv && printf "$who,gemm,lib,bfloat16,64,40\00096,4096,0.1\n"; } >nul.csv
gzip -c gemm.csv | head -c 150 >cut.csv.gz
{ echo $gemm && echo "$who,gemm,lib,bfloat16,64,4096,4096,1e308"; } >large.csv
{ echo $gemm && echo "$who,gemm,lib,bfloat16,64,4096,4096,-1"; } >negative.csv
{ echo $gemm && echo "$who,gemm,lib,bfloat16,64,4096,4096,1e400"; } >infinite.csv
echo $gemm >header.csv
: >nothing.csv
{ head -n 21 gemm.csv && echo "$who,gemm,lib,bfloat16,64,4096,4096,0.9"; } >repeated.csv
mkdir -p empty some
cp gemm.csv column.csv some

try "no table"
try "no such table" none.csv
try "an unknown layout" other.csv
try "a missing column" column.csv
try "an unknown dtype" dtype.csv
try "an unknown distribution" distribution.csv
try "no number" number.csv
try "a line that is short" short.csv
try "seconds" seconds.csv
try "microseconds" microseconds.csv
try "an unknown device" device.csv
try "a name that does not say the model" moe.csv
try "a folder without tables" empty
try "a folder in which one is not known" some -b --worst 0 -q
try "a column twice" twice.csv
try "a byte 0" nul.csv
try "compressed data that ends early" cut.csv.gz
try "a number that is too large" large.csv
try "a negative number" negative.csv
try "a number beyond all" infinite.csv
try "a header alone" header.csv
try "an empty file" nothing.csv
try "a measurement twice" repeated.csv -b --worst 0 -q
try "no such machine" --device server-h1000 gemm.csv
try "no such library" --kernels vllm-7 gemm.csv
try "no such choice" --fit most gemm.csv
head -n 4 gemm.csv >few.csv
try "a fit to too few rows" --fit 4of5 few.csv
try "nothing left" --only dtype=fp8 gemm.csv
try "no such column" --not dtipe=fp8 gemm.csv
try "over its own input" gemm.csv --markdown gemm.csv
try "a full disk" gemm.csv --markdown /dev/full -b --worst 0 -q
rm -rf ./*.csv ./*.gz empty some said
