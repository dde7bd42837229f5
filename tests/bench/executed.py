#!/usr/bin/env python3
"""Simulated against executed decode time of a model with offloaded experts, on this machine.

    tests/bench/executed.py BUILD MODEL IDS [--decode N] [--rounds N] [--threads N] [--keep FOLDER]

BUILD is a build folder (moesim, tests/bench_machine), MODEL a checkpoint folder with one
model.safetensors, IDS what `moesim capture --tokens` reads. What is done:

1. Memory, reads and hand-overs between threads are measured (bench_machine): the link's latency and
   rate are fitted to the mean times of reads of 16 to 512 KiB.
2. Runs with all experts in memory, one and four sequences at a time, with the times of their stages:
   arithmetic rates and overheads are fitted to them. Nothing is fitted to a run with offloaded experts.
   Tokens are recorded, then given: no logits are computed, here and in the simulation.
3. Each (capacity, policy) is executed, `rounds` times in turn with the others and with 1 and 2, and
   simulated on the hardware of 1 and 2 as captured. The errors are of decoded tokens per second: predicted against the
   median of the executed ones.

The machine should have nothing else to do. Files stay in --keep: the hardware as YAML among them."""
import argparse
import json
import os
import re
import sqlite3
import statistics
import struct
import subprocess
import tempfile

RUNS = [(capacity, evict, prefetch)
        for capacity in ("12.5%", "25%", "50%", "75%")
        for evict, prefetch in (("lru", "none"), ("belady", "none"), ("lru", "next-layer"))]


def read_trace(path):
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        data = file.read()
    out = {}
    for name in ("time.stages", "expert_ids", "step", "phase", "sequence"):
        tensor = header[name]
        begin, end = tensor["data_offsets"]
        kind = {"F32": "f", "U32": "I", "U8": "B", "U16": "H"}[tensor["dtype"]]
        count = (end - begin) // struct.calcsize(kind)
        out[name] = tensor["shape"], struct.unpack(f"<{count}{kind}", data[begin:end])
    return out


def least_squares(rows, values):
    """The solution of rows x = values, by the normal equations."""
    n = len(rows[0])
    matrix = [[sum(r[i] * r[j] for r in rows) for j in range(n)] +
              [sum(r[i] * v for r, v in zip(rows, values))] for i in range(n)]
    for i in range(n):
        pivot = max(range(i, n), key=lambda k: abs(matrix[k][i]))
        matrix[i], matrix[pivot] = matrix[pivot], matrix[i]
        for k in range(n):
            if k != i:
                factor = matrix[k][i] / matrix[i][i]
                matrix[k] = [a - factor * b for a, b in zip(matrix[k], matrix[i])]
    return [matrix[i][n] / matrix[i][i] for i in range(n)]


def medians(pairs):
    """The median of the values of each key."""
    values = {}
    for key, value in pairs:
        values.setdefault(key, []).append(value)
    return {key: statistics.median(some) for key, some in values.items()}


