#!/bin/sh
# Captures of small models with random weights: what is recorded, and what must not change it.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
needs python3
make() { python3 -B "$source/tests/cli/checkpoint.py" "$@"; }
check() { python3 -B "$source/tests/cli/capture.py" "$@" || failed=1; }
same() { cmp "$1" "$2" || failed=1; }
make model
cat >ids.jsonl <<JSON
{"ids": [5, 9, 17, 33, 2, 60, 41, 8, 8, 3], "domain": "c"}
{"ids": [7, 1, 1, 50, 22], "domain": "prose"}
{"ids": [12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24], "domain": "c"}
JSON
capture() { "$moesim" capture --force -m model "$@"; }
run="-t ids.jsonl --decode 12 --lookahead 3 --exact"

# Threads change nothing; batches and chunks only which tokens ran together.
capture $run -o one --threads 1 >/dev/null || failed=1
capture $run -o two.safetensors --threads 2 >/dev/null || failed=1
same one.safetensors two.safetensors
capture $run -o batched --batch 3 >/dev/null || failed=1
capture $run -o chunked --batch 2 --chunk 4 >/dev/null || failed=1
check same_rows one.safetensors batched.safetensors
check same_rows one.safetensors chunked.safetensors
[ "$(check steps batched.safetensors)" = "28P 3D 3D 3D 3D 3D 3D 3D 3D 3D 3D 3D 3D" ] ||
    { echo "steps: $(check steps batched.safetensors)"; failed=1; }
case $(check steps chunked.safetensors) in
"4P 4P 4P 3P 2D 2D 2D 2D 2D 2D 2D 2D 2D 2D 2D 2D 4P 4P 4P 1P 1D "*) ;;
*) echo "steps: $(check steps chunked.safetensors)"; failed=1 ;;
esac

# Without --exact the same again is the same.
capture -t ids.jsonl --decode 5 -o fast >/dev/null && capture -t ids.jsonl --decode 5 -o again >/dev/null
same fast.safetensors again.safetensors

# What was decoded, run again from the trace: the very same. As a prompt: the same routing.
capture -t batched.safetensors --batch 3 --lookahead 3 --exact -o replayed >/dev/null || failed=1
check same_tensors batched.safetensors replayed.safetensors
check whole_sequences one.safetensors >whole.jsonl
capture -t whole.jsonl --lookahead 3 --exact -o prefilled >/dev/null || failed=1
check same_rows one.safetensors prefilled.safetensors

# A prompt and what was decoded behind it, given as one list of ids.
sed 's/^{/{"prompt": 4, /' whole.jsonl >given.jsonl
capture -t given.jsonl --batch 3 --lookahead 3 --exact -o given >/dev/null || failed=1
check same_rows one.safetensors given.safetensors
expect 0 "^tokens       64 (12 prefill, 52 decode)" "$moesim" trace info given.safetensors

# What is said of it.
expect 0 "^domains      2: c 47, prose 17" "$moesim" trace info one.safetensors
for line in "^sequences    3, of 17 .. 25 tokens" "^look-ahead   3 layers ahead, 2 ids with weights" \
    "^similarity   of what layers see" "^token ids    yes" "^steps        yes" "^order        weight" \
    "^model        model" "^engine       moesim .*, cpu, exact" "^prompts      ids.jsonl" \
    "^sampling     greedy"; do
    grep -q -e "$line" said || { echo "info says no '$line'"; cat said; failed=1; }
done
recall=$("$moesim" trace stats one.safetensors --only lookahead --csv |
    sed -n 's/^lookahead_recall,2,distance=1,\(.....\).*/\1/p')
expect 0 "^  2  *$recall" capture $run -o one

# Layers that add nothing: each gate foresees all, and all layers get the same.
make still still=1
expect 0 "^  all  *1.000  *1.000  *1.000  *1.000$" \
    "$moesim" capture -m still -t ids.jsonl --lookahead 2 -o still
