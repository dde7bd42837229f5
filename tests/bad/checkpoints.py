"""checkpoints.py FAULT…: checkpoints of a tiny OLMoE, each wrong in one way (`none`, `shards`: right)
and in a folder of that name."""
import json
import os
import struct
import sys

CONFIG = {
    "model_type": "olmoe", "hidden_size": 4, "vocab_size": 8, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "num_experts": 2,
    "num_experts_per_tok": 1, "intermediate_size": 3, "max_position_embeddings": 16,
    "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
}
LAYER = {
    "input_layernorm.weight": [4], "post_attention_layernorm.weight": [4],
    "self_attn.q_proj.weight": [4, 4], "self_attn.k_proj.weight": [2, 4],
    "self_attn.v_proj.weight": [2, 4], "self_attn.o_proj.weight": [4, 4],
    "self_attn.q_norm.weight": [4], "self_attn.k_norm.weight": [2], "mlp.gate.weight": [2, 4],
    "mlp.experts.0.gate_proj.weight": [3, 4], "mlp.experts.0.up_proj.weight": [3, 4],
    "mlp.experts.0.down_proj.weight": [4, 3], "mlp.experts.1.gate_proj.weight": [3, 4],
    "mlp.experts.1.up_proj.weight": [3, 4], "mlp.experts.1.down_proj.weight": [4, 3],
}
INDEX = "model.safetensors.index.json"
SIZES = {"F32": 4, "BF16": 2, "I8": 1, "F8_E4M3": 1}


def tensors():
    shapes = {"model.embed_tokens.weight": [8, 4], "model.norm.weight": [4],
              "lm_head.weight": [8, 4]}
    for layer in range(2):
        shapes |= {f"model.layers.{layer}.{name}": shape for name, shape in LAYER.items()}
    return {name: ["F32", shape] for name, shape in shapes.items()}


def header_of(entries):
    header, at = {}, 0
    for name, (dtype, shape) in entries.items():
        size = SIZES[dtype]
        for n in shape:
            size *= n
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    return header, at


def write(path, header, size):
    text = json.dumps(header).encode()
    text += b" " * (1 - len(text) % 2)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"\0" * size)


def shards(entries):
    """Two shards by layer, and their index."""
    parts = [{n: e for n, e in entries.items() if (".1." in n) == bool(i)} for i in range(2)]
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for part, name in zip(parts, names):
        write(name, *header_of(part))
    return {n: name for part, name in zip(parts, names) for n in part}


def write_index(weight_map):
    with open(INDEX, "w", encoding="ascii") as file:
        json.dump({"metadata": {}, "weight_map": weight_map}, file)


def sharded(fault, entries):
    weight_map = shards(entries)
    if fault == "shard-missing":
        os.remove("model-00002-of-00002.safetensors")
    if fault == "shard-outside":
        weight_map["model.norm.weight"] = "../model.safetensors"
    if fault == "shard-other":
        weight_map["model.norm.weight"] = "model-00002-of-00002.safetensors"
    if fault == "shard-config":
        weight_map["model.norm.weight"] = "config.json"
        weight_map["lm_head.weight"] = INDEX
    if fault == "index-empty":
        weight_map = {}
    write_index(weight_map)
    if fault == "index-cut":
        os.truncate(INDEX, 100)


def lying(fault, header):
    first, second = list(header)[:2]
    if fault == "offsets-overlap":
        header[second]["data_offsets"] = [at - 4 for at in header[second]["data_offsets"]]
    if fault == "offsets-beyond":
        header[first]["shape"][0] += 1 << 32
        header[first]["data_offsets"][1] += 1 << 36
    if fault == "offsets-shape":
        header[first]["shape"][0] += 1
    if fault == "offsets-swapped":
        header[first]["data_offsets"].reverse()


def change_config(fault, config):
    if fault == "no-experts":
        del config["num_experts"]
    if fault == "unknown":
        config["model_type"] = "llama"
    if fault == "context-0":
        config["max_position_embeddings"] = 0
    if fault == "rope":
        config["rope_scaling"] = {"type": "longrope", "factor": 4.0}
    if fault == "several":
        config |= {"hidden_act": "gelu", "rms_norm_eps": "small", "rope_theta": 0}


def change_tensors(fault, entries):
    if fault in ("shape", "all"):
        entries["model.layers.1.mlp.gate.weight"][1] = [4, 2]
    if fault in ("dtype", "all"):
        entries["model.layers.0.self_attn.q_proj.weight"][0] = "F8_E4M3"
    if fault in ("missing", "all"):
        for name in list(entries):
            if "down_proj" in name:
                del entries[name]


def make(fault):
    config, entries = dict(CONFIG), tensors()
    change_config(fault, config)
    change_tensors(fault, entries)
    with open("config.json", "w", encoding="ascii") as file:
        json.dump(config, file)
    if fault.startswith(("shard", "index")):
        sharded(fault, entries)
        return
    header, size = header_of(entries)
    lying(fault, header)
    write("model.safetensors", header, size)
    if fault == "cut":
        os.truncate("model.safetensors", os.path.getsize("model.safetensors") - 100)
    if fault == "lfs":
        with open("model.safetensors", "w", encoding="ascii") as file:
            file.write("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    if fault == "no-weights":
        os.remove("model.safetensors")
    if fault == "no-config":
        os.remove("config.json")


for name in sys.argv[1:]:
    os.mkdir(name)
    os.chdir(name)
    make(name)
    os.chdir("..")
