# What cannot be replayed as captured.
cat >steps.jsonl <<END
{"req_id":4,"token_idx":0,"layer":0,"topk_ids":[1,2],"step":5,"phase":"prefill"}
{"req_id":4,"token_idx":1,"layer":0,"topk_ids":[1,2],"step":4,"phase":"decode"}
END
sed 's/,"step":.//' steps.jsonl >none.jsonl
for name in steps none; do
    "$moesim" trace import $name.jsonl -o $name.safetensors --experts 8 >/dev/null 2>&1 || exit
done
awk 'BEGIN {
    for (layer = 0; layer < 6; layer++)
        printf "{\"req_id\":0,\"token_idx\":0,\"layer\":%d,\"topk_ids\":[%d],\"step\":0}\n", layer, layer
}' >six.jsonl
"$moesim" trace import six.jsonl -o six.safetensors --experts 8 >/dev/null 2>&1 || exit
cat >one-layer.yaml <<END
name: one-layer
hidden: 64
vocab: 100
stacks:
  - {layers: 1, attention: {heads: 2, head_dim: 32}, moe: {experts: 8, top_k: 2, width: 64}}
END
try()
{
    echo "== $1"
    cat >scenario.yaml <<END
model: ${4:-one-layer.yaml}
hardware: desktop-rtx4090
routing: {trace: $2.safetensors}
batching: ${5:-as-captured}
workload: {$3}
END
    "$moesim" check scenario.yaml 2>&1
    echo "exit $?"
    rm scenario.yaml
}
try "no steps" none
try "against the order of positions" steps
try "said twice" none "requests: 2, prompt: 4, output: 2, batch: 2, prefill: from-decode"
try "an encoder" six "" switch-base-8
try "no such way" none "" one-layer.yaml captured
rm ./*.jsonl ./*.safetensors one-layer.yaml