# Dense layers are not layers of the trace.
make dense 'mlp_only_layers=[0]'
expect 0 "written" "$moesim" capture -m dense -t ids.jsonl --times --lookahead 8 -o dense
expect 0 "^layers       3 (numbers 1 .. 3)" "$moesim" trace info dense.safetensors
grep -q "^stage times  3 steps, .*: embed .*, attention .*, experts" said || { cat said; failed=1; }
expect 0 "^stage_time  *prefill embed" "$moesim" trace stats dense.safetensors --only capture

# Logits, draws, the end of a text, cuts, runs that record nothing.
capture -t ids.jsonl --logits -o logits >/dev/null || failed=1
check logits_choose logits.safetensors
capture $run --temperature 2 --seed 1 -o drawn >/dev/null || failed=1
capture $run --temperature 2 --seed 1 --batch 3 -o drawn3 >/dev/null || failed=1
capture $run --temperature 2 --seed 2 -o other >/dev/null || failed=1
check same_rows drawn.safetensors drawn3.safetensors
cmp -s drawn.safetensors other.safetensors && { echo "the seed does not matter"; failed=1; }
set -- $(check decoded one.safetensors 2)
before=$1 first=$1
shift
while [ "$1" = "$first" ]; do before="$before $1" && shift; done
make ending "eos_token_id=[63, $1]"
expect 0 "texts ended$" "$moesim" capture -m ending $run -o ending
[ "$(check decoded ending.safetensors 2)" = "$before" ] ||
    { echo "decoded $(check decoded ending.safetensors 2), not $before"; failed=1; }
"$moesim" capture -m ending $run --ignore-end -o on >/dev/null
check same_rows one.safetensors on.safetensors
expect 0 "2 of 3 sequences cut to 20 positions" capture $run --context 20 -o cut
expect 0 "^sequences    3, of 17 .. 20 tokens" "$moesim" trace info cut.safetensors
expect 0 "^3 sequences: 28 prompt tokens, .*; 36 decoded, " capture $run --dry-run
[ -e dry.safetensors ] && { echo "a dry run wrote"; failed=1; }

# Other forms of ids.
echo "5 9 17 33 2 60 41 8 8 3" >ids.txt
echo "5,9, 17,33,2,60,41,8,8,3" | gzip >ids.txt.gz
printf '\005\0\0\0\011\0\0\0\021\0\0\0\041\0\0\0\002\0\0\0\074\0\0\0\051\0\0\0\010\0\0\0\010\0\0\0\003\0\0\0' >ids.u32
python3 - <<'PYTHON'
head = b"{'descr': '<i8', 'fortran_order': False, 'shape': (1, 10), }"
head += b" " * (-(10 + len(head) + 1) % 64) + b"\n"
ids = [5, 9, 17, 33, 2, 60, 41, 8, 8, 3]
open("ids.npy", "wb").write(b"\x93NUMPY\1\0" + len(head).to_bytes(2, "little") + head +
                            b"".join(i.to_bytes(8, "little") for i in ids))
PYTHON
for form in ids.txt ids.txt.gz ids.u32 ids.npy; do
    capture -t $form --lookahead 3 --exact -o form >/dev/null || failed=1
    check same_rows form.safetensors one.safetensors
done

# Texts, by a tokenizer that stands in for the package: an id for each letter.
mkdir package
cat >package/tokenizers.py <<'PYTHON'
class Tokenizer:
    @staticmethod
    def from_file(path):
        return Tokenizer()

    def encode(self, text):
        self.ids = [ord(c) % 64 for c in text]
        return self
PYTHON
echo '{}' >model/tokenizer.json
printf 'ABCé\r\nxyz' >short.txt
seq 100 >long.txt
PYTHONPATH=package expect 0 "1 of 2 sequences cut to 128 positions" \
    capture --text short.txt --text long.txt --decode 2 -o text
expect 0 "^sequences    2, of 11 .. 128 tokens" "$moesim" trace info text.safetensors
grep -q "^tokenizer    tokenizer.json, SHA-256 [0-9a-f]*…" said || { cat said; failed=1; }
grep -q "^prompts      short.txt, long.txt" said || { cat said; failed=1; }

# What it makes can be used.
"$moesim" trace transform one.safetensors -s '{kind: top-k, k: 1}' -o top1.safetensors >said ||
    { cat said; failed=1; }
grep -q "similarity dropped" said || { cat said; failed=1; }
exit $failed
