"""Synthetic profiles, by SQL into the schema that the sources hold: `profile_db.py KIND OUT.db`,
where KIND is small, host, empty, lossy, torn, random-SEED or large-KERNELS. Used by the tests of
`moesim profile`, and imported by their oracle."""
import os
import random
import re
import sqlite3
import sys

STAGES = ("attention", "router", "dispatch", "experts", "combine")


def schema():
    """The SQL of profiler/profile_schema.c: its C strings, put together."""
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "../../profiler/profile_schema.c"), encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    text = text.replace('#include "profiler/profile_schema.h"', "")
    parts = re.findall(r'"((?:[^"\\]|\\.)*)"', text)
    return "".join(parts).replace('\\"', '"')


class Profile:
    """Rows of one profile; numbers rise as they are added."""

    def __init__(self, path):
        if os.path.exists(path):
            os.remove(path)
        self.db = sqlite3.connect(path)
        self.db.executescript(schema())
        self.db.execute("PRAGMA application_id = 0x4D6F4550")
        self.db.execute("PRAGMA user_version = 1")
        self.names = {}
        self.n = 0

    def next(self):
        self.n += 1
        return self.n

    def insert(self, table, **cells):
        self.db.execute(f"INSERT INTO {table}({', '.join(cells)}) VALUES"
                        f"({', '.join('?' * len(cells))})", tuple(cells.values()))

    def name(self, text):
        if text not in self.names:
            self.names[text] = len(self.names) + 1
            self.insert("string", id=self.names[text], value=text)
        return self.names[text]

    def kernel(self, name, start, end, pid=10, device=0, stream=7, **more):
        self.insert("kernel", id=self.next(), pid=pid, device=device, stream=stream, start_ns=start,
                    end_ns=end, name=self.name(name), **more)

    def copy(self, start, end, size, direction="HtoD", pinned=1, pid=10, device=0, stream=8,
             kind="memcpy", **more):
        self.insert("memop", id=self.next(), pid=pid, device=device, stream=stream, kind=kind,
                    start_ns=start, end_ns=end, bytes=size, pinned=pinned,
                    direction=direction if kind == "memcpy" else None, **more)

    def call(self, name, start, end, correlation, pid=10, thread=11):
        self.insert("api", id=self.next(), pid=pid, thread=thread, correlation=correlation,
                    domain="runtime", name=self.name(name), start_ns=start, end_ns=end, result=0)

    def range(self, text, start, end, pid=10, thread=11, payload=None, depth=0, kind="push"):
        number = self.next()
        self.insert("range", id=number, pid=pid, range=number, thread=thread, kind=kind,
                    domain="moesim", text=text, start_ns=start, end_ns=end, depth=depth,
                    payload=payload)
        return number

    def stage(self, stage, start, end, step, layer, pid=10, thread=11):
        number = self.range(stage, start, end, pid, thread, layer, 1)
        self.insert("stage", range=number, pid=pid, step=step, layer=layer, stage=stage,
                    start_ns=start, end_ns=end)

    def step(self, step, start, end, phase, tokens, pid=10):
        self.range("step", start, end if end is not None else start, pid, payload=step)
        self.insert("step", pid=pid, step=step, phase=phase, tokens=tokens, sequences=1,
                    start_ns=start, end_ns=end)

    def loads(self, step, layer, loads, pid=10):
        for expert, tokens in loads.items():
            self.insert("load", pid=pid, step=step, layer=layer, expert=expert, tokens=tokens)

    def meta(self, **pairs):
        for name, value in pairs.items():
            self.insert("meta", name=name, value=value)

    def process(self, pid=10, name="program", devices=((0, "GPU-a"),)):
        self.insert("process", pid=pid, name=name, attach="full", ended="exit")
        for device, uuid in devices:
            self.insert("device", pid=pid, device=device, uuid=uuid, name="GPU X", sms=132)

    def close(self):
        self.db.commit()
        self.db.close()


