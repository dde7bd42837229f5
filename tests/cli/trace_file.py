"""Reads a routing trace for tests: no library is needed."""
import json
import struct

TYPES = {"U8": "B", "U16": "H", "U32": "I", "I32": "i", "F32": "f", "F16": "e"}


def load(path):
    """(metadata, {name: (shape, flat values)})."""
    with open(path, "rb") as file:
        n = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(n))
        data = file.read()
    meta = header.pop("__metadata__")
    tensors = {}
    for name, t in header.items():
        begin, end = t["data_offsets"]
        kind = TYPES[t["dtype"]]
        count = (end - begin) // struct.calcsize("<" + kind)
        tensors[name] = (t["shape"], struct.unpack("<%d%s" % (count, kind), data[begin:end]))
    return meta, tensors


def rows(path):
    """{(sequence, position): {"token_id", "phase", "step", "experts": [(ids, weights) per layer]}}"""
    _, tensors = load(path)
    (n, layers, k), ids = tensors["expert_ids"]
    weights = tensors.get("gate_weights", (None, None))[1]
    found = {}
    for i in range(n):
        row = {name: tensors[name][1][i] if name in tensors else None
               for name in ("token_id", "phase", "step")}
        row["experts"] = []
        for layer in range(layers):
            at = (i * layers + layer) * k
            row["experts"].append((ids[at:at + k], weights[at:at + k] if weights else None))
        found[tensors["sequence"][1][i], tensors["position"][1][i]] = row
    return found
