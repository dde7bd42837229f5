"""What `moesim trace stats --csv` says of a small random trace, worked out anew the slow way.

stats_oracle.py write OUT SEED          writes the trace
stats_oracle.py check OUT SEED CSV      compares every row of the CSV, and that none is missing

Nothing is shared with the program: sets and lists, one definition after another."""
import json
import math
import random
import struct
import sys

LAYERS, EXPERTS, K, SEQUENCES = 3, 9, 3, 6
NONE, NOT_RUN = 0xFF, 0xFE
LAYER_IDS = [2, 3, 7]


class Trace:
    """tokens[s][t] = (phase, step, [ids per layer], [weights per layer], [predicted per layer])"""

    def __init__(self, seed):
        draw = random.Random(seed)
        self.tokens = []
        for s in range(SEQUENCES):
            length = 20 + 13 * s
            rows = []
            for t in range(length):
                ids = [self.row(draw, s) for _ in range(LAYERS)]
                weights = [[draw.randrange(1, 64) / 64 for _ in row] for row in ids]
                predicted = [[] if layer == 0 else draw.sample(range(EXPERTS), 2)
                             for layer in range(LAYERS)]
                rows.append((0 if t < 8 else 1, (t * 3 + s) // 5, ids, weights, predicted))
            self.tokens.append(rows)

    @staticmethod
    def row(draw, s):
        if draw.random() < 0.05:
            return []
        n = K if draw.random() < 0.9 else draw.randrange(1, K)
        pool = list(range(EXPERTS))
        row = []
        for _ in range(n):
            weights = [1 / (1 + (e + s) % EXPERTS) for e in pool]
            row.append(pool.pop(draw.choices(range(len(pool)), weights)[0]))
        return row

    def write(self, path):
        flat = [token for rows in self.tokens for token in rows]
        n = len(flat)
        ids, weights, predicted = bytearray(), bytearray(), bytearray()
        for _, _, rows, shares, guesses in flat:
            for row, share, guess in zip(rows, shares, guesses):
                ids += bytes(row + [NONE] * (K - len(row)) if row else [NOT_RUN] * K)
                weights += struct.pack(f"<{K}f", *(share + [0.0] * (K - len(share))))
                predicted += bytes(guess + [NONE] * (2 - len(guess)))
        sequence = [s for s, rows in enumerate(self.tokens) for _ in rows]
        position = [t for rows in self.tokens for t in range(len(rows))]
        tensors = {
            "gate_weights": ("F32", [n, LAYERS, K], weights),
            "sequence": ("U32", [n], struct.pack(f"<{n}I", *sequence)),
            "position": ("U32", [n], struct.pack(f"<{n}I", *position)),
            "step": ("U32", [n], struct.pack(f"<{n}I", *[token[1] for token in flat])),
            "expert_ids": ("U8", [n, LAYERS, K], ids),
            "lookahead.1": ("U8", [n, LAYERS, 2], predicted),
            "phase": ("U8", [n], bytes(token[0] for token in flat)),
        }
        header, at = {"__metadata__": {"format": "moesim-routing", "version": "1",
                                       "experts": str(EXPERTS), "layer_ids": str(LAYER_IDS)}}, 0
        for name, (dtype, shape, data) in tensors.items():
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
            at += len(data)
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for _, _, data in tensors.values():
                file.write(data)


class Oracle:
    def __init__(self, trace):
        self.tokens = trace.tokens
        self.values = {}

    def put(self, statistic, layer, parameter, value):
        if value is not None:
            self.values[statistic, "" if layer is None else str(LAYER_IDS[layer]),
                        parameter] = value

    def rows(self, layer, s):
        return [token[2][layer] for token in self.tokens[s]]

    def all_rows(self, layer):
        return [row for s in range(SEQUENCES) for row in self.rows(layer, s)]

    def mean(self, statistic, values, parameter=""):
        """Puts a value for each layer, and their mean."""
        for layer, value in enumerate(values):
            self.put(statistic, layer, parameter, value)
        known = [value for value in values if value is not None]
        self.put(statistic, None, parameter, sum(known) / len(known))

    # ---- popularity, overlap, reuse, affinity ----

    def popularity(self):
        counts = [[sum(e in row for row in self.all_rows(layer)) for e in range(EXPERTS)]
                  for layer in range(LAYERS)]
        ran = [sum(bool(row) for row in self.all_rows(layer)) for layer in range(LAYERS)]
        for layer in range(LAYERS):
            for e in range(EXPERTS):
                self.put("uses", layer, f"expert={e}", counts[layer][e] / ran[layer])
        self.mean("popularity_max_over_mean", [max(c) / (sum(c) / EXPERTS) for c in counts])
        self.mean("popularity_gini", [
            sum(abs(a - b) for a in c for b in c) / (2 * EXPERTS * sum(c)) for c in counts])
        self.mean("popularity_entropy", [
            -sum(n / sum(c) * math.log2(n / sum(c)) for n in c if n) for c in counts])
        self.mean("popularity_zipf", [self.zipf(c) for c in counts])
        for layer in range(LAYERS):
            self.put("popularity_sd", layer, "", self.deviation(counts[layer]) / ran[layer])
        self.put("popularity_sd", None, "", self.deviation(sum(counts, [])) / max(ran))
        shared = [sum(n * n / ran[l] for n in counts[l]) for l in range(LAYERS)]
        for layer in range(LAYERS):
            self.put("overlap_independent", layer, "", shared[layer] / sum(counts[layer]))
        self.put("overlap_independent", None, "", sum(shared) / sum(map(sum, counts)))
        self.put("overlap_uniform", None, "", K / EXPERTS)

    @staticmethod
    def zipf(counts):
        points = [(math.log(rank + 1), math.log(n))
                  for rank, n in enumerate(sorted(counts, reverse=True)) if n]
        mx = sum(x for x, _ in points) / len(points)
        my = sum(y for _, y in points) / len(points)
        return (-sum((x - mx) * (y - my) for x, y in points)
                / sum((x - mx) ** 2 for x, _ in points))

    @staticmethod
    def deviation(values):
        mean = sum(values) / len(values)
        return math.sqrt(sum((v - mean) ** 2 for v in values) / len(values))

    def overlap(self):
        for lag in range(1, 65):
            sums = []
            for layer in range(LAYERS):
                pairs = [(rows[t - lag], rows[t])
                         for rows in (self.rows(layer, s) for s in range(SEQUENCES))
                         for t in range(lag, len(rows)) if rows[t - lag] and rows[t]]
                sums.append((sum(len(set(a) & set(b)) for a, b in pairs),
                             sum(len(b) for _, b in pairs)))
            self.ratios("overlap", f"lag={lag}", sums)

    def ratios(self, statistic, parameter, sums):
        """Puts part / whole for each layer, and of the sums."""
        for layer, (part, whole) in enumerate(sums):
            self.put(statistic, layer, parameter, part / whole if whole else None)
        whole = sum(w for _, w in sums)
        self.put(statistic, None, parameter, sum(p for p, _ in sums) / whole if whole else None)

    @staticmethod
    def quantile(values, share):
        values = sorted(values)
        return values[max(math.ceil(share * len(values)) - 1, 0)]

    def reuse(self):
        gaps, firsts = [[] for _ in range(LAYERS)], [0] * LAYERS
        for layer in range(LAYERS):
            for s in range(SEQUENCES):
                last = {}
                for t, row in enumerate(self.rows(layer, s)):
                    for e in row:
                        if e in last:
                            gaps[layer].append(t - last[e])
                        firsts[layer] += e not in last
                        last[e] = t
        for q in (0.5, 0.9, 0.99):
            for layer in range(LAYERS):
                self.put("reuse_tokens", layer, f"quantile={q:g}", self.quantile(gaps[layer], q))
            self.put("reuse_tokens", None, f"quantile={q:g}", self.quantile(sum(gaps, []), q))
        self.ratios("reuse_first", "", [(f, f + len(g)) for f, g in zip(firsts, gaps)])

    def affinity(self):
        masses, independents, informations = [None], [None], [None]
        for layer in range(1, LAYERS):
            rows = [(a, b) for a, b in zip(self.all_rows(layer - 1), self.all_rows(layer))
                    if a and b]
            pairs = [[sum(x in a and y in b for a, b in rows) for y in range(EXPERTS)]
                     for x in range(EXPERTS)]
            total = sum(map(sum, pairs))
            after = [sum(p[y] for p in pairs) for y in range(EXPERTS)]
            before = [sum(p) for p in pairs]
            masses.append(sum(sum(sorted(p)[-K:]) for p in pairs) / total)
            independents.append(sum(sorted(after)[-K:]) / total)
            informations.append(sum(
                pairs[x][y] / total * math.log2(pairs[x][y] * total / before[x] / after[y])
                for x in range(EXPERTS) for y in range(EXPERTS) if pairs[x][y]))
            for x in range(EXPERTS):
                uses = sum(x in a for a, _ in rows)
                if uses:
                    best = max(range(EXPERTS), key=lambda y: (pairs[x][y], -y))
                    self.put("affinity_partner", layer, f"expert={x}", best)
                    self.put("affinity_partner_share", layer, f"expert={x}",
                             pairs[x][best] / uses)
        self.mean("affinity_mass", masses)
        self.mean("affinity_mass_independent", independents)
        self.mean("affinity_information", informations)

    # ---- batches ----

    def lots(self, phase):
        """Lists of (s, t): what batches are cut from."""
        lanes = [[(s, t) for t, token in enumerate(rows) if token[0] == phase]
                 for s, rows in enumerate(self.tokens)]
        if phase == 0:
            return lanes
        return [[lane[i] for lane in lanes if i < len(lane)]
                for i in range(max(map(len, lanes)))]

    def batches(self, phase, size):
        return [lot[at:at + size] for lot in self.lots(phase)
                for at in range(0, len(lot) - size + 1, size)]

    def coverage(self):
        for size in [1 << i for i in range(10)]:
            for phase, name in ((0, "coverage_prefill"), (1, "coverage_decode")):
                sums = [[len({e for s, t in batch for e in self.tokens[s][t][2][layer]})
                         for batch in self.batches(phase, size)] for layer in range(LAYERS)]
                self.ratios(name, f"batch={size}", [(sum(n), len(n)) for n in sums])
            self.put("coverage_uniform", None, f"batch={size}",
                     EXPERTS * (1 - (1 - K / EXPERTS) ** size))

    def balance(self):
        steps = {}
        for s, rows in enumerate(self.tokens):
            for t, token in enumerate(rows):
                steps.setdefault(token[1], []).append((s, t))
        self.imbalance("balance_step", "", [steps[step] for step in sorted(steps)])
        self.imbalance("balance_decode", " batch=4", self.batches(1, 4))
        self.imbalance("balance_prefill", " batch=64", self.batches(0, 64))

    def imbalance(self, statistic, suffix, batches):
        for ranks in range(1, 9):
            sums = []
            for layer in range(LAYERS):
                ratios = []
                for batch in batches:
                    loads = [0] * ranks
                    for s, t in batch:
                        for e in self.tokens[s][t][2][layer]:
                            loads[e * ranks // EXPERTS] += 1
                    if sum(loads):
                        ratios.append(max(loads) / (sum(loads) / ranks))
                sums.append((sum(ratios), len(ratios)))
            self.ratios(statistic, f"ranks={ranks}{suffix}", sums)

    # ---- gates, look-ahead ----

    def gate(self):
        shares = [[] for _ in range(LAYERS)]
        for layer in range(LAYERS):
            for rows in self.tokens:
                for token in rows:
                    weights = token[3][layer]
                    if weights:
                        total = sum(weights)
                        shares[layer].append(sorted((w / total for w in weights), reverse=True))
        for rank in range(K):
            self.ratios("gate_share", f"rank={rank + 1}", [
                (sum(row[rank] for row in rows if rank < len(row)), len(rows)) for rows in shares])
        for q in (0.1, 0.5, 0.9):
            for layer in [*range(LAYERS), None]:
                top = [row[0] for row in (sum(shares, []) if layer is None else shares[layer])]
                value = math.floor(self.quantile(top, q) * 1000 + 1) / 1000
                self.put("gate_top", layer, f"quantile={q:g}", min(value, 1))
        everything = range(SEQUENCES)
        self.mean("loss_micro", [
            sum(self.loss(layer, [s]) for s in everything) / SEQUENCES for layer in range(LAYERS)])
        self.mean("loss_global", [self.loss(layer, everything) for layer in range(LAYERS)])

    def loss(self, layer, sequences):
        uses, chances, tokens = [0] * EXPERTS, [0.0] * EXPERTS, 0
        for s in sequences:
            for token in self.tokens[s]:
                tokens += bool(token[2][layer])
                for e, weight in zip(token[2][layer], token[3][layer]):
                    uses[e] += 1
                    chances[e] += weight / sum(token[3][layer])
        return EXPERTS * sum(u / sum(uses) * c / tokens for u, c in zip(uses, chances))

    def lookahead(self):
        sums = [(0, 0)]
        for layer in range(1, LAYERS):
            pairs = [(set(token[2][layer]), set(token[4][layer]))
                     for rows in self.tokens for token in rows]
            sums.append((sum(len(a & b) for a, b in pairs), sum(len(a) for a, _ in pairs)))
        self.ratios("lookahead_recall", "distance=1", sums)

    # ---- segments ----

    def segments(self):
        for m in (4, 16, 64, 256):
            for layer in [*range(LAYERS), None]:
                counts = []
                for at in range(LAYERS) if layer is None else [layer]:
                    for s in range(SEQUENCES):
                        rows = self.rows(at, s)
                        counts += [sum(e in row for row in rows[p:p + m]) for e in range(EXPERTS)
                                   for p in range(len(rows) - m + 1)]
                if not any(counts):
                    continue
                best = None
                for alpha in range(1, m + 1):
                    on = [f for f in counts if f >= alpha]
                    score = 2 * sum(on) / (m * len(on) + sum(counts))
                    if best is None or score > best[0]:
                        best = score, m * len(on) / sum(counts)
                self.put("srp", layer, f"m={m}", best[0])
                self.put("srp_rho", layer, f"m={m}", best[1])

    # ---- caches ----

    def stream(self, s, layers):
        """[(token, object)] of one sequence."""
        return [(t, (layer, e)) for t, token in enumerate(self.tokens[s]) for layer in layers
                for e in token[2][layer]]

    @staticmethod
    def replay(stream, capacity, worth):
        """Hits, depths of LRU's stack left out: accesses of a token are tested together; worth(now,
        object) decides who stays. First uses hit while there is room."""
        cache, seen, hits, now = [], set(), 0, 0
        while now < len(stream):
            end = now
            before, known = set(cache), set(seen)
            while end < len(stream) and stream[end][0] == stream[now][0]:
                item = stream[end][1]
                hits += item in before or (item not in known and len(seen) < capacity)
                seen.add(item)
                end += 1
            for at in range(now, end):
                item = stream[at][1]
                if item in cache:
                    continue
                if len(cache) == capacity:
                    cache.remove(min(cache, key=lambda x: worth(at, x)))
                cache.append(item)
            now = end
        return hits

    def policies(self, stream):
        uses = {}
        for at, (_, item) in enumerate(stream):
            uses.setdefault(item, []).append(at)

        def last(now, item):
            return max(at for at in uses[item] if at < now)

        def lfu(now, item):
            return sum(at < now for at in uses[item]), last(now, item)

        def belady(now, item):
            return -min([at for at in uses[item] if at >= now], default=len(stream))

        def ahead(m):
            def worth(now, item):
                t = stream[now][0]
                return (sum(at >= now and stream[at][0] < t + m for at in uses[item]),
                        last(now, item))
            return worth

        return {"lru": last, "lfu": lfu, "belady": belady, **{m: ahead(m) for m in (4, 16, 64)}}

    def caches(self):
        for scope, groups in (("model", [list(range(LAYERS))]),
                              ("layer", [[layer] for layer in range(LAYERS)])):
            width = K * len(groups[0])
            for rho in (1, 1.5, 2, 3, 4):
                capacity = int(rho * width)
                sums = {}
                for at, group in enumerate(groups):
                    for s in range(SEQUENCES):
                        stream = self.stream(s, group)
                        for policy, worth in self.policies(stream).items():
                            hits = self.replay(stream, capacity, worth)
                            pair = sums.setdefault(policy, [[0, 0] for _ in groups])[at]
                            pair[0] += hits
                            pair[1] += len(stream)
                for policy, pairs in sums.items():
                    name = f"{scope}_sch" if isinstance(policy, int) else f"{scope}_hit_{policy}"
                    parameter = f"m={policy} rho={rho:g}" if isinstance(policy, int) \
                        else f"rho={rho:g}"
                    if scope == "layer":
                        self.ratios(name, parameter, pairs)
                    else:
                        self.put(name, None, parameter, pairs[0][0] / pairs[0][1])


# Intervals are drawn at random, and the distances and curves are proved by tests/property: only that
# they are there, and that they are in order.
UNCHECKED = ("_low", "_high")
CURVES = ("reuse_distance", "model_miss_", "layer_miss_")


def compare(oracle, path):
    with open(path, encoding="ascii") as file:
        lines = file.read().splitlines()
    assert lines[0] == "statistic,layer,parameter,value", lines[0]
    got = {}
    for line in lines[1:]:
        statistic, layer, parameter, value = line.split(",")
        assert (statistic, layer, parameter) not in got, line
        got[statistic, layer, parameter] = float(value)
    faults = checked = 0
    for key, value in oracle.values.items():
        checked += 1
        if key not in got or not math.isclose(got[key], value, rel_tol=1e-8, abs_tol=1e-9):
            faults += 1
            print(f"{','.join(key)}: {got.get(key)}, not {value:.9g}")
    for key, value in got.items():
        statistic = key[0]
        if statistic.endswith(UNCHECKED):
            centre = got[statistic.rsplit("_", 1)[0], key[1], key[2]]
            assert abs(value - centre) < 0.5, key
        elif key not in oracle.values and not statistic.startswith(CURVES) and "m=256" not in key[2]:
            faults += 1
            print(f"{','.join(key)}: not expected")
    print(f"{checked} values checked, {faults} faults")
    return faults


def main():
    trace = Trace(int(sys.argv[3]))
    if sys.argv[1] == "write":
        trace.write(sys.argv[2])
        return 0
    oracle = Oracle(trace)
    for work in (oracle.popularity, oracle.overlap, oracle.reuse, oracle.affinity, oracle.coverage,
                 oracle.balance, oracle.gate, oracle.lookahead, oracle.segments, oracle.caches):
        work()
    return 1 if compare(oracle, sys.argv[4]) else 0


sys.exit(main())