def small(path):
    """Two steps of two layers, small enough to be summed by hand: µs below, ns in the file.

    Step 0 (prefill) launches each kernel by itself: attention of 10, router of 2, experts of 20,
    one kernel after another with 3 between them, each launched 5 before it starts by a call of 2.
    The second layer's experts wait for a copy. Step 1 (decode) is one graph."""
    p = Profile(path)
    p.meta(source="moesim", version="1", tool="test")
    p.process()
    us = 1000
    now, correlation = 100, 0
    p.step(0, 90 * us, 280 * us, "prefill", 8)
    for layer in range(2):
        for stage, took in (("attention", 10), ("router", 2), ("experts", 20)):
            correlation += 1
            if layer == 1 and stage == "experts":
                p.copy(now * us, (now + 30) * us, 3 << 20, correlation=100, stage="experts",
                       layer=1, step=0)
                now += 32
            p.stage(stage, (now - 6) * us, (now - 2) * us, 0, layer)
            p.call("cudaLaunchKernel", (now - 5) * us, (now - 3) * us, correlation)
            p.kernel(f"{stage}_kernel", now * us, (now + took) * us, correlation=correlation,
                     stage=stage, layer=layer, step=0)
            now += took + 3
        p.loads(0, layer, {0: 6, 1: 4, 5: 6} if layer == 0 else {2: 16})
    p.kernel("sample", now * us, (now + 1) * us, correlation=50)
    p.call("cudaLaunchKernel", (now - 40) * us, (now - 38) * us, 50)
    p.step(1, 300 * us, 360 * us, "decode", 1)
    p.call("cudaGraphLaunch", 301 * us, 311 * us, 60)
    now = 312
    for layer in range(2):
        for stage, took in (("attention", 5), ("experts", 8)):
            p.kernel(f"{stage}_kernel", now * us, (now + took) * us, correlation=60, graph=1,
                     graph_node=now, stage=stage, layer=layer, step=1)
            now += took + 1
        p.loads(1, layer, {layer: 1, 3: 1})
    p.copy(355 * us, 356 * us, 4096, "DtoH", 0, stream=7, correlation=61)
    p.copy(357 * us, 358 * us, 1024, kind="memset", pinned=None, stream=7)
    p.insert("overhead", id=1, pid=10, thread=11, kind="buffer flush", start_ns=0, end_ns=1500)
    p.insert("loss", pid=10, source="cupti", what="unknown_kind.99", n=2)
    p.insert("diagnostic", id=1, pid=10, time_ns=0, severity="info", code="cupti_newer", text="…")
    for stage, moved, took in (("experts", 40e6, 20e3), ("attention", 3e6, 10e3)):
        for layer in range(2):
            for metric, value in (("dram__bytes_read.sum", moved), ("gpu__time_duration.sum", took),
                                  ("sm__warps_active.avg.pct", 40 + layer)):
                p.insert("counter", id=p.next(), pid=10, device=0, place=layer, range=stage,
                         stage=stage, layer=layer, **{"pass": 0}, metric=metric, value=value)
    p.close()


def host(path):
    """Ranges without kernels, as the CPU backend makes them; a range within another."""
    p = Profile(path)
    p.meta(source="moesim")
    p.insert("process", pid=10, name="moesim", attach="nvtx", ended="exit")
    now = 1000
    for step in range(3):
        begin = now
        for layer in range(2):
            for i, stage in enumerate(STAGES):
                took = 1000 * (i + 1) + 500 * step
                p.stage(stage, now, now + took, step, layer)
                if stage == "experts":
                    p.stage("combine", now + 100, now + 200, step, layer)
                now += took
            p.loads(step, layer, {e: 1 for e in range(step + 1)})
        p.step(step, begin, now, "prefill" if step == 0 else "decode", 4 >> step)
        now += 777
    p.close()


def lossy(path):
    small(path)
    db = sqlite3.connect(path)
    db.execute("INSERT INTO loss VALUES(10, 'cupti', 'dropped', 5)")
    db.commit()
    db.close()


