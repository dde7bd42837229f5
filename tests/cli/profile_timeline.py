"""Checks a timeline: `profile_timeline.py FILE.json[.gz]` keeps the rules of analysis/timeline.h.
Prints a line for each track: group, track, slices, their time in ns; then for each counter."""
import collections
import gzip
import json
import sys


def load(path):
    opened = gzip.open(path, "rt", encoding="utf-8") if path.endswith(".gz") else \
        open(path, encoding="utf-8")
    with opened as file:
        return json.load(file)


def ns(us):
    """The file's microseconds have three places; JSON makes doubles of them."""
    value = round(us * 1000)
    assert abs(us * 1000 - value) < 1e-3, us
    return value


def check_nesting(slices, where):
    """In the order of the file: outer ones first, each within those that are open, or apart."""
    open_ends = []
    last = -1
    for event in slices:
        start, end = ns(event["ts"]), ns(event["ts"]) + ns(event["dur"])
        assert start >= last >= -1, (where, event)
        last = start
        while open_ends and open_ends[-1] <= start:
            open_ends.pop()
        assert not open_ends or end <= open_ends[-1], (where, event)
        open_ends.append(end)


def main():
    trace = load(sys.argv[1])
    assert set(trace) == {"displayTimeUnit", "traceEvents"}
    processes, threads, slices, counters = {}, {}, collections.defaultdict(list), {}
    placed = set()
    for event in trace["traceEvents"]:
        assert isinstance(event["name"], str) and event["name"], event
        kind, pid = event["ph"], event["pid"]
        assert isinstance(pid, int) and pid > 0, event
        if kind == "M":
            names = {"process_name": processes, "thread_name": threads}.get(event["name"])
            key = pid if event["name"].startswith("process") else (pid, event["tid"])
            if names is None:
                assert isinstance(event["args"]["sort_index"], int), event
                placed.add(key)
            else:
                assert event["args"]["name"] and key not in names, event
                names[key] = event["args"]["name"]
        elif kind == "X":
            assert event["ts"] >= 0 and event["dur"] >= 0, event
            slices[pid, event["tid"]].append(event)
        else:
            assert kind == "C" and isinstance(event["args"]["value"], (int, float)), event
            samples = counters.setdefault((pid, event["name"]), [])
            assert event["ts"] >= 0 and (not samples or samples[-1][0] < event["ts"]), event
            samples.append((event["ts"], event["args"]["value"]))
    assert len({tid for _, tid in threads}) == len(threads), "a track's number is used twice"
    assert set(slices) == set(threads) and placed == set(threads) | set(processes)
    assert {pid for pid, _ in slices} | {pid for pid, _ in counters} <= set(processes)
    assert not slices or min(ns(e["ts"]) for some in slices.values() for e in some) == 0 or counters
    for key, some in slices.items():
        check_nesting(some, threads[key])
        print(processes[key[0]], threads[key], len(some), sum(ns(e["dur"]) for e in some),
              ns(some[0]["ts"]), sep="; ")
    for key, some in counters.items():
        print(processes[key[0]], key[1], "most", max(v for _, v in some), "last", some[-1][1],
              sep="; ")


main()
