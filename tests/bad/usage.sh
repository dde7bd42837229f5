# Command lines that cannot be: one line and a hint, exit 2.
try()
{
    echo "== moesim $*"
    "$moesim" "$@" 2>&1 </dev/null
    echo "exit $?"
}
try
try rnu
try run
try run --jobz 3 x.yaml
try run -j 0 x.yaml
try run -j lots x.yaml
try run --set
try run -x x.yaml
try check
try trace
try trace inof x.safetensors
try trace info
try help sede
try list modles
