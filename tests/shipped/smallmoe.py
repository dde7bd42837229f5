"""The files of the small model agree: the prompts' ids spell their texts in the tokenizer's
vocabulary, each passage has its origin and a licence that NOTICE.md or the card names, and the
checkpoint's header holds exactly the tensors that config.json asks for, within the size it may have."""
import csv
import json
import os
import struct
import sys

LARGEST = 25_000_000
folder = sys.argv[1]
faults = []


def check(fine, what):
    if not fine:
        faults.append(what)


def load(name):
    with open(os.path.join(folder, name), encoding="utf-8", newline="") as file:
        return file.read()


def byte_letters():
    """The letters that a byte-level vocabulary writes bytes with."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {chr(byte): byte for byte in plain}
    letters.update({chr(256 + n): byte
                    for n, byte in enumerate(b for b in range(256) if b not in plain)})
    return letters


def check_prompts(config, vocabulary, origins):
    letters = byte_letters()
    spelled = {number: bytes(letters[c] for c in token)
               for token, number in vocabulary.items() if number != config["eos_token_id"]}
    single = set()
    names = sorted({row["domain"] for row in origins})
    for domain in names:
        lines = [json.loads(line) for line in load(f"prompts/{domain}.ids.jsonl").splitlines()]
        rows = [row for row in origins if row["domain"] == domain]
        check([len(line["ids"]) for line in lines] == [int(row["tokens"]) for row in rows],
              f"{domain}: lengths are not those of origins.csv")
        check(all(64 <= len(line["ids"]) <= 256 for line in lines), f"{domain}: length")
        check(all(line["domain"] == domain for line in lines), f"{domain}: domain")
        texts = [b"".join(spelled[i] for i in line["ids"]) for line in lines]
        check(b"\n\n".join(texts) + b"\n" == load(f"prompts/{domain}.txt").encode(),
              f"{domain}: the ids do not spell the text")
        single.update(json.dumps(line) for line in lines)
    mixed = [json.loads(line) for line in load("prompts/mixed.ids.jsonl").splitlines()]
    check(all(json.dumps(line) in single for line in mixed), "mixed: a prompt of no domain")
    check(sorted({line["domain"] for line in mixed}) == names, "mixed: a domain is missing")
    notice = load("NOTICE.md").lower()
    for row in origins:
        check(row["licence"].lower() in notice or row["licence"] == "Apache-2.0",
              f"NOTICE.md says nothing of {row['licence']}")


def expected_tensors(c):
    hidden, width, head = c["hidden_size"], c["moe_intermediate_size"], c["head_dim"]
    query, pair = c["num_attention_heads"] * head, c["num_key_value_heads"] * head
    out = {"model.embed_tokens.weight": [c["vocab_size"], hidden], "model.norm.weight": [hidden]}
    for layer in range(c["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        out.update({at + "input_layernorm.weight": [hidden],
                    at + "post_attention_layernorm.weight": [hidden],
                    at + "self_attn.q_norm.weight": [head], at + "self_attn.k_norm.weight": [head],
                    at + "self_attn.q_proj.weight": [query, hidden],
                    at + "self_attn.k_proj.weight": [pair, hidden],
                    at + "self_attn.v_proj.weight": [pair, hidden],
                    at + "self_attn.o_proj.weight": [hidden, query],
                    at + "mlp.gate.weight": [c["num_experts"], hidden]})
        for expert in range(c["num_experts"]):
            place = f"{at}mlp.experts.{expert}."
            out.update({place + "gate_proj.weight": [width, hidden],
                        place + "up_proj.weight": [width, hidden],
                        place + "down_proj.weight": [hidden, width]})
    return out


def check_weights(config):
    path = os.path.join(folder, "model.safetensors")
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    header.pop("__metadata__", None)
    found = {name: entry["shape"] for name, entry in header.items()}
    check(found == expected_tensors(config), "model.safetensors: not the tensors of config.json")
    check({entry["dtype"] for entry in header.values()} == {"BF16"}, "model.safetensors: dtype")
    check(os.path.getsize(path) <= LARGEST, "model.safetensors: too large")


config = json.loads(load("config.json"))
vocabulary = json.loads(load("tokenizer.json"))["model"]["vocab"]
check(sorted(vocabulary.values()) == list(range(config["vocab_size"])), "vocabulary: ids")
check_prompts(config, vocabulary, list(csv.DictReader(load("prompts/origins.csv").splitlines())))
check_weights(config)
print("\n".join(faults) or "the small model's files agree")
sys.exit(bool(faults))
