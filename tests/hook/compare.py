"""Whether two traces say the same: compare.py TRACE TRACE [WITHIN [first]]

Every (sequence, position) of one is in the other, with the same token, phase and step; its experts are
the same, but where weights lie closer together than WITHIN, and their weights differ by less. `first`:
the experts of each sequence's first token in the first layer alone."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
import trace_file  # noqa: E402


def experts(a, b, within):
    """What is wrong with the experts and weights of one token and layer; None."""
    for place, (x, y) in enumerate(zip(a[0], b[0])):
        if abs(a[1][place] - b[1][place]) > within:
            return "weights %s, %s" % (a[1], b[1])
        if x == y:
            continue
        near = [w for i, w in enumerate(a[1]) if i != place and abs(w - a[1][place]) <= within]
        if not near and place + 1 < len(a[0]):  # the last may be tied with what was not chosen
            return "experts %s, %s of weights %s" % (a[0], b[0], a[1])
    return None


def main(one, two, within="1e-4", first=""):
    a, b = trace_file.rows(one), trace_file.rows(two)
    if set(a) != set(b):
        sys.exit("rows: %d and %d; %s" % (len(a), len(b), sorted(set(a) ^ set(b))[:5]))
    ties = 0
    for key in sorted(a):
        for name in ("token_id", "phase", "step"):
            if a[key][name] != b[key][name]:
                sys.exit("%s of %s: %s, %s" % (name, key, a[key][name], b[key][name]))
        for layer in range(len(a[key]["experts"]) if not first else key[1] == 0):
            x, y = a[key]["experts"][layer], b[key]["experts"][layer]
            ties += x[0] != y[0]
            found = experts(x, y, float(within))
            if found:
                sys.exit("%s, layer %d: %s" % (key, layer, found))
    layers = len(next(iter(a.values()))["experts"])
    print("%d tokens, %d layers, %d ties" % (len(a), layers, ties))
    if not a or ties * 50 > len(a) * layers:
        sys.exit("more ties than can be")


main(*sys.argv[1:])
