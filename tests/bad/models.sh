# Model files that cannot be: wrong counts, wrong keys, more experts per token than experts.
scenario()
{
    printf 'name: a model of its own\nmodel: model.yaml\nhardware: desktop-rtx4090\n'
    printf 'routing: {trace: traces/samples/quickstart.safetensors}\n'
}
try()
{
    echo "== $1"
    cat >model.yaml
    scenario >scenario.yaml
    "$moesim" check scenario.yaml 2>&1
    echo "exit $?"
    rm model.yaml scenario.yaml
}
try "top-k above experts" <<'END'
name: small
hidden: 64
vocab: 100
stacks:
  - layers: 32
    attention: {heads: 4, kv_heads: 2, head_dim: 16}
    moe: {experts: 8, top_k: 9, width: 128}
END
try "unknown keys" <<'END'
name: small
hiden: 64
vocab: 100
stacks:
  - layers: 32
    attention: {heads: 4, kv_heads: 2, head_dim: 16}
    moe: {experts: 8, topk: 2, width: 128}
END
try "no stacks" <<'END'
name: small
hidden: 64
vocab: 100
END
try "zero and negative" <<'END'
name: small
hidden: 0
vocab: -1
stacks:
  - layers: 0
    attention: {heads: 4, kv_heads: 3, head_dim: 16}
    moe: {experts: 8, top_k: 2, width: 128}
END
try "a linear layer without its sizes" <<'END'
name: small
hidden: 64
vocab: 100
stacks:
  - layers: 32
    attention_every: 4
    attention_offset: 4
    attention: {heads: 4, kv_heads: 2, head_dim: 16, index_heads: 2, window: 8}
    linear: {heads: 4, key_heads: 3, key_dim: 16, stat: bf16}
    moe: {experts: 8, top_k: 2, width: 128}
END
try "a linear layer that cannot be" <<'END'
name: small
hidden: 64
vocab: 100
stacks:
  - layers: 32
    attention_every: 4
    attention_offset: 4
    attention: {heads: 4, kv_heads: 2, head_dim: 16, index_heads: 2, index_top_k: 64, window: 8}
    linear: {heads: 4, key_heads: 3, key_dim: 16, value_dim: 16, rank: 4}
    moe: {experts: 8, top_k: 2, width: 128}
END
