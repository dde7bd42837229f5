#!/usr/bin/env python3
"""predict.py MOESIM HARDWARE.yaml CHECKPOINTS TRACE…: simulated against measured times of steps.

Each TRACE is SHAPE-NAME.safetensors, captured with --times from CHECKPOINTS/SHAPE; its steps are
simulated as captured on HARDWARE, all experts resident: decode in CUDA graphs, as it is captured,
prefill launched plainly. The first step of each trace is left out: it loads the kernels. Prints by
trace and phase the measured and simulated median and the mean absolute error of single steps, below
them the measured medians of the stages, us; at the end over all."""
import json
import os
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile


def read(path):
    """The stages' names; of each step: tokens, phase, and nanoseconds of each stage, all layers."""
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        data = file.read()
    def tensor(name):
        begin, end = header[name]["data_offsets"]
        kind = {"F32": "f", "U32": "I", "U8": "B"}[header[name]["dtype"]]
        return header[name]["shape"], struct.unpack(
            f"<{(end - begin) // struct.calcsize(kind)}{kind}", data[begin:end])
    (steps, layers, stages), times = tensor("time.stages")
    tokens, phases = [0] * steps, [set() for _ in range(steps)]
    for step, phase in zip(tensor("step")[1], tensor("phase")[1]):
        tokens[step] += 1
        phases[step].add("decode" if phase else "prefill")
    each = layers * stages
    names = json.loads(header["__metadata__"]["stages"])
    return names, [(tokens[s], "+".join(sorted(phases[s])),
                    [sum(times[s * each + i:(s + 1) * each:stages]) for i in range(stages)])
                   for s in range(steps)]


def simulate(moesim, hardware, model, trace, folder, graphs):
    with open(os.path.join(folder, "s.yaml"), "w", encoding="utf-8") as file:
        file.write(f"name: predicted\nmodel: {model}/config.json\nhardware: {hardware}\n"
                   f"precision: {{weights: bf16, kv: bf16}}\nrouting: {{trace: {trace}}}\n"
                   f"batching: as-captured\noverhead: {{graphs: {graphs}}}\nstore: step\n")
    subprocess.run([moesim, "run", "s.yaml", "--no-plot", "-o", "s.db"], cwd=folder, check=True,
                   stdout=subprocess.DEVNULL)
    with sqlite3.connect(os.path.join(folder, "s.db")) as db:
        return [(tokens, (end - start) / 1000) for tokens, start, end in
                db.execute("SELECT tokens, start_ps, end_ps FROM step ORDER BY step")]


def main():
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    moesim, hardware, checkpoints = map(os.path.abspath, sys.argv[1:4])
    everything = []
    print(f"{'trace':32} {'phase':8} {'steps':>6} {'measured us':>12} {'simulated us':>12} "
          f"{'error':>7} {'mean |error|':>12}")
    for path in sys.argv[4:]:
        shape = os.path.basename(path).split("-")[0]
        names, measured = read(path)
        runs = []
        for graphs in ("false", "true"):
            with tempfile.TemporaryDirectory() as folder:
                runs.append(simulate(moesim, hardware, os.path.join(checkpoints, shape),
                                     os.path.abspath(path), folder, graphs))
        simulated = [graph if m[1] == "decode" else plain for m, plain, graph in zip(measured, *runs)]
        if [m[0] for m in measured] != [s[0] for s in simulated]:
            print(f"{os.path.basename(path):32} the simulated steps are not the captured ones")
            continue
        for phase in sorted({m[1] for m in measured}):
            kept = [(m[2], s[1]) for m, s in list(zip(measured, simulated))[1:]
                    if m[1] == phase and sum(m[2]) > 0]
            pairs = [(sum(stages), time) for stages, time in kept]
            if not pairs:
                continue
            errors = [abs(s / m - 1) for m, s in pairs]
            everything += errors
            m, s = (statistics.median(x) / 1000 for x in zip(*pairs))
            print(f"{os.path.basename(path):32} {phase:8} {len(pairs):6} {m:12.1f} {s:12.1f} "
                  f"{100 * (s / m - 1):+6.1f}% {100 * statistics.mean(errors):11.1f}%")
            medians = [statistics.median(x) / 1000 for x in zip(*(stages for stages, _ in kept))]
            print("   ", ", ".join(f"{n} {x:.1f}" for n, x in zip(names, medians)))
    if everything:
        print(f"all {len(everything)} steps: mean |error| {100 * statistics.mean(everything):.1f}%, "
              f"largest {100 * max(everything):.1f}%")


main()
