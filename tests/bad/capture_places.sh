# Captures that would write over what they read, or over what somebody wants to keep.
make() { python3 -B "$source/tests/cli/checkpoint.py" "$@"; }
try()
{
    echo "== moesim capture $*"
    "$moesim" capture "$@" 2>&1 </dev/null
    echo "exit $?"
}
command -v python3 >/dev/null || { echo "python3 is not here; skipped"; exit 77; }
make m
make sharded
mv sharded/model.safetensors sharded/a.safetensors
python3 - <<'PYTHON'
import json, struct
with open("sharded/a.safetensors", "rb") as file:
    header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
with open("sharded/model.safetensors.index.json", "w") as out:
    json.dump({"weight_map": {name: "a.safetensors" for name in header}}, out)
PYTHON
echo "1 2 3 4 5 6 7 8 9" >ids.txt
echo "1 70" >beyond.txt
ln -s m link
ln m/model.safetensors hard.safetensors
"$moesim" capture -m m -t ids.txt --decode 2 -o t >/dev/null || exit
echo "a log to keep" >keep.log
cp ids.txt text.safetensors
echo '{}' >m/tokenizer.json
find . -type f ! -name before | sort | xargs cksum >before

# The trace over the checkpoint, the tokens, the texts, the trace that is followed.
try -m m -t ids.txt -o m/model
try -m m -t ids.txt -o link/model
try -m m -t ids.txt -o hard
try -m sharded -t ids.txt -o sharded/a
try -m sharded -t ids.txt -o sharded/model
try -m m --text text.safetensors -o text
try -m m --follow t.safetensors --offload 25% -o t

# The log over the same, and over the trace.
try -m m -t ids.txt --offload 25% -o x --decisions m/model.safetensors
try -m m -t ids.txt --offload 25% -o x --decisions m/config.json
try -m m -t ids.txt --offload 25% -o x --decisions link/tokenizer.json
try -m sharded -t ids.txt --offload 25% -o x --decisions sharded/a.safetensors
try -m sharded -t ids.txt --offload 25% -o x --decisions sharded/model.safetensors.index.json
try -m m -t ids.txt --offload 25% -o x --decisions ids.txt
try -m m --follow t.safetensors --offload 25% -o x --decisions t.safetensors
try -m m -t ids.txt --offload 25% -o x --decisions ./x.safetensors
try -m m -t ids.txt --offload 25% -o t --decisions m/../t.safetensors
try -m m -t ids.txt --offload 25% --dry-run --decisions m/config.json

# No name.
try -m m -t ids.txt -o ""
try -m m -t ids.txt -o m/
try -m m -t ids.txt --offload 25% -o x --decisions ""

# What is refused leaves the log of before, and none where there was none.
try -m m -t beyond.txt --offload 25% --force -o x --decisions keep.log
try -m m -t beyond.txt --offload 25% -o x --decisions new.log
try -m m -t ids.txt --offload 1B --force -o x --decisions keep.log
try -m m -t ids.txt --offload 25% -o x --decisions keep.log
try -m m -t ids.txt -o t
find . -type f ! -name before | sort | xargs cksum | diff before - || echo "files changed"
rm -r m sharded link hard.safetensors before
