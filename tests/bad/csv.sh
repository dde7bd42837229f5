# Every way in which a CSV of routing can be wrong; nothing is written.
try()
{
    echo "== $1"
    printf "$2" >routing.csv
    "$moesim" trace import routing.csv -o routing.safetensors 2>&1
    echo "exit $?"
    rm routing.csv
}
try "ragged row" 'seq,pos,layer,experts\n0,0,0,1 2\n0,0,1\n'
try "too many fields" 'seq,pos,layer,experts\n0,0,0,1 2,7\n'
try "negative expert" 'seq,pos,layer,experts\n0,0,0,-1 2\n'
try "negative position" 'seq,pos,layer,experts\n0,-3,0,1 2\n'
try "2^63" 'seq,pos,layer,experts\n0,0,0,9223372036854775808 2\n'
try "2^64 sequence" 'seq,pos,layer,experts\n18446744073709551616,0,0,1 2\n'
try "not a number" 'seq,pos,layer,experts\n0,zero,0,1 2\n'
try "expert twice" 'seq,pos,layer,experts\n0,0,0,1 1\n'
try "layer twice" 'seq,pos,layer,experts\n0,0,0,1 2\n0,0,0,1 2\n'
try "a layer is missing" 'seq,pos,layer,experts\n0,0,0,1 2\n0,0,1,1 2\n0,1,0,1 2\n'
try "no header" '0,0,0,1 2\n'
try "wrong header" 'seq,pos,layr,experts\n0,0,0,1 2\n'
try "header alone" 'seq,pos,layer,experts\n'
try "empty" ''
try "blank line" 'seq,pos,layer,experts\n0,0,0,1 2\n\n0,0,1,1 2\n'
