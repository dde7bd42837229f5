"""Executed and simulated expert caches of a model, on every file of prompts: offload_counts.py MOESIM
SOURCE [MODEL [all]]

Each file of SOURCE/profiler/smallmoe/prompts is captured, and run again with its experts on disk. The
counts of each run (hits, misses, loads of each layer) must be those of the as-captured simulation,
the run's rows those of the capture, and its log of decisions must replay. `all`: every eviction
policy, scope and capacity on every file; else the beginnings of its texts, and each combination on one
of the files, in turn. Runs with prefetching are checked by their logs."""
import glob
import json
import os
import re
import sqlite3
import subprocess
import sys

CAPACITIES = ["12.5%", "30%", "70%"]
PREFETCHES = [("recorded", "next-layer"), ("markov", "next-layer"), ("oracle", "whole-next-layer"),
              ("popularity", "window")]


def call(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        print(f"exit {done.returncode}: {' '.join(words)}\n{done.stdout}{done.stderr}")
        sys.exit(1)
    return done.stdout


def tensors(path):
    """What is in a trace beside its metadata."""
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        data = file.read()
    header.pop("__metadata__")
    return {name: (t["dtype"], t["shape"], data[slice(*t["data_offsets"])])
            for name, t in header.items()}


def executed(text):
    """Per layer: hits and late ones, misses, loads, evictions; prefetches left out."""
    rows = [line.split() for line in text.split("\n") if re.match(r" +\d+( +\d+){6} +[\d.]+%", line)]
    return [(int(r[0]), int(r[1]) + int(r[2]), int(r[3]), int(r[4]), int(r[6])) for r in rows]


def simulated(moesim, model, trace, policies):
    """By (evict, scope, capacity): rows as above without evictions, and all evictions."""
    with open("sim.yaml", "w") as file:
        file.write(f"""model: {model}/config.json
hardware: phone-ufs4
routing: {{trace: {trace}}}
batching: as-captured
store: layer
experts: {{home: flash}}
sweep:
  experts.cache.evict: [{', '.join(policies)}]
  experts.cache.scope: [model, layer]
  experts.cache.capacity: [{', '.join(CAPACITIES)}]
""")
    if os.path.exists("sim.db"):
        os.remove("sim.db")
    call(moesim, "run", "sim.yaml", "--no-plot", "-o", "sim.db")
    db = sqlite3.connect("sim.db")
    keys = {}
    for run, key, value in db.execute("select run, key, value from parameter"):
        keys.setdefault(run, {})[key] = value
    out = {}
    for run, of in keys.items():
        key = tuple(of["experts.cache." + k] for k in ("evict", "scope", "capacity"))
        rows = db.execute("select layer, hits + late, misses, loads from layer where run = ? "
                          "order by layer", (run,)).fetchall()
        evictions, = db.execute("select evictions from residency where run = ?", (run,)).fetchone()
        out[key] = rows, evictions
    db.close()
    return out


def main():
    moesim, source = map(os.path.abspath, sys.argv[1:3])
    model = os.path.abspath(sys.argv[3]) if len(sys.argv) > 3 else source + "/profiler/smallmoe"
    every = len(sys.argv) > 4
    prompts = sorted(glob.glob(source + "/profiler/smallmoe/prompts/*.jsonl"))
    if not os.path.exists(model + "/model.safetensors") or not prompts:
        print("the small model is not here; skipped")
        sys.exit(77)
    with open(source + "/sim/policy/policies.def") as file:
        policies = re.findall(r"^MOE_POLICY\(evict, (\w+)\)", file.read(), re.MULTILINE)
    combinations = [(e, s, c) for e in policies for s in ("model", "layer") for c in CAPACITIES]
    runs = demands = replayed = failed = 0
    for number, ids in enumerate(prompts):
        options = ["--batch", "3", "--lookahead", "1"]
        cut = [] if every else ["--context", "72"]
        call(moesim, "capture", "--force", "-m", model, "-t", ids, "--decode", "8", "--ignore-end", "-o", "one", *options,
             *cut)
        want = simulated(moesim, model, "one.safetensors", policies)
        rows = tensors("one.safetensors")
        follow = [moesim, "capture", "--force", "-m", model, "--follow", "one.safetensors", "-o", "two",
                  "--decisions", "run.log", *options]
        for at, (evict, scope, capacity) in enumerate(combinations):
            if not every and at % len(prompts) != number:
                continue
            text = call(*follow, "--offload", capacity, "--evict", evict, "--scope", scope)
            got = executed(text)
            layers, evictions = want[evict, scope, capacity]
            same = [r[:4] for r in got] == layers and sum(r[4] for r in got) == evictions
            if not same or tensors("two.safetensors") != rows:
                print(f"{os.path.basename(ids)}, {evict}, {scope}, {capacity}: executed\n{got}\n"
                      f"simulated\n{layers}, {evictions} evictions")
                failed += 1
            runs += 1
            demands += sum(r[1] + r[2] for r in got)
            if at % 6 == number % 6 or not every:
                call(moesim, "trace", "replay", "run.log", "one.safetensors")
                replayed += 1
        for predict, prefetch in PREFETCHES:
            call(*follow, "--offload", CAPACITIES[number % 3], "--predict", predict, "--prefetch", prefetch)
            text = call(moesim, "trace", "replay", "run.log", "one.safetensors")
            failed += "the counts are those of the run" not in text
            replayed += 1
    print(f"{len(prompts)} files of prompts: {runs} runs of {len(combinations)} combinations, {demands} "
          f"demands: {'as simulated' if not failed else f'{failed} DIFFER'}; {replayed} logs replayed")
    sys.exit(1 if failed else 0)


main()
