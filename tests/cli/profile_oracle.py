"""Checks `moesim profile stats --csv` of a small profile against slow sums, point by point:
`profile_oracle.py DB CSV`."""
import collections
import csv
import sqlite3
import sys

STAGES = ["embed", "attention", "router", "dispatch", "experts", "combine", "unembed"]


def rows_of(db, sql):
    cursor = db.execute(sql)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row)) for row in cursor]


class Truth:
    def __init__(self, path):
        db = sqlite3.connect(path)
        uuids = {(d["pid"], d["device"]): d["uuid"] for d in rows_of(
            db, "SELECT pid, device, uuid FROM device ORDER BY device, pid")}
        order = list(dict.fromkeys(uuids.values()))
        unit = {key: order.index(uuid) for key, uuid in uuids.items()}
        self.units = range(len(order))
        names = dict(db.execute("SELECT id, value FROM string"))
        self.compute = [dict(k, text=names[k["name"]]) for k in rows_of(db, "SELECT * FROM kernel")]
        seen = {(k["pid"], k["correlation"]) for k in self.compute}
        self.compute += [dict(g, text="graph", stage=None, layer=None) for g in
                         rows_of(db, "SELECT * FROM graph_launch")
                         if (g["pid"], g["correlation"]) not in seen]
        self.copies = rows_of(db, "SELECT * FROM memop")
        for activity in self.compute + self.copies:
            activity["unit"] = unit[activity["pid"], activity["device"]]
            activity["ns"] = activity["end_ns"] - activity["start_ns"]
        self.calls = {}
        for call in rows_of(db, "SELECT * FROM api"):
            key = call["pid"], call["correlation"]
            start, end = self.calls.get(key, (call["start_ns"], call["end_ns"]))
            self.calls[key] = min(start, call["start_ns"]), max(end, call["end_ns"])
        self.stages = rows_of(db, "SELECT * FROM stage")
        self.loads = rows_of(db, "SELECT * FROM load")

    def points(self, activities, unit):
        return {t for a in activities if a["unit"] == unit for t in range(a["start_ns"], a["end_ns"])}

    def call(self, activity):
        return self.calls.get((activity["pid"], activity["correlation"]))

    def first_of_calls(self):
        """The first activity of each call that is known."""
        first = {}
        for a in self.compute:
            key = a["pid"], a["correlation"]
            if key in self.calls and (key not in first or a["start_ns"] < first[key]["start_ns"]):
                first[key] = a
        return list(first.values())


