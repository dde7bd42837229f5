"""Writes a routing trace as the answers of a vLLM server (routed experts as base64 of an npy
array), one JSON line per sequence: what traces/samples/vllm.jsonl was made with.

usage: python3 vllm_answers.py TRACE.safetensors SEQUENCES MODEL >answers.jsonl"""
import base64
import json
import struct
import sys


def load(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    tensors = {name: (entry["shape"], data[slice(*entry["data_offsets"])])
               for name, entry in header.items() if name != "__metadata__"}
    return tensors


def npy(shape, data):
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {tuple(shape)}, }}"
    header += " " * (-(10 + len(header) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def main():
    tensors = load(sys.argv[1])
    (tokens, layers, k), ids = tensors["expert_ids"]
    sequence = struct.unpack(f"<{tokens}I", tensors["sequence"][1])
    phase, row = tensors["phase"][1], layers * k
    for s in range(int(sys.argv[2])):
        rows = [t for t in range(tokens) if sequence[t] == s]
        array = npy((len(rows), layers, k), b"".join(ids[t * row:(t + 1) * row] for t in rows))
        prompt = sum(phase[t] == 0 for t in rows)
        print(json.dumps({
            "id": f"cmpl-{s}", "object": "text_completion", "model": sys.argv[3],
            "choices": [{"index": 0, "text": "", "finish_reason": "length",
                         "routed_experts": base64.b64encode(array).decode()}],
            "usage": {"prompt_tokens": prompt, "completion_tokens": len(rows) - prompt,
                      "total_tokens": len(rows)}}))


main()
