"""Writes arrays of routing with one fault each: arrays.py npy|npz|json FAULT… makes FAULT.npy and so
on (json: an answer of a server); 6 tokens of 2 layers of 2 of 8 experts. Without a fault (`none`) it
is accepted."""
import base64
import io
import json
import struct
import sys
import zipfile

TOKENS, LAYERS, K = 6, 2, 2


def ids():
    return [(3 * l + t // 2 + 4 * j) % 8 for t in range(TOKENS) for l in range(LAYERS)
            for j in range(K)]


def npy(fault, values=None, shape=(TOKENS, LAYERS, K)):
    values = values or ids()
    descr, order, magic, code = "<i2", "False", b"\x93NUMPY\x01\x00", "h"
    if fault == "too-large":
        values[5] = 70
    elif fault == "negative":
        values[5] = -7
    elif fault == "twice":
        values[9] = values[8]
    elif fault == "all-zero":
        values = [0] * len(values)
    elif fault == "all-empty":
        values = [-1] * len(values)
    elif fault == "rank":
        shape = (TOKENS * LAYERS * K,)
    elif fault == "shape":
        shape = (TOKENS, LAYERS + 1, K)
    elif fault == "no-tokens":
        values, shape = [], (0, LAYERS, K)
    elif fault == "overflow":
        shape = (1 << 62, 1 << 62, 4)
    elif fault == "object":
        descr = "|O"
    elif fault == "text":
        descr = "<U4"
    elif fault == "version":
        magic = b"\x93NUMPY\x07\x00"
    elif fault == "float":
        descr, code = "<f4", "f"
    text = f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape!r}, }}"
    if fault == "records":
        text = text.replace(f"'{descr}'", "[('a', '<i2')]")
    elif fault == "python":
        text = text.replace("False", "print('x')")
    elif fault == "key-twice":
        text = text.replace("'shape'", "'fortran_order': False, 'shape'")
    elif fault == "no-shape":
        text = text[:text.index("'shape'")] + "}"
    text = text.ljust(117) + "\n"
    data = magic + struct.pack("<H", len(text)) + text.encode() + struct.pack(
        f"<{len(values)}{code}", *values)
    if fault == "cut":
        return data[:-5]
    if fault == "cut-header":
        return data[:40]
    return data + b"more" if fault == "trailing" else data


