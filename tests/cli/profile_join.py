"""A profile of ranges for a routing trace, and what joining the two must say:
`profile_join.py make TRACE.safetensors OUT.db` or `… check TRACE.safetensors ROWS.csv`."""
import collections
import csv
import json
import struct
import sys

from profile_db import Profile


def read(path):
    """The tensors expert_ids and step, and the layers' numbers."""
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        body = file.read()
    ids, steps = header["expert_ids"], header["step"]
    assert ids["dtype"] == "U8" and steps["dtype"] == "U32"
    tokens, layers, k = ids["shape"]
    flat = body[slice(*ids["data_offsets"])]
    numbers = struct.unpack(f"<{tokens}I", body[slice(*steps["data_offsets"])])
    rows = [[flat[(t * layers + l) * k:(t * layers + l + 1) * k] for l in range(layers)]
            for t in range(tokens)]
    return rows, numbers


def loads_of(path):
    rows, steps = read(path)
    loads = collections.defaultdict(collections.Counter)
    for row, step in zip(rows, steps):
        for layer, ids in enumerate(row):
            loads[step, layer].update(e for e in ids if e < 0xFE)
    return loads, collections.Counter(steps)


def make(trace, out):
    loads, tokens = loads_of(trace)
    p = Profile(out)
    p.insert("process", pid=10, name="moesim", attach="nvtx", ended="exit")
    now = 1000
    for step in sorted(tokens):
        begin = now
        for layer in sorted({layer for s, layer in loads if s == step}):
            p.stage("experts", now, now + 100 * len(loads[step, layer]), step, layer)
            now += 5000
        p.step(step, begin, now, "decode", None)
    p.close()


def check(trace, path):
    loads, tokens = loads_of(trace)
    with open(path, newline="", encoding="utf-8") as file:
        got = list(csv.reader(file))[1:]
    wanted = [["10", str(step), str(layer), str(tokens[step]), str(sum(of.values())), str(len(of)),
               str(max(of.values())), "decode", str(100 * len(of)), "range"]
              for (step, layer), of in sorted(loads.items())]
    for one, other in zip(got, wanted):
        if one != other:
            sys.exit(f"{one}, not {other}")
    if len(got) != len(wanted) or not wanted:
        sys.exit(f"{len(got)} rows, not {len(wanted)}")


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]](*sys.argv[2:])
