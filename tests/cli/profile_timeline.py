"""Checks a timeline: `profile_timeline.py FILE` (.json, .pftrace, either with .gz) keeps the rules of
analysis/timeline.h. Prints a line for each track, in the order in which they stand: group, track,
slices, their time in ns, the first one's start; then for each counter."""
import collections
import gzip
import json
import struct
import sys


def load(path):
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
        return file.read()


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


def check_json(text):
    trace = json.loads(text)
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


def fields_of(message):
    """Numbers and values of a protobuf message, in order."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        elif key & 7 == 1:
            at += 8
            yield key >> 3, struct.unpack("<d", message[at - 8:at])[0]
        else:
            assert key & 7 == 2, key
            size = varint()
            assert at + size <= len(message)
            at += size
            yield key >> 3, message[at - size:at]


def check_proto(data):
    """Numbers of fields: protos/perfetto/trace in Perfetto's source."""
    tracks, events = {}, []
    for number, packet in fields_of(data):
        packet = dict(fields_of(packet))
        assert number == 1 and packet[10] == 1 and (packet.get(13) == 1) == (not tracks)
        if 60 in packet:
            track = dict(fields_of(packet[60]))
            assert track[1] not in tracks and track[2].decode() and track[11] == 3
            assert track.get(5, 0) in tracks or not tracks, track
            tracks[track[1]] = track
        else:
            event = list(fields_of(packet[11]))
            events.append((packet.get(8, 0), dict(event), [v for n, v in event if n == 4]))
    events.sort(key=lambda event: event[0])     # stable, as Perfetto does
    open_, sums, counters = collections.defaultdict(list), {}, collections.defaultdict(list)
    for at, event, notes in events:
        uuid = event[11]
        assert uuid in tracks, event
        if event[9] == 1:
            assert event[23].decode() and 8 not in tracks[uuid]
            for note in map(dict, map(fields_of, notes)):
                assert note[10].decode() in ("step", "layer", "expert", "bytes", "what")
            open_[uuid].append(at)
            sums.setdefault(uuid, [0, 0, at])
        elif event[9] == 2:
            sums[uuid][0] += 1
            sums[uuid][1] += at - open_[uuid].pop()
        else:
            assert event[9] == 4 and 8 in tracks[uuid]
            counters[uuid].append(event[44])
    assert not any(open_.values()), "slices that never end"
    root = next(iter(tracks))

    def place(uuid):
        path = []
        while uuid != root:
            path.insert(0, tracks[uuid][12])
            uuid = tracks[uuid][5]
        return path

    ranks = [place(uuid) for uuid in tracks]
    assert all(ranks.count(rank) == 1 for rank in ranks), "two tracks in one place"
    for uuid in sorted(tracks, key=place):
        group = tracks[tracks[uuid][5]][2].decode() if uuid != root else ""
        name = tracks[uuid][2].decode()
        if uuid in sums:
            print(group, name, *sums[uuid], sep="; ")
        elif uuid in counters:
            print(group, name, "most", f"{max(counters[uuid]):g}", "last",
                  f"{counters[uuid][-1]:g}", sep="; ")


data = load(sys.argv[1])
(check_json if data[:1] == b"{" else check_proto)(data)