class Bench:
    def __init__(self, arguments):
        self.a = arguments
        self.moesim = os.path.abspath(os.path.join(arguments.build, "moesim"))
        self.machine = os.path.abspath(os.path.join(arguments.build, "tests", "bench_machine"))
        self.model = os.path.abspath(arguments.model)
        self.ids = os.path.abspath(arguments.ids)
        with open(os.path.join(self.model, "config.json")) as file:
            self.config = json.load(file)
        self.machines, self.heads, self.one, self.four, self.beyond = [], [], [], [], []

    def capture(self, *options):
        command = [self.moesim, "capture", "-m", self.model, "--threads", str(self.a.threads),
                   "--lookahead", "0", *options]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def rate(self, *options):
        """Decoded tokens per second, and ns of a read."""
        text = self.capture("--dry-run", *options)
        read = re.search(r"cache.*: ([0-9.]+) us each", text)
        return (float(re.search(r"decoded, ([0-9.e+]+) tokens/s", text).group(1)),
                float(read.group(1)) * 1000 if read else 0)

    def stages(self, name, batch, ids):
        """Decode steps of a run with all experts in memory: per (step, layer) a row of layer, tokens,
        distinct experts and stage times; and how long a step is beyond its stages, in ns."""
        text = self.capture("-t", ids, "--decode", str(self.a.decode), "--ignore-end", "--batch",
                            str(batch), "--times", "-o", name)
        trace = read_trace(name + ".safetensors")
        (steps, layers, stages), times = trace["time.stages"]
        (_, _, k), ids = trace["expert_ids"]
        tokens, distinct, decode = [0] * steps, [set() for _ in range(steps * layers)], [True] * steps
        for row, step in enumerate(trace["step"][1]):
            tokens[step] += 1
            decode[step] &= trace["phase"][1][row] == 1
            for layer in range(layers):
                at = (row * layers + layer) * k
                distinct[step * layers + layer].update(ids[at:at + k])
        rows = []
        for step in range(steps):
            for layer in range(layers) if decode[step] else ():
                at = (step * layers + layer) * stages
                rows.append((layer, tokens[step], len(distinct[step * layers + layer]),
                             times[at:at + stages]))
        rate = float(re.search(r"decoded, ([0-9.e+]+) tokens/s", text).group(1))
        n_steps = len(rows) / layers
        wall = sum(tokens[s] for s in range(steps) if decode[s]) / rate * 1e9 / n_steps
        return rows, wall - sum(sum(row[3]) for row in rows) / n_steps

    def measure(self):
        """One round of what is fitted to. Tokens that are given want no logits, so the head's time
        is of the runs that make them; all else is of runs of these tokens again."""
        self.machines.append(self.hardware())
        for batch, rows, name in (1, self.one, "one"), (4, self.four, "four"):
            self.heads += self.stages(name, batch, self.ids)[0]
            more, beyond = self.stages(name + "-again", batch, name + ".safetensors")
            rows += more
            if batch == 1:
                self.beyond.append(beyond)

    def hardware(self):
        text = subprocess.run([self.machine, os.path.join(self.model, "model.safetensors")], check=True,
                              capture_output=True, text=True).stdout
        reads = [tuple(map(float, line.split()[1:])) for line in text.split("\n")
                 if line.startswith("read")]
        memory = float(re.search(r"memory (\S+)", text).group(1))
        latency, per_byte = least_squares([(1, size) for size, _, _ in reads], [r[1] for r in reads])
        handover = float(re.search(r"handover (\S+)", text).group(1))
        return memory, max(latency, 0), 1e9 / per_byte, "direct 1" in text, handover

    def fit(self):
        c = self.config
        one, four, beyond = self.one, self.four, statistics.median(self.beyond)
        rows, k = one + four, c["num_experts_per_tok"]
        last = c["num_hidden_layers"] - 1
        head = 2 * c["hidden_size"] * c["vocab_size"]
        expert = 2 * 3 * c["hidden_size"] * c["moe_intermediate_size"]
        attention = 2 * c["hidden_size"] * c["head_dim"] * 2 * (
            c["num_attention_heads"] + c["num_key_value_heads"])
        router = 2 * c["hidden_size"] * c["num_experts"]
        # the head: FLOPs / rate * (rows + half)
        head_ns = medians((r[1], r[3][6]) for r in self.heads if r[0] == last)
        slope = max((head_ns[4] - head_ns[1]) / 3, head_ns[1] / 100)
        half = max(head_ns[1] / slope - 1, 0)
        # the experts of a layer: a + b * distinct + c * pairs
        experts_ns = medians(((r[1], r[2]), r[3][4]) for r in rows)
        counts = {cell: sum((r[1], r[2]) == cell for r in rows) for cell in experts_ns}
        cells = [cell for cell in experts_ns for _ in range(counts[cell])]
        fixed, each, pair = least_squares([(1, n, tokens * k) for tokens, n in cells],
                                          [experts_ns[cell] for cell in cells])
        pair = max(pair, each / 1e3)
        half = min(half, each / pair)  # one number serves both
        gemm = head * (1 + half) / head_ns[1]
        others = [r[3][0] + r[3][1] + r[3][2] - (attention + router) / gemm * (r[1] + half) for r in one]
        between = fixed + statistics.median(r[3][3] + r[3][5] for r in one)
        return {"gemm": gemm, "half": half, "expert": expert / pair,
                "per_expert": each - pair * half, "experts": max(between, 0),
                "layer": max(statistics.median(others) + min(between, 0), 0), "step": max(beyond, 0)}

    def write_hardware(self):
        memory, latency, rate, direct, handover = [statistics.median(x) for x in zip(*self.machines)]
        fit = self.fit()
        peak = max(fit["gemm"], fit["expert"])
        how = "past the page cache" if direct else "through the page cache"
        measured = 'basis: measured, source: "tests/bench/executed.py"'
        fitted = 'basis: measured, source: "tests/bench/executed.py", note: "fitted to runs without offloading"'
        with open("machine.yaml", "w") as file:
            file.write(f"""name: this-machine
source: "measured by tests/bench/executed.py, {self.a.threads} thread(s); reads {how}"
places:
  - name: dram
    capacity: {{value: 4GiB, basis: estimate}}
    reserved: {{value: 0B, basis: estimate}}
    read: {{value: {memory / 1e9:.4g}GB/s, {measured}}}
  - name: flash
    capacity: {{value: 100GB, basis: estimate}}
    reserved: {{value: 0B, basis: estimate}}
    read: {{value: {rate / 1e6:.5g}MB/s, {measured}}}
devices:
  - name: cpu
    kind: cpu
    place: dram
    peak:
      fp32: {{value: {peak:.5g}GFLOPS, {fitted}}}
    gemm_efficiency: {{value: {100 * fit['gemm'] / peak:.5g}%, {fitted}}}
    expert_efficiency: {{value: {100 * fit['expert'] / peak:.5g}%, {fitted}}}
    stream_efficiency: {{value: 100%, basis: measured, source: "tests/bench/executed.py"}}
    half_rows: {{value: {fit['half']:.4g}, {fitted}}}
    launch: {{value: 0us, basis: derived, note: "in the overheads"}}
    per_expert: {{value: {fit['per_expert'] / 1e3:.4g}us, {fitted}}}
links:
  - name: read
    from: flash
    to: dram
    rate: {{value: {rate / 1e6:.5g}MB/s, {measured}, note: "fitted to reads of 16 to 512 KiB"}}
    peak: {{value: {rate / 1e6:.5g}MB/s, {measured}}}
    latency: {{value: {latency / 1e3:.5g}us, {measured}, note: "fitted likewise"}}
    engine: 0
""")
        return fit, latency, rate, handover

    def simulate(self, fit, handover):
        with open("headless.json", "w") as file:
            json.dump(dict(self.config, vocab_size=1), file)
        with open("executed.yaml", "w") as file:
            file.write(f"""name: executed
model: headless.json
hardware: machine.yaml
precision: {{kv: f32, activations: f32}}
routing: {{trace: one.safetensors}}
batching: as-captured
overhead: {{layer: {fit['layer'] / 1e3:.5g}us, experts: {fit['experts'] / 1e3:.5g}us, step: {fit['step'] / 1e3:.5g}us,
  prefetch: {2 * handover / 1e3:.5g}us}}
""")
        out = {}
        for run in [None] + RUNS:
            settings = [] if run is None else [
                "experts.home=flash", f"experts.cache.capacity={run[0]}", f"experts.cache.evict={run[1]}",
                f"experts.prefetch.kind={run[2]}"]
            if os.path.exists("executed.db"):
                os.remove("executed.db")
            command = [self.moesim, "run", "executed.yaml", "--no-plot", "-o", "executed.db"]
            for setting in settings:
                command += ["--set", setting]
            subprocess.run(command, check=True, capture_output=True)
            db = sqlite3.connect("executed.db")
            out[run] = {name: value for name, value in db.execute("select name, value from metric")}
            db.close()
        return out

    def execute(self):
        rates, reads = {}, []
        for _ in range(self.a.rounds):
            self.measure()
            for run in [None] + RUNS:
                options = ["-t", "one.safetensors"] if run is None else [
                    "--follow", "one.safetensors", "--offload", run[0], "--evict", run[1], "--prefetch",
                    run[2]]
                rate, read = self.rate(*options)
                rates.setdefault(run, []).append(rate)
                reads += [read] if run else []
        return rates, statistics.median(reads)

    def main(self):
        executed, read = self.execute()
        fit, latency, rate, handover = self.write_hardware()
        size = 3 * self.config["hidden_size"] * self.config["moe_intermediate_size"] * 2
        simulated = self.simulate(fit, handover)
        print(f"a read of an expert: {latency / 1e3 + size / rate * 1e6:.0f} us as measured alone, "
              f"{read / 1e3:.0f} us in the runs (median)")
        print(f"{'capacity':>9} {'evict':>7} {'prefetch':>11} {'executed':>9} {'spread':>13} "
              f"{'simulated':>9} {'error':>7}   tokens/s")
        errors = {}
        for run in [None] + RUNS:
            middle, got = statistics.median(executed[run]), simulated[run]["decode_tokens_per_s"]
            error = got / middle - 1
            capacity, evict, prefetch = run or ("all", "", "")
            errors.setdefault(prefetch, []).append(abs(error))
            spread = f"{min(executed[run]):.0f} .. {max(executed[run]):.0f}"
            print(f"{capacity:>9} {evict:>7} {prefetch:>11} {middle:9.1f} {spread:>13} {got:9.1f} "
                  f"{100 * error:+6.1f}%")
        for prefetch in sorted(set(run[2] for run in RUNS)):
            print(f"prefetch {prefetch}: mean error {100 * statistics.mean(errors[prefetch]):.1f}%, largest "
                  f"{100 * max(errors[prefetch]):.1f}%")
        print("'all' was fitted to. Prefetches are read by a thread of their own: each is handed over "
              f"and back,\nwhich takes 2 x {handover / 1e3:.0f} us here (measured; 'overhead.prefetch').")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("model")
    parser.add_argument("ids")
    parser.add_argument("--decode", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep")
    arguments = parser.parse_args()
    bench = Bench(arguments)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.keep:
            os.makedirs(arguments.keep, exist_ok=True)
        os.chdir(arguments.keep or folder)
        bench.main()
        os.chdir("/")


main()
