"""Looks into traces for capture.sh: capture.py CHECK FILE…"""

import json
import struct
import sys

TYPES = {"U8": "B", "U16": "H", "U32": "I", "F32": "f", "F16": "H"}


def load(path):
    with open(path, "rb") as file:
        n = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(n))
        data = file.read()
    meta = header.pop("__metadata__")
    tensors = {}
    for name, t in header.items():
        begin, end = t["data_offsets"]
        kind = TYPES[t["dtype"]]
        flat = struct.unpack("<%d%s" % ((end - begin) // struct.calcsize(kind), kind), data[begin:end])
        tensors[name] = (t["shape"], flat)
    return meta, tensors


def rows(path):
    """What each (sequence, position) has, whatever the order of the rows; phase and step apart."""
    _, tensors = load(path)
    n = tensors["sequence"][0][0]
    out = {}
    for i in range(n):
        row = {}
        for name, (shape, flat) in tensors.items():
            if shape[0] != n or name in ("step", "phase", "sequence", "position", "domain"):
                continue
            each = len(flat) // n
            row[name] = flat[i * each : (i + 1) * each]
        out[tensors["sequence"][1][i], tensors["position"][1][i]] = row
    return out


def same_rows(a, b):
    """Every (sequence, position) of both has the same."""
    x, y = rows(a), rows(b)
    both = set(x) & set(y)
    assert both and (len(x) == len(both) or len(y) == len(both)), "rows of one are not in the other"
    for key in sorted(both):
        for name in x[key]:
            assert x[key][name] == y[key][name], "%s differs at %s" % (name, key)


def same_tensors(a, b):
    x, y = load(a)[1], load(b)[1]
    assert sorted(x) == sorted(y), "%s, %s" % (sorted(x), sorted(y))
    for name in x:
        # As bytes: NaN is itself here.
        assert repr(x[name]) == repr(y[name]), name + " differs"


def whole_sequences(a):
    """All ids of each sequence, as lines of JSON."""
    _, tensors = load(a)
    sequences = {}
    for s, p, t in zip(*(tensors[name][1] for name in ("sequence", "position", "token_id"))):
        sequences.setdefault(s, {})[p] = t
    for s in sorted(sequences):
        print(json.dumps({"ids": [sequences[s][p] for p in range(len(sequences[s]))]}))


def decoded(a, sequence):
    """Ids that a sequence decoded."""
    _, tensors = load(a)
    names = ("sequence", "phase", "token_id")
    print(*(t for s, p, t in zip(*(tensors[n][1] for n in names)) if p == 1 and s == int(sequence)))


def steps(a):
    """Tokens of each step, as "4P" and "2D": all prefill, all decode."""
    _, tensors = load(a)
    found = {}
    for step, phase in zip(tensors["step"][1], tensors["phase"][1]):
        found.setdefault(step, []).append("PD"[phase])
    assert sorted(found) == list(range(len(found))), "steps are missing"
    for step in sorted(found):
        assert len(set(found[step])) == 1, "step %d is mixed" % step
    print(*("%d%s" % (len(found[s]), found[s][0]) for s in sorted(found)))


def logits_choose(a):
    """The experts are those with the largest logits; F16 may make ties of what was none."""
    meta, tensors = load(a)
    k, experts = int(meta["top_k"]), int(meta["experts"])
    ids, halves = tensors["expert_ids"][1], tensors["router_logits"][1]
    values = struct.unpack("<%de" % len(halves), struct.pack("<%dH" % len(halves), *halves))
    for row in range(len(ids) // k):
        logits = values[row * experts : (row + 1) * experts]
        least = min(logits[e] for e in ids[row * k : (row + 1) * k])
        beyond = [e for e in range(experts) if logits[e] > least]
        assert len(beyond) < k and set(beyond) <= set(ids[row * k : (row + 1) * k]), row


checks = {f.__name__: f for f in (same_rows, same_tensors, whole_sequences, decoded, steps, logits_choose)}
try:
    checks[sys.argv[1]](*sys.argv[2:])
except AssertionError as problem:
    sys.exit("%s: %s" % (" ".join(sys.argv[1:]), problem))
