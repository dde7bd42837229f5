"""A checkpoint with random weights, small enough to run in a test: checkpoint.py FOLDER [KEY=VALUE…]

Keys of the config may be changed; experts, layers and sizes follow. The same arguments make the same
bytes. `nan=1` puts a NaN into the gate of layer 1, `nan-end=1` behind the last layer; with `still=1` layers add nothing to what they get.
"""

import array
import json
import os
import random
import struct
import sys

CONFIG = {
    "architectures": ["Qwen3MoeForCausalLM"],
    "model_type": "qwen3_moe",
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "intermediate_size": 64,
    "moe_intermediate_size": 16,
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "norm_topk_prob": True,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "max_position_embeddings": 128,
    "tie_word_embeddings": True,
    "eos_token_id": 0,
}


def tensors(c):
    hidden, head = c["hidden_size"], c["head_dim"]
    queries, keys = c["num_attention_heads"] * head, c["num_key_value_heads"] * head
    yield "model.embed_tokens.weight", (c["vocab_size"], hidden), 1.0
    yield "model.norm.weight", (hidden,), None
    for layer in range(c["num_hidden_layers"]):
        at = "model.layers.%d." % layer
        yield at + "input_layernorm.weight", (hidden,), None
        yield at + "post_attention_layernorm.weight", (hidden,), None
        yield at + "self_attn.q_proj.weight", (queries, hidden), 0.3
        yield at + "self_attn.k_proj.weight", (keys, hidden), 0.3
        yield at + "self_attn.v_proj.weight", (keys, hidden), 0.3
        yield at + "self_attn.o_proj.weight", (hidden, queries), 0.3
        yield at + "self_attn.q_norm.weight", (head,), None
        yield at + "self_attn.k_norm.weight", (head,), None
        if layer in c["mlp_only_layers"]:
            wide = c["intermediate_size"]
            yield at + "mlp.gate_proj.weight", (wide, hidden), 0.2
            yield at + "mlp.up_proj.weight", (wide, hidden), 0.2
            yield at + "mlp.down_proj.weight", (hidden, wide), 0.2
            continue
        yield at + "mlp.gate.weight", (c["num_experts"], hidden), 0.5
        for expert in range(c["num_experts"]):
            to, wide = at + "mlp.experts.%d." % expert, c["moe_intermediate_size"]
            yield to + "gate_proj.weight", (wide, hidden), 0.3
            yield to + "up_proj.weight", (wide, hidden), 0.3
            yield to + "down_proj.weight", (hidden, wide), 0.3


def main(folder, *changes):
    config, odd = dict(CONFIG), set()
    for change in changes:
        key, value = change.split("=", 1)
        if key in ("nan", "nan-end", "still"):
            odd.add(key)
        else:
            config[key] = json.loads(value)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "config.json"), "w") as out:
        json.dump(config, out, indent=1)
    draw = random.Random(7)
    header, data = {}, []
    at = 0
    for name, shape, scale in tensors(config):
        n = 1
        for size in shape:
            n *= size
        values = array.array("f", (draw.gauss(0, scale) if scale else 1.0 for _ in range(n)))
        if "still" in odd and ("o_proj" in name or "down_proj" in name):
            values = array.array("f", bytes(4 * n))
        if "nan" in odd and name == "model.layers.1.mlp.gate.weight":
            values[0] = float("nan")
        if "nan-end" in odd and name == "model.norm.weight":
            values[0] = float("nan")
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + 4 * n]}
        at += 4 * n
        data.append(values.tobytes())
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(folder, "model.safetensors"), "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + b"".join(data))


main(*sys.argv[1:])
