"""Writes a small routing trace with one fault: trace.py OUT FAULT [LAYERS EXPERTS K].

4 tokens of 2 sequences; without a fault (FAULT `none`) it is a trace that moesim accepts."""
import json
import struct
import sys


def content(layers, experts, k):
    ids = [[(token + layer + slot) % experts for slot in range(k)]
           for token in range(4) for layer in range(layers)]
    tensors = {
        "expert_ids": ("U8", [4, layers, k], bytearray(sum(ids, []))),
        "sequence": ("U32", [4], bytearray(struct.pack("<4I", 0, 0, 1, 1))),
        "position": ("U32", [4], bytearray(struct.pack("<4I", 0, 1, 0, 1))),
        "phase": ("U8", [4], bytearray([0, 1, 0, 1])),
    }
    meta = {"format": "moesim-routing", "version": "1", "model": "small", "experts": str(experts),
            "top_k": str(k), "layer_ids": str(list(range(layers)))}
    return meta, tensors


def change_content(fault, meta, tensors, layers, k):
    """Faults of what the tensors hold."""
    ids = tensors["expert_ids"][2]
    row = (2 * layers + 1) * k  # token 2, layer 1
    absent = {"absent-used": [[], [3]], "absent-layers": [[]], "absent-order": [[], [1, 0]],
              "absent-range": [[], [4]]}
    if fault in absent:
        meta["absent_experts"] = str(absent[fault])
    elif fault == "expert-out-of-range":
        ids[row] = 200
    elif fault == "expert-twice":
        ids[row + 1] = ids[row]
    elif fault == "slot-after-empty":
        ids[row] = 0xFF
    elif fault == "phase":
        tensors["phase"][2][3] = 7
    elif fault == "position-twice":
        tensors["position"][2][4:8] = struct.pack("<I", 0)
    elif fault == "shape":
        dtype, _, data = tensors["sequence"]
        tensors["sequence"] = (dtype, [2], data[:8])
    elif fault == "missing-tensor":
        del tensors["phase"]
    elif fault == "no-format":
        del meta["format"]
    elif fault == "version":
        meta["version"] = "99"
    elif fault == "layer-ids":
        meta["layer_ids"] = "[0]"


def header_of(meta, tensors):
    header, at = {"__metadata__": meta}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    return header


def change_header(fault, header):
    """Faults of where the tensors are; the text of the header."""
    if fault == "overlapping":
        header["position"]["data_offsets"] = [at - 4 for at in header["position"]["data_offsets"]]
    elif fault == "oversized":
        header["phase"]["data_offsets"][1] += 1 << 40
        header["phase"]["shape"] = [4 + (1 << 40)]
    elif fault == "negative":
        header["phase"]["shape"] = [-4]
    elif fault == "shape-overflow":
        header["phase"]["shape"] = [1 << 32, 1 << 32, 4]
    elif fault == "dtype":
        header["phase"]["dtype"] = "U9"
    text = json.dumps(header, separators=(",", ":"))
    if fault == "duplicate":
        text = text[:-1] + ',"phase":' + json.dumps(header["phase"]) + "}"
    elif fault == "not-json":
        text = text[:-2]
    return text.encode()


def main():
    out, fault = sys.argv[1:3]
    layers, experts, k = map(int, sys.argv[3:6]) if len(sys.argv) > 3 else (2, 4, 2)
    meta, tensors = content(layers, experts, k)
    change_content(fault, meta, tensors, layers, k)
    text = change_header(fault, header_of(meta, tensors))
    length = len(text)
    if fault == "header-too-long":
        length = 1 << 60
    elif fault == "header-past-end":
        length = 1 << 16
    whole = struct.pack("<Q", length) + text + b"".join(bytes(t[2]) for t in tensors.values())
    if fault == "truncated":
        whole = whole[:-3]
    elif fault == "trailing":
        whole += b"more"
    elif fault == "five-bytes":
        whole = whole[:5]
    elif fault == "empty":
        whole = b""
    with open(out, "wb") as file:
        file.write(whole)


main()