def npz(fault):
    file = io.BytesIO()
    packing = zipfile.ZIP_STORED if fault in ("stored", "checksum") else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(file, "w", packing) as archive:
        if fault == "bomb":
            archive.writestr("ids.npy", npy("none", [0] * 4000000, (1000000, 2, 2)))
        elif fault == "two-models":
            archive.writestr("a.npy", npy("none"))
            archive.writestr("b.npy", npy("none", [(t + 3 * j) % 8 for t in range(24) for j in range(3)],
                                          (12, 2, 3)))
        elif fault == "layers-differ":
            archive.writestr("layer0.npy", npy("none", ids()[:12], (6, 2)))
            archive.writestr("layer1.npy", npy("none", ids()[:10], (5, 2)))
        elif fault == "k-differs":
            archive.writestr("layer0.npy", npy("none", ids()[:12], (6, 2)))
            archive.writestr("layer1.npy", npy("none", [(i % 3) * 2 for i in range(18)], (6, 3)))
        elif fault == "lengths":
            archive.writestr("ids.npy", npy("none"))
            archive.writestr("prompt_lengths.npy", npy("none", [2, 3], (2,)))
        elif fault == "facts":
            archive.writestr("ids.npy", npy("none"))
            archive.writestr("position.npy", npy("none", [0, 1, 2], (3,)))
        elif fault == "fact-range":
            archive.writestr("ids.npy", npy("none"))
            archive.writestr("phase.npy", npy("none", [0, 1, 2, 1, 1, 1], (6,)))
        elif fault == "position-twice":
            archive.writestr("ids.npy", npy("none"))
            archive.writestr("position.npy", npy("none", [0, 1, 2, 3, 1, 4], (6,)))
        elif fault == "nothing":
            archive.writestr("lengths.npy", npy("none", [1, 2, 3], (3,)))
        elif fault == "not-npy":
            archive.writestr("ids.txt", "1 2 3")
        elif fault == "empty":
            pass
        elif fault.startswith("logits"):
            logits = [(7 * i + i // 8) % 11 / 4 for i in range(48)]
            bad = {"logits-nan": float("nan"), "logits-infinite": float("inf")}
            for layer in range(2):
                archive.writestr(f"layer{layer}.npy", npy("float", logits, (6, 8)))
                logits[19] = bad.get(fault, logits[19])
        else:
            archive.writestr("ids.npy", npy(fault))
    data = bytearray(file.getvalue())
    if fault == "cut-zip":
        data = data[:-10]
    elif fault == "checksum":
        data[data.index(b"\x93NUMPY") + 130] ^= 1
    elif fault == "encrypted":
        data[data.index(b"PK\x01\x02") + 8] |= 1
    elif fault == "method":
        data[data.index(b"PK\x01\x02") + 10] = 14
    elif fault == "overlap":
        at = data.rindex(b"PK\x05\x06")
        start = data.index(b"PK\x01\x02")
        entry = bytes(data[start:at])
        end = bytearray(data[at:])
        end[8:12] = struct.pack("<HH", 2, 2)
        end[12:16] = struct.pack("<L", 2 * len(entry))
        data = data[:at] + entry + end
    elif fault == "size-lies":
        at = data.index(b"PK\x01\x02") + 24
        data[at:at + 4] = struct.pack("<L", struct.unpack("<L", data[at:at + 4])[0] - 8)
    return bytes(data)


def answer(fault):
    rows = [[[ids()[(t * LAYERS + l) * K + j] for j in range(K)] for l in range(LAYERS)]
            for t in range(TOKENS)]
    routed = rows
    usage = {"prompt_tokens": 4, "completion_tokens": 3}
    if fault == "ragged":
        rows[3][1] = [1]
    elif fault == "depth":
        rows[3] = [1, 2]
    elif fault == "fraction":
        rows[3][1][0] = 1.5
    elif fault == "words":
        rows[3][1][0] = "x"
    elif fault == "flat":
        routed = [1, 2, 3]
    elif fault == "number":
        routed = 7
    elif fault == "none-in-it":
        routed = None
    elif fault == "length":
        usage["completion_tokens"] = 9
    elif fault == "base64":
        routed = base64.b64encode(npy("none")).decode()[:-2]
    elif fault == "alphabet":
        routed = base64.b64encode(npy("none")).decode().replace("A", "*", 1)
    elif fault == "npy-cut":
        routed = base64.b64encode(npy("cut")).decode()
    elif fault == "raw":
        routed = base64.b64encode(struct.pack("<24i", *ids())).decode()
    elif fault == "raw-cut":
        routed = base64.b64encode(struct.pack("<24i", *ids())[:-1]).decode()
    elif fault.startswith("object"):
        data = base64.b64encode(struct.pack("<24h", *ids())).decode()
        routed = {"data": data, "shape": [TOKENS, LAYERS, K], "dtype": "int16", "start": 0}
        if fault == "object-shape":
            routed["shape"] = [TOKENS + 1, LAYERS, K]
        elif fault == "object-dtype":
            routed["dtype"] = "float8"
        elif fault == "object-start":
            routed["start"] = -1
        elif fault == "object-encoding":
            routed["encoding"] = "zstd"
        elif fault == "object-half":
            del routed["shape"]
    elif fault in ("too-large", "negative", "twice"):
        rows[2][0][1] = {"too-large": 70, "negative": -7, "twice": rows[2][0][0]}[fault]
    value = {"model": "a", "choices": [{"routed_experts": routed}], "usage": usage}
    text = json.dumps(value)
    if fault == "two-models":
        text += "\n" + text.replace('"a"', '"b"')
    elif fault == "k-varies":
        text += "\n" + json.dumps({**value, "choices": [
            {"routed_experts": [[[1, 2, 3], [4, 5, 6]]] * TOKENS}]})
    elif fault == "cut":
        text = text[:-30]
    elif fault == "deep":
        text = "[" * 70
    elif fault == "not-objects":
        text = '"routed_experts"'
    elif fault == "rows-twice":
        text = text.replace('"routed_experts": ', '"routed_experts": [[[1, 2]]], "routed_experts": ')
    return text.encode()


def main():
    kind = sys.argv[1]
    make = {"npy": npy, "npz": npz, "json": answer}[kind]
    for fault in sys.argv[2:]:
        with open(f"{fault}.{kind}", "wb") as file:
            file.write(make(fault))


main()
