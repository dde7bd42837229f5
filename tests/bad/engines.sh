# What engines write, and what can be wrong with it beside its arrays (arrays.sh). Nothing is written.
command -v python3 >/dev/null || exit 77
data=$source/tests/unit/data/engines
import()
{
    "$moesim" trace import --force "$@" -o routing.safetensors 2>&1
    echo "exit $?"
}
# text WHAT OPTIONS TEXT: as rows of llama.cpp
text()
{
    echo "== llamacpp: $1"
    printf "$3" >rows.csv
    import --format llamacpp $2 rows.csv
    rm rows.csv
}
# arrays WHAT OPTIONS FAULT
arrays()
{
    echo "== $1"
    python3 -B "$source/tests/bad/arrays.py" npz "$3"
    import $2 "$3.npz"
    rm "$3.npz"
}
cp "$data/trtllm_counts.safetensors" "$data/megatron_list.npz" "$data/sglang_native.json" \
    "$data/hf_mixtral.safetensors" "$data/vllm_lists.json" "$data/llamacpp_pairs.csv" .
echo "== trtllm: counts"
import --format trtllm trtllm_counts.safetensors
echo "== trtllm: other tensors"
import --format trtllm hf_mixtral.safetensors
echo "== megatron: how many sequences"
import --format megatron megatron_list.npz
echo "== megatron: not so many"
import --format megatron --sequences 5 megatron_list.npz
echo "== sglang: k is not said"
import sglang_native.json
echo "== sglang: another k"
import --top-k 5 sglang_native.json
echo "== hf-logits: k is not said"
import hf_mixtral.safetensors
echo "== hf-logits: more than there are"
import --top-k 9 hf_mixtral.safetensors
echo "== hf-logits: of another model"
import --model qwen3-30b-a3b hf_mixtral.safetensors
echo "== the same by its name on a hub"
import --model Qwen/Qwen3-30B-A3B hf_mixtral.safetensors
echo "== a path that is not there"
import --model ./Qwen3/config.json hf_mixtral.safetensors
echo "== another format"
import --format vllm llamacpp_pairs.csv
import --format llamacpp vllm_lists.json
arrays "logits: not a number" "--format hf-logits --top-k 2" logits-nan
arrays "logits: infinite" "--format hf-logits --top-k 2" logits-infinite
arrays "logits: rows of three sequences" "--format hf-logits --top-k 2 --sequences 4" logits-good
text "no form" "" 'time,layer\n1,2\n'
text "no number" "" 'layer,expert\n0,1\n0,x\n'
text "negative" "" 'layer,expert\n0,1\n0,-2\n'
text "too long" "" 'layer,expert\n0,1,2\n'
text "too short" "" 'layer,expert\n0\n'
text "no multiple of k" "--top-k 2" 'layer,expert\n0,1\n0,2\n0,3\n1,0\n1,1\n'
text "layers differ" "--top-k 1" 'layer,expert\n0,1\n0,2\n1,1\n2,1\n2,0\n0,1\n'
text "k varies" "" 'layer_id,expert_ids\n0,1 2\n1,1 2 3\n'
text "a layer is absent" "--top-k 1" 'layer,expert\n0,1\n1,2\n2,3\n0,1\n2,2\n0,1\n1,1\n2,1\n'
text "ranks" "" 'phase,token,layer,rank,expert\ndecode,0,0,0,1\ndecode,0,0,2,1\n'
text "phase" "" 'phase,token,layer,rank,expert\nwarmup,0,0,0,1\n'
text "expert twice" "--top-k 2" 'layer,expert\n0,1\n0,1\n'
text "beyond the model" "--top-k 1 --experts 4" 'layer,expert\n0,1\n1,4\n'
text "k is not to be seen" "" "$(awk 'BEGIN { for (i = 0; i < 300; i++) printf "0,%d\\n", i }')"
text "binary, cut short" "" '\0\0\0\0\1\0\0\0\2\0\0\0\1\0\0\0'
text "binary, no record" "" '\0\0\0\0\377\377\377\377\2\0\0\0\1\0\0\0'
text "nothing" "" ''
text "a header alone" "" 'layer,expert\n'
echo "== answers without routing"
printf '{"id":"cmpl-1","object":"text_completion","model":"m","choices":[{"text":"a"}]}\n' >plain.json
import plain.json
printf '{"text":"a","meta_info":{"prompt_tokens":3,"completion_tokens":1}}\n' >plain.json
import plain.json
printf '{"object":"error","message":"The model \\u001b[1m`m` does not exist.%s","code":404}\n' \
    "$(printf '%200s' '' | tr ' ' x)" >plain.json
import plain.json
printf '{"error":{"message":"no such model","type":"NotFoundError"}}\n' >plain.json
import plain.json
import --format vllm plain.json
cat vllm_lists.json plain.json >some.jsonl
import some.jsonl
rm plain.json some.jsonl
echo "== another model's routing"
awk 'BEGIN { print "seq,pos,layer,experts"
             for (i = 0; i < 20; i++) for (l = 0; l < 24; l++) { e = (7 * i + 5 * l) % 29
                 print "0," i "," l "," e " " e + 1 " " e + 2 " " e + 3 } }' >other.csv
import --model gpt-oss-120b other.csv
rm other.csv
python3 -B "$source/tests/bad/arrays.py" npy none
import --model mixtral-8x7b none.npy
rm none.npy
rm -f *.safetensors megatron_list.npz sglang_native.json vllm_lists.json llamacpp_pairs.csv
