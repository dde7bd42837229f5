# Experts on disk that cannot be, and logs of decisions that nobody took.
make() { python3 -B "$source/tests/cli/checkpoint.py" "$@"; }
try()
{
    echo "== moesim $*"
    "$moesim" "$@" 2>&1 </dev/null
    echo "exit $?"
}
command -v python3 >/dev/null || { echo "python3 is not here; skipped"; exit 77; }
make m
echo "1 2 3 4 5 6 7 8 9 10 11 12" >ids.txt
"$moesim" capture -m m -t ids.txt --decode 4 -o t >/dev/null || exit

# Options.
try capture -m m -t ids.txt -o x --evict lru
try capture -m m -t ids.txt -o x --prefetch next-layer
try capture -m m -t ids.txt -o x --decisions run.log
try capture -m m -t ids.txt -o x --follow t.safetensors --offload 25%
try capture -m m -t ids.txt -o x --offload lots
try capture -m m -t ids.txt -o x --offload 25% --evict lur
try capture -m m -t ids.txt -o x --offload 25% --evict "{kind: lfu, small: 3}"
try capture -m m -t ids.txt -o x --offload rest
try capture -m m -t ids.txt -o x --offload 100B
try capture -m m -t ids.txt -o x --offload 100B --scope layer
try capture -m m -t ids.txt -o x --offload 25% --evict belady
try capture -m m -t ids.txt -o x --offload 25% --evict static --predict oracle --prefetch next-layer
try capture -m m -t ids.txt -o x --offload 25% --predict recorded --prefetch next-layer --lookahead 0
try capture -m m -t ids.txt -o x --offload 25% --predict "{kind: recorded, distance: 3}" --prefetch next-layer
try capture -m m -t ids.txt -o x --offload 25% --decisions no/such/folder/run.log

# What is followed must be what is run.
try capture -m m --follow gone.safetensors -o x --offload 25%
try capture -m m --follow t.safetensors --chunk 5 -o x --offload 25%
try capture -m m --follow "$source/traces/samples/quickstart.safetensors" -o x --offload 25%

# Logs.
"$moesim" capture -m m --follow t.safetensors --offload 40% --decisions run.log -o x --lookahead 2 \
    --predict "{kind: recorded, distance: 2}" --prefetch "{kind: next-layer, distance: 2}" >/dev/null || exit
try trace replay run.log t.safetensors
"$moesim" capture --force -m m --follow t.safetensors --offload 40% --decisions run.log -o x >/dev/null || exit
try trace replay run.log "$source/traces/samples/quickstart.safetensors"
try trace replay gone.log t.safetensors
try trace replay ids.txt t.safetensors
sed 's/^set evict lru/set evict lur/; s/^set scope model/set scope modle/' run.log >wrong.log
try trace replay wrong.log t.safetensors
sed '/^set slots/d' run.log >wrong.log
try trace replay wrong.log t.safetensors
sed 's/^set evict lru/set evict fifo/' run.log >wrong.log
try trace replay wrong.log t.safetensors
sed '20s/.*/perhaps 1.2/' run.log >wrong.log
try trace replay wrong.log t.safetensors
rm -r m ids.txt t.safetensors x.safetensors run.log wrong.log