def torn(path):
    small(path)
    db = sqlite3.connect(path)
    db.execute("UPDATE kernel SET end_ns = start_ns - 1 WHERE stage = 'router' AND layer = 1")
    db.commit()
    db.close()


def chaos(path, seed):
    """Anything that may be: several processes, devices and streams, overlaps, missing calls."""
    dice = random.Random(seed)
    p = Profile(path)
    p.process(10, devices=((0, "GPU-a"), (1, "GPU-b")))
    p.process(20, devices=((0, "GPU-b"),))
    correlation = 0
    for _ in range(120):
        pid = dice.choice((10, 10, 20))
        device = dice.randrange(2) if pid == 10 else 0
        start = dice.randrange(3000)
        end = start + dice.randrange(60)
        where = {"stage": dice.choice(STAGES + (None, "sampling")), "layer": dice.choice((0, 1, None)),
                 "step": dice.choice((0, 1, None)), "pid": pid, "device": device,
                 "stream": dice.choice((7, 8))}
        kind = dice.randrange(10)
        correlation += dice.randrange(3) > 0
        if kind < 6:
            p.kernel(dice.choice("abc"), start, end, correlation=correlation, **where)
        elif kind == 6:
            del where["stage"], where["layer"]
            p.insert("graph_launch", id=p.next(), start_ns=start, end_ns=end, graph=1,
                     correlation=correlation, **where)
        else:
            p.copy(start, end, dice.choice((0, 5, 4096, 1 << 20)), dice.choice(("HtoD", "DtoH")),
                   dice.choice((0, 1, None)), correlation=correlation,
                   kind=dice.choice(("memcpy", "memcpy", "memset")), **where)
    for pid in (10, 20):
        for c in range(correlation + 1):
            if dice.randrange(4):
                start = dice.randrange(3000)
                p.call("cudaLaunchKernel", start, start + dice.randrange(40), c, pid)
                if not dice.randrange(5):
                    p.call("cuLaunchKernel", start + 1, start + 2, c, pid)
    for step in range(2):
        for layer in range(2):
            p.loads(step, layer, {e: dice.randrange(4) for e in range(dice.randrange(1, 6))})
    p.close()


def large(path, n):
    """n kernels, as many calls, a copy for each tenth."""
    p = Profile(path)
    p.process()
    ids = [p.name(f"kernel_{i}") for i in range(50)]
    p.db.executemany(
        "INSERT INTO kernel(id, pid, device, stream, correlation, start_ns, end_ns, name, step,"
        " layer, stage) VALUES(?, 10, 0, 7, ?, ?, ?, ?, ?, ?, ?)",
        ((i, i, 5000 + 4000 * i, 8000 + 4000 * i, ids[i % 50], i // 800, i // 20 % 40,
          STAGES[i // 4 % 5]) for i in range(n)))
    p.db.executemany(
        "INSERT INTO api(id, pid, thread, correlation, domain, name, start_ns, end_ns, result)"
        " VALUES(?, 10, 11, ?, 'runtime', ?, ?, ?, 0)",
        ((i, i, ids[0], 4000 * i, 4000 * i + 2500) for i in range(n)))
    p.db.executemany(
        "INSERT INTO memop(id, pid, device, stream, kind, start_ns, end_ns, bytes, direction,"
        " pinned) VALUES(?, 10, 0, 8, 'memcpy', ?, ?, ?, 'HtoD', 1)",
        ((i, 40000 * i, 40000 * i + 9000, 100000 + i) for i in range(n // 10)))
    p.close()


def make(kind, path):
    name, _, number = kind.partition("-")
    kinds = {"small": small, "host": host, "lossy": lossy, "torn": torn,
             "empty": lambda path: Profile(path).close(),
             "random": lambda path: chaos(path, int(number)),
             "large": lambda path: large(path, int(number))}
    kinds[name](path)


if __name__ == "__main__":
    make(sys.argv[1], sys.argv[2])
