#!/bin/sh
# No command that writes a file of its own replaces one that stands there, unless --force says so;
# what is there stays as it was, and what is no regular file is written to.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
needs python3
sample=$source/traces/samples/quickstart.safetensors
scenario timed 'store: timeline'
python3 -B "$source/tests/cli/checkpoint.py" m
echo "1 2 3 4 5 6 7 8 9" >ids.txt
printf 'sequences: 2\nlayers: 2\nexperts: 4\nprompt: 100\noutput: 100\n' >made.yaml
{
    echo "kind,direction,bytes,time_us"
    for shift in 0 1 2 3 4 5 6 7 8 9; do
        bytes=$((65536 << shift))
        echo "copy,h2d,$bytes,$((bytes / 20000 + 15))"
    done
} >copies.csv

# refused NAME COMMAND...: without --force and with it
refused() {
    name=$1
    shift
    echo mine >"$name"
    expect 3 "^moesim: $name exists; --force replaces it$" "$moesim" "$@"
    [ "$(cat "$name")" = mine ] || { echo "$name is not as it was: $*"; failed=1; }
    expect 0 "." "$moesim" "$@" --force
    [ "$(head -c 5 "$name" | tr -d '\0')" = mine ] && { echo "$name is as it was: $*"; failed=1; }
}
refused s.safetensors trace sample -o s.safetensors
refused i.safetensors trace import "$source/tests/unit/data/engines/llamacpp_bare.csv" -o i.safetensors
refused e.csv trace export "$sample" -o e.csv
refused y.safetensors trace synth made.yaml -o y.safetensors
refused f.yaml trace fit y.safetensors -o f.yaml
refused t.safetensors trace transform y.safetensors --step '{kind: anonymise}' -o t.safetensors
refused l.json profile timeline --simulated timed.yaml -o l.json
refused c.safetensors capture -m m -t ids.txt -o c
refused d.log capture -m m -t ids.txt --offload 50% --dry-run --decisions d.log
refused p.yaml calibrate copies.csv --device mine --base desktop-rtx3090 -o p.yaml
refused r.csv calibrate copies.csv --device mine --base desktop-rtx3090 --rows r.csv
refused v.md validate copies.csv --device desktop-rtx3090 --markdown v.md

# Shards of a trace stand there under other names.
: >n.safetensors.index.json
expect 3 "n.safetensors.index.json exists; --force" "$moesim" trace sample -o n.safetensors
expect 0 "/dev/null written" "$moesim" trace export "$sample" --format csv -o /dev/null
# A database of results grows.
expect 0 "1 run in" "$moesim" run timed.yaml -o db
expect 0 "1 of them from before" "$moesim" run timed.yaml -o db
exit $failed