def percentile(values, p):
    return sorted(values)[(len(values) - 1) * p // 100]


def stages(truth):
    out = []
    known = STAGES + sorted({a["stage"] for a in truth.compute + truth.copies + truth.stages
                             if a["stage"] and a["stage"] not in STAGES}) + [None]
    for stage in known:
        compute = [a for a in truth.compute if a["stage"] == stage]
        copies = [a for a in truth.copies if a["stage"] == stage]
        if compute or copies:
            busy = sum(len(truth.points(compute, unit)) for unit in truth.units)
            out.append([stage or "outside", len(compute), sum(a["ns"] for a in compute), busy, None,
                        len(copies), sum(a["ns"] for a in copies), 0, 0, None])
    compute, copies = truth.compute, truth.copies
    busy = sum(len(truth.points(compute, unit)) for unit in truth.units)
    out.append(["all", len(compute), sum(a["ns"] for a in compute), busy, None, len(copies),
                sum(a["ns"] for a in copies), 0, 0, None])
    return out


def layers(truth):
    out = []
    for layer in sorted({a["layer"] for a in truth.compute}, key=lambda x: (x is not None, x)):
        of = collections.Counter()
        for a in truth.compute:
            if a["layer"] == layer:
                of[a["stage"] if a["stage"] in STAGES else "other"] += a["ns"]
        out.append([layer] + [of[s] for s in STAGES + ["other"]] + [sum(of.values())])
    return out


def split(truth):
    out = []
    for unit in truth.units:
        compute, copy = truth.points(truth.compute, unit), truth.points(truth.copies, unit)
        mine = [a for a in truth.compute + truth.copies if a["unit"] == unit]
        span = max(a["end_ns"] for a in mine) - min(a["start_ns"] for a in mine)
        out.append([None, span, len(compute - copy), len(copy - compute), len(compute & copy),
                    span - len(compute | copy)] + [None] * 4)
    return out


def idle(truth):
    """Each idle point by itself: the kernel before is the last to end, the next the first to
    start; of several the one that the file names first counts, and of starts the shorter one."""
    out = []
    for unit in truth.units:
        mine = [a for a in truth.compute if a["unit"] == unit]
        mine.sort(key=lambda a: (a["start_ns"], a["end_ns"]))
        busy, copying = truth.points(mine, unit), truth.points(truth.copies, unit)
        sums = collections.Counter()
        begin = min(a["start_ns"] for a in mine)
        for t in range(begin, max(a["end_ns"] for a in mine)):
            if t in busy:
                continue
            after = next(a for a in mine if a["start_ns"] > t)
            before = max((a for a in mine if a["start_ns"] <= t),
                         key=lambda a: (a["end_ns"], a["start_ns"], mine.index(a)))
            call = truth.call(after)
            if t in copying:
                sums["copy"] += 1
            elif call and t < call[1]:
                sums["host"] += 1
            elif (before["pid"], before["device"], before["correlation"]) == (
                    after["pid"], after["device"], after["correlation"]):
                sums["graph"] += 1
            else:
                sums["other"] += 1
        total = sum(sums.values())
        out += [[None, cause, sums[cause], sums[cause] / total, None, None, None, None]
                for cause in ("copy", "host", "graph", "other") if sums[cause]]
    return out


def launch(truth):
    out = []
    for unit in truth.units:
        mine = [a for a in truth.first_of_calls() if a["unit"] == unit]
        begin = [a["start_ns"] - truth.call(a)[0] for a in mine]
        end = [a["start_ns"] - truth.call(a)[1] for a in mine]
        out.append([None, len(mine)] + [percentile(begin, p) for p in (50, 90, 99, 100)]
                   + [percentile(end, p) for p in (0, 50, 90, 99, 100)])
    return out


def queue(truth):
    out = []
    streams = collections.defaultdict(list)
    for a in truth.first_of_calls():
        streams[a["pid"], a["device"], a["stream"]].append(a)
    for key in sorted(streams):
        waits = [(min(truth.call(a)[1], a["start_ns"]), a["start_ns"]) for a in streams[key]]
        first, last = min(w[0] for w in waits), max(a["end_ns"] for a in streams[key])
        depth = [sum(w[0] <= t < w[1] for w in waits) for t in range(first, last)]
        out.append([*key, len(waits), sum(depth) / (last - first), max(depth),
                    sum(w[1] - w[0] for w in waits) / len(waits)])
    return out


def copies(truth):
    of = collections.defaultdict(list)
    for a in truth.copies:
        size = 0
        while a["bytes"] >= 4 ** (size + 1):
            size += 1
        set_ = a["kind"] == "memset"
        pinned = -1 if a["pinned"] is None else a["pinned"]
        of["memset" if set_ else a["direction"], -pinned, size].append(a)
    memory = {1: "pinned", 0: "pageable", -1: "unknown"}
    out = []
    for (direction, pinned, size), some in sorted(of.items()):
        moved, took = sum(a["bytes"] for a in some), sum(a["ns"] for a in some)
        out.append([direction, None if direction == "memset" else memory[-pinned],
                    4 ** size if size else 0, 4 ** (size + 1), len(some), moved, took,
                    moved * 1e9 / took if took else None, None])
    return out


def expert_rows(truth):
    out = []
    for key in sorted({(load["pid"], load["step"], load["layer"]) for load in truth.loads}):
        mine = [load["tokens"] for load in truth.loads
                if (load["pid"], load["step"], load["layer"]) == key]
        kernels = [a for a in truth.compute if a["stage"] == "experts"
                   and (a["pid"], a["step"], a["layer"]) == key]
        time = len({t for a in kernels for t in range(a["start_ns"], a["end_ns"])})
        if kernels and any(mine):
            out.append([*key, None, sum(mine), sum(n > 0 for n in mine), max(mine), None, time,
                        "kernels"])
    return out


def read_csv(path):
    views, name = {}, None
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.reader(file):
            if len(row) == 1 and row[0].startswith("# "):
                name = row[0][2:]
                views[name] = []
            elif row:
                views[name].append(row)
    return views


def same(got, wanted):
    if wanted is None:
        return True
    if isinstance(wanted, str):
        return got == wanted
    return got != "" and abs(float(got) - wanted) <= 1e-9 * abs(wanted)


def main():
    truth, views, wrong = Truth(sys.argv[1]), read_csv(sys.argv[2]), 0
    for check in (stages, layers, split, idle, launch, queue, copies, expert_rows):
        got, wanted = views[check.__name__][1:], check(truth)
        if check is stages:
            got, wanted = sorted(got), sorted(wanted, key=lambda row: row[0])
        if len(got) != len(wanted):
            print(f"{check.__name__}: {len(got)} rows, not {len(wanted)}")
            wrong += 1
        for one, other in zip(got, wanted):
            if len(one) != len(other) or not all(map(same, one, other)):
                print(f"{check.__name__}: {one}, not {other}")
                wrong += 1
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
