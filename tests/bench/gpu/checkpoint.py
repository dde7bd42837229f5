#!/usr/bin/env python3
"""checkpoint.py SHAPE FOLDER [LAYERS]: a checkpoint with random weights in the shape of a published
model, of a few layers, for measuring; no packages needed. Same arguments, same bytes.

SHAPE: mixtral, olmoe, deepseek (V2-Lite, its first layer dense)."""
import json
import os
import random
import struct
import sys

BLOCK = 1 << 24  # elements of random bf16 that are used again and again


def rope_free(**more):
    return {"rms_norm_eps": 1e-5, "hidden_act": "silu", "torch_dtype": "bfloat16",
            "attention_bias": False, "tie_word_embeddings": False, "bos_token_id": 1,
            "eos_token_id": 2, "max_position_embeddings": 4096, **more}


SHAPES = {
    "mixtral": (2, rope_free(
        model_type="mixtral", architectures=["MixtralForCausalLM"], hidden_size=4096,
        intermediate_size=14336, num_attention_heads=32, num_key_value_heads=8, head_dim=128,
        num_local_experts=8, num_experts_per_tok=2, vocab_size=32000, rope_theta=1e6,
        sliding_window=None)),
    "olmoe": (4, rope_free(
        model_type="olmoe", architectures=["OlmoeForCausalLM"], hidden_size=2048,
        intermediate_size=1024, num_attention_heads=16, num_key_value_heads=16, num_experts=64,
        num_experts_per_tok=8, norm_topk_prob=False, vocab_size=50304, rope_theta=1e4,
        clip_qkv=None)),
    "deepseek": (4, rope_free(
        model_type="deepseek_v2", architectures=["DeepseekV2ForCausalLM"], hidden_size=2048,
        intermediate_size=10944, moe_intermediate_size=1408, num_attention_heads=16,
        num_key_value_heads=16, n_routed_experts=64, n_shared_experts=2, num_experts_per_tok=6,
        first_k_dense_replace=1, moe_layer_freq=1, q_lora_rank=None, kv_lora_rank=512,
        qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128, norm_topk_prob=False,
        routed_scaling_factor=1.0, scoring_func="softmax", topk_method="greedy", n_group=1,
        topk_group=1, vocab_size=32000, rope_theta=1e4)),
}


def attention(c, at):
    h, heads = c["hidden_size"], c["num_attention_heads"]
    if "kv_lora_rank" in c:
        lora, rope, nope, value = (c["kv_lora_rank"], c["qk_rope_head_dim"], c["qk_nope_head_dim"],
                                   c["v_head_dim"])
        yield f"{at}q_proj.weight", [heads * (nope + rope), h]
        yield f"{at}kv_a_proj_with_mqa.weight", [lora + rope, h]
        yield f"{at}kv_a_layernorm.weight", [lora]
        yield f"{at}kv_b_proj.weight", [heads * (nope + value), lora]
        yield f"{at}o_proj.weight", [h, heads * value]
        return
    dim = c.get("head_dim", h // heads)
    for name, rows in (("q", heads), ("k", c["num_key_value_heads"]), ("v", c["num_key_value_heads"])):
        yield f"{at}{name}_proj.weight", [rows * dim, h]
    yield f"{at}o_proj.weight", [h, heads * dim]
    if c["model_type"] == "olmoe":
        yield f"{at}q_norm.weight", [heads * dim]
        yield f"{at}k_norm.weight", [c["num_key_value_heads"] * dim]


def mlp(at, names, hidden, width):
    gate, up, down = names
    yield f"{at}{gate}.weight", [width, hidden]
    yield f"{at}{up}.weight", [width, hidden]
    yield f"{at}{down}.weight", [hidden, width]


def tensors(c):
    h, names = c["hidden_size"], ("gate_proj", "up_proj", "down_proj")
    experts = c.get("num_local_experts") or c.get("num_experts") or c.get("n_routed_experts")
    width = c.get("moe_intermediate_size", c["intermediate_size"])
    yield "model.embed_tokens.weight", [c["vocab_size"], h]
    for layer in range(c["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        yield at + "input_layernorm.weight", [h]
        yield at + "post_attention_layernorm.weight", [h]
        yield from attention(c, at + "self_attn.")
        if layer < c.get("first_k_dense_replace", 0):
            yield from mlp(at + "mlp.", names, h, c["intermediate_size"])
            continue
        block = "block_sparse_moe." if c["model_type"] == "mixtral" else "mlp."
        yield f"{at}{block}gate.weight", [experts, h]
        for e in range(experts):
            yield from mlp(f"{at}{block}experts.{e}.",
                           ("w1", "w3", "w2") if c["model_type"] == "mixtral" else names, h, width)
        if c.get("n_shared_experts"):
            yield from mlp(at + "mlp.shared_experts.", names, h, width * c["n_shared_experts"])
    yield "model.norm.weight", [h]
    yield "lm_head.weight", [c["vocab_size"], h]


def block():
    """bf16 of either sign, from 2^-7 to 2^-5."""
    draw = random.Random(1)
    data = bytearray(2 * BLOCK)
    data[0::2] = draw.randbytes(BLOCK)
    data[1::2] = draw.randbytes(BLOCK).translate(bytes(0x3C if b & 1 else 0xBC for b in range(256)))
    return memoryview(bytes(data))


def write(path, shapes):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes:
        size = 2
        for n in shape:
            size *= n
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    data, ones = block(), memoryview(b"\x80\x3f" * 65536)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        at = 0
        for name, shape in shapes:
            left = header[name]["data_offsets"][1] - header[name]["data_offsets"][0]
            if len(shape) == 1:
                file.write(ones[:left])
                continue
            while left:
                n = min(left, len(data) - at)
                file.write(data[at:at + n])
                left, at = left - n, (at + n) % len(data)


def main():
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in SHAPES:
        sys.exit(__doc__)
    layers, config = SHAPES[sys.argv[1]]
    config["num_hidden_layers"] = int(sys.argv[3]) if len(sys.argv) == 4 else layers
    os.makedirs(sys.argv[2], exist_ok=True)
    with open(os.path.join(sys.argv[2], "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file, indent=1)
    write(os.path.join(sys.argv[2], "model.safetensors"), list(tensors(config)))


if __name__ == "__main__":
    main()
