# Captures that cannot be: options, models, ids, texts, places. Models have random weights.
make() { python3 -B "$source/tests/cli/checkpoint.py" "$@"; }
try()
{
    echo "== moesim capture $*"
    "$moesim" capture "$@" 2>&1 </dev/null
    echo "exit $?"
}
make m
echo "1 2 3" >ids.txt
try
try -m m
try -m m -t ids.txt
try -m m -t ids.txt -o x --lookahead 9
try -m m -t ids.txt -o x --decode -1
try -m m -t ids.txt -o x --temperature hot
try -m m -t ids.txt -o x --save-every 10
try -m m -t ids.txt --dry-run --logits
try -m m -t ids.txt -o x --tokenz ids.txt

# Places.
try -m gone -t ids.txt -o x
try -m m -t gone.txt -o x
try -m m -t ids.txt -o no/such/folder/x
mkdir -p folder.safetensors
try -m m -t ids.txt -o folder
try -m m -t folder.safetensors -o x
try -m ids.txt -t ids.txt -o x

# Ids.
: >empty.jsonl
try -m m -t empty.jsonl -o x
printf '1 2 3\n4 64 5\n\n' >beyond.txt
try -m m -t beyond.txt -o x
printf '{"ids": [1, 2]}\n{"ids": [1, 99, 100]}\n{"ids": [70]}\n' >beyond.jsonl
try -m m -t beyond.jsonl -o x
printf '{"ids": [1, 2]}\n{"ids": [1, -2]}\n{"ids": []}\n{"id": [1]}\n{"ids": [1.5]}\n' >wrong.jsonl
try -m m -t wrong.jsonl -o x
printf '{"ids": [1], "ids": [2]}\n{"domain": "c"}\n{"ids": [1, 2], "prompt": 3}\n{"ids": [1], "prompt": 0}\n{"ids": [4294967295]}\n{"ids": [1]} 2\n[1, 2\n' >odd.jsonl
try -m m -t odd.jsonl -o x
printf '1 2 x\n99999999999\n3.5\n' >odd.txt
try -m m -t odd.txt -o x
echo "Call me Ishmael." >prose.txt
try -m m -t prose.txt -o x
printf 'abc' >odd.u32
try -m m -t odd.u32 -o x
: >empty.u32
try -m m -t empty.u32 -o x
python3 - <<'PYTHON'
def npy(name, descr, shape, data):
    head = ("{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (descr, shape)).encode()
    head += b" " * (-(10 + len(head) + 1) % 64) + b"\n"
    open(name, "wb").write(b"\x93NUMPY\1\0" + len(head).to_bytes(2, "little") + head + data)
npy("real.npy", "<f4", "(2,)", bytes(8))
npy("deep.npy", "<i4", "(1, 1, 2)", bytes(8))
npy("none.npy", "<i4", "(2, 0)", b"")
npy("negative.npy", "<i4", "(2, 2)", bytes(12) + b"\xff\xff\xff\xff")
npy("cut.npy", "<i4", "(4,)", bytes(8))
PYTHON
for file in real deep none negative cut; do try -m m -t $file.npy -o x; done
"$moesim" trace sample -o routing.safetensors >/dev/null
try -m m -t routing.safetensors -o x
"$moesim" capture -m m -t ids.txt --decode 2 -o run >/dev/null
try -m m -t run.safetensors -o run
"$moesim" trace transform run.safetensors -s '{kind: slice, position: 1}' -o part.safetensors >/dev/null
try -m m -t part.safetensors -o x

# Context.
python3 -c 'print(*[1] * 129)' >long.txt
try -m m -t ids.txt -t long.txt -o x
try -m m -t ids.txt -o x --decode 126
try -m m -t ids.txt -o x --context 129
try -m m -t ids.txt -o x --context 16 --decode 16

# Models.
make nan nan=1
try -m nan -t ids.txt -o x
make nan-end nan-end=1
try -m nan-end -t ids.txt -o x --decode 4 --temperature 1
try -m nan-end -t ids.txt --dry-run --decode 4
make ends 'eos_token_id=[0, 1.5]'
try -m ends -t ids.txt -o x
make ends "eos_token_id=[$(seq -s, 17)]"
try -m ends -t ids.txt -o x
make huge 'max_position_embeddings=2000000000'
for i in $(seq 200); do echo 1; done >many.txt
try -m huge -t many.txt -o x --decode 16777216 --batch 200 | sed 's/[0-9.]* [KMGT]iB are/N are/'

# Texts: no tokenizer, no Python, no package, a tokenizer that is none, text that is none.
echo hello >text.txt
try -m m --text text.txt -o x
echo '{}' >m/tokenizer.json
try -m m --text gone.txt -o x
MOE_PYTHON=no-such-python try -m m --text text.txt -o x
mkdir none
printf '#!/bin/sh\nexec python3 -S -I "$@"\n' >none/python && chmod +x none/python
MOE_PYTHON=none/python try -m m --text text.txt -o x
mkdir fake
cat >fake/tokenizers.py <<'PYTHON'
class Tokenizer:
    @staticmethod
    def from_file(path):
        if open(path).read().strip() == "{}":
            raise ValueError("no model in it")
        return Tokenizer()
    def encode(self, text):
        self.ids = [ord(c) % 64 for c in text]
        return self
PYTHON
PYTHONPATH=fake try -m m --text text.txt -o x
echo '{"model": 1}' >m/tokenizer.json
printf 'abc\377' >latin.txt
PYTHONPATH=fake try -m m --text latin.txt -o x
: >nothing.txt
PYTHONPATH=fake try -m m --text nothing.txt -o x
PYTHONPATH=fake try -m m --text none -o x
PYTHONPATH=fake try -m m -t long.txt --text text.txt -o x
mkfifo pipe
try -m m -t pipe -o x
rm pipe
ls x* 2>/dev/null
