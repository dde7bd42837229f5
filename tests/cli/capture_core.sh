#!/bin/sh
# capture_core.sh MOESIM SOURCE: the execution core under `moesim capture --`: what the capture heard
# of its routing is what the core recorded itself, beside the times of its stages.
set -u
moesim=$1 source=$2
core()
{
    "$moesim" capture -f -o heard -- "$moesim" capture -m "$source/profiler/smallmoe" \
        -t "$source/profiler/smallmoe/prompts/c.ids.jsonl" --decode 4 --batch 2 --ignore-end --exact \
        -o "$1" >out.txt 2>said.txt || {
        cat out.txt said.txt
        exit 1
    }
}
core own
python3 - <<'PYTHON' || exit 1
import json, sqlite3, struct, sys

def read(path):
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        header, data = json.loads(file.read(size)), file.read()
    return {name: (t["dtype"], t["shape"], data[slice(*t["data_offsets"])])
            for name, t in header.items() if name != "__metadata__"}

own, heard = read("own.safetensors"), read("heard.safetensors")
for name in ("expert_ids", "gate_weights", "sequence", "position", "step", "phase", "token_id"):
    if own[name] != heard[name]:
        sys.exit(f"{name}: the core recorded {own[name][:2]}, the capture heard {heard[name][:2]}")
db = sqlite3.connect("heard.db")
tokens, = db.execute("SELECT sum(tokens) FROM load WHERE layer = 3").fetchone()
if tokens != own["expert_ids"][1][0] * own["expert_ids"][1][2]:
    sys.exit(f"{tokens} tokens were routed in layer 3, {own['expert_ids'][1]} are in the trace")
stages = dict(db.execute("SELECT stage, count(*) FROM stage GROUP BY stage"))
steps, = db.execute("SELECT count(*) FROM step").fetchone()
if stages and stages["experts"] != 8 * steps:
    sys.exit(f"{stages} in {steps} steps")
PYTHON

# The core's own trace has the capture's name: it stays.
core heard
grep -q "heard.safetensors is the program's own" said.txt || {
    cat said.txt
    exit 1
}
cmp own.safetensors heard.safetensors
