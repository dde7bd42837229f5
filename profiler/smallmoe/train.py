"""Trains the model on the token files that data.py made.

    python3 train.py DATA OUT --minutes 75     goes on from OUT/state.pt where there is one

One process for each core, each with half of a step's sequences: the weights lie in shared memory,
each process makes its gradients, and then updates its own part of the weights (Muon for matrices,
Adam for the rest). The learning rate is warmed up, held, and falls to zero at the end of the
minutes, so that the end is annealed whatever the machine managed in them.
"""
import argparse
import csv
import os
import time

import numpy as np
import torch
import torch.multiprocessing as mp

import model as model_module
from model import SmallMoe
from sources import DOMAINS

SEQUENCES, LENGTH = 8, 512      # of each process in each step
WARM_STEPS, DECAY_FROM = 100, 0.4
MUON_RATE, ADAM_RATE, DECAY = 0.02, 0.004, 0.05
BALANCE = 0.1
MIX_POWER = 0.5                 # a domain's share is its tokens to this power


class Texts:
    """Sequences of one domain each; number n is the same in every run, and they cover evenly."""

    def __init__(self, folder, part):
        self.ids = [np.load(f"{folder}/{part}-{domain}.npy") for domain in DOMAINS]
        share = np.array([len(ids) for ids in self.ids]) ** MIX_POWER
        self.until = np.cumsum(share / share.sum())

    def sequence(self, number):
        """Point `number` of the R2 sequence picks the domain and the place in it."""
        plastic = 1.32471795724474602596
        domain = int(np.searchsorted(self.until, number / plastic % 1.0, side="right"))
        ids = self.ids[min(domain, len(self.ids) - 1)]
        start = int(number / plastic**2 % 1.0 * (len(ids) - LENGTH - 1))
        return ids[start:start + LENGTH + 1]

    def batch(self, first):
        rows = np.stack([self.sequence(first + i) for i in range(SEQUENCES)]).astype(np.int64)
        ids = torch.from_numpy(rows)
        return ids[:, :-1].contiguous(), ids[:, 1:].contiguous()

    def spread(self, domain, count):
        """`count` sequences of a domain, evenly over it."""
        ids = self.ids[domain]
        starts = np.linspace(0, len(ids) - LENGTH - 1, count).astype(int)
        return np.stack([ids[i:i + LENGTH + 1] for i in starts])


def orthogonal(g):
    """Newton-Schulz iteration on a batch of wide matrices: all singular values near one."""
    x = g / (g.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        a = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return x


def muon(p, grad, moment, rate):
    moment.mul_(0.95).add_(grad)
    update = grad.add(moment, alpha=0.95)
    stack = update if update.dim() == 3 else update[None]
    if stack.shape[1] == stack.shape[2]:            # gate and up side by side: two matrices
        stack = torch.cat(stack.chunk(2, 2))
        half = turn(stack).chunk(2)
        update = torch.cat(half, 2)
    else:
        update = turn(stack)
    p.mul_(1 - rate * DECAY).sub_(update.view_as(p), alpha=rate)


def turn(stack):
    tall = stack.shape[1] > stack.shape[2]
    wide = orthogonal(stack.transpose(1, 2) if tall else stack)
    return wide.transpose(1, 2) if tall else wide


def adam(p, grad, moment, square, rate, step):
    moment.lerp_(grad, 0.1)
    square.lerp_(grad.square(), 0.05)
    scale = (square / (1 - 0.95**step)).sqrt_().add_(1e-10)
    p.addcdiv_(moment / (1 - 0.9**step), scale, value=-rate)


def is_matrix(name):
    return name.endswith((".q", ".k", ".v", ".o", ".gate_up", ".down"))


def schedule(step, part):
    """The share of the full learning rate after `part` of the time."""
    fall = 1.0 if part < DECAY_FROM else max(0.0, (1 - part) / (1 - DECAY_FROM))
    return min(1.0, (step + 1) / WARM_STEPS) * fall


def shared(like):
    return torch.zeros_like(like).share_memory_()


class Run:
    """What the processes share."""

    def __init__(self, workers):
        self.model = SmallMoe()
        self.model.share_memory()
        named = dict(self.model.named_parameters())
        self.grads = [{n: shared(p.data) for n, p in named.items()} for _ in range(workers)]
        self.moment = {n: shared(p.data) for n, p in named.items()}
        self.square = {n: shared(p.data) for n, p in named.items() if not is_matrix(n)}
        c = self.model.c
        self.load = torch.full((c["num_hidden_layers"], c["num_experts"]), 1.0 / c["num_experts"])
        self.load.share_memory_()
        self.loads = torch.zeros(workers, *self.load.shape).share_memory_()
        self.losses = torch.zeros(workers, 2).share_memory_()
        self.scalars = torch.zeros(3, dtype=torch.float64).share_memory_()  # step, seconds, end
        self.barrier = mp.get_context("fork").Barrier(workers)


def owner(name, layers, workers):
    part = name.split(".")
    return int(part[1]) * workers // layers if part[0] == "layers" else workers - 1


def held_loss(model, held):
    """Held-out loss of each domain over a few sequences."""
    out = []
    for domain in range(len(DOMAINS)):
        ids = torch.from_numpy(held.spread(domain, SEQUENCES).astype(np.int64))
        loss, _, _ = model.loss(ids[:, :-1].contiguous(), ids[:, 1:].contiguous())
        out.append(loss.item())
    return out


def checkpoint(run, out, held, row):
    """State to go on from, weights to look at, and a line of the held-out losses."""
    state = {"model": run.model.state_dict(), "moment": run.moment, "square": run.square,
             "load": run.load, "scalars": run.scalars}
    torch.save(state, out + "/state.pt.part")
    os.rename(out + "/state.pt.part", out + "/state.pt")
    run.model.save(out)
    losses = held_loss(run.model, held)
    append(out + "/held.csv", ["minutes", "step", "tokens", *DOMAINS],
           row + [f"{loss:.4f}" for loss in losses])


def append(path, head, row):
    new = not os.path.exists(path)
    with open(path, "a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(head)
        writer.writerow(row)


class Log:
    """The first process's part: it counts, logs and saves."""

    def __init__(self, run, held, options):
        self.run, self.held, self.options = run, held, options
        self.saved = self.last = time.monotonic()
        self.recent = []

    def step(self, rate):
        run, options, now = self.run, self.options, time.monotonic()
        run.load.lerp_(run.loads.mean(0), 0.1)
        run.scalars[0] += 1
        run.scalars[1] += now - self.last
        self.last = now
        self.recent.append(run.losses.mean(0).tolist())
        step = int(run.scalars[0])
        row = [f"{run.scalars[1] / 60:.2f}", step, step * options.workers * SEQUENCES * LENGTH]
        if len(self.recent) == 20:
            loss, balance = np.mean(self.recent, 0)
            fullest = (run.load.max(1)[0] * run.load.shape[1]).mean()
            append(options.out + "/loss.csv",
                   ["minutes", "step", "tokens", "rate", "loss", "balance", "fullest"],
                   row + [f"{rate:.4f}", f"{loss:.4f}", f"{balance:.4f}", f"{fullest:.3f}"])
            self.recent = []
        run.scalars[2] = run.scalars[1] >= 60 * options.minutes
        if run.scalars[2] or now - self.saved > 60 * options.save_minutes:
            checkpoint(run, options.out, self.held, row)
            self.saved = self.last = time.monotonic()


def update(run, names, rate, step):
    """The mean gradient of all processes, applied to the weights of these names."""
    named = dict(run.model.named_parameters())
    for name in names:
        grad = sum(grads[name] for grads in run.grads) / len(run.grads)
        if is_matrix(name):
            muon(named[name], grad, run.moment[name], rate * MUON_RATE)
        else:
            adam(named[name], grad, run.moment[name], run.square[name], rate * ADAM_RATE, step + 1)


def work(rank, run, options):
    torch.set_num_threads(1)
    model_module.FUSED[:] = [torch.compile(f, dynamic=False) for f in model_module.FUSED]
    model_module.Layer.attend = torch.compile(model_module.Layer.attend, dynamic=False)
    model_module.Layer.route = torch.compile(model_module.Layer.route, dynamic=False)
    texts = Texts(options.data, "train")
    model, workers = run.model, options.workers
    mine = [n for n, _ in model.named_parameters() if owner(n, len(model.layers), workers) == rank]
    for name, p in model.named_parameters():
        p.grad = run.grads[rank][name]
    log = Log(run, Texts(options.data, "held"), options)
    while not run.scalars[2]:
        step, seconds = int(run.scalars[0]), float(run.scalars[1])
        for grad in run.grads[rank].values():
            grad.zero_()
        ids, target = texts.batch((step * workers + rank) * SEQUENCES)
        loss, balance, chosen = model.loss(ids, target, run.load)
        (loss + BALANCE * balance).backward()
        run.losses[rank, 0], run.losses[rank, 1] = loss.item(), balance.item()
        for number, top in enumerate(chosen):
            run.loads[rank, number] = torch.bincount(
                top.flatten(), minlength=run.load.shape[1]) / top.numel()
        run.barrier.wait()
        rate = schedule(step, seconds / (60 * options.minutes))
        with torch.no_grad():
            update(run, mine, rate, step)
        run.barrier.wait()
        if rank == 0:
            log.step(rate)
        run.barrier.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("data")
    parser.add_argument("out")
    parser.add_argument("--minutes", type=float, default=75)
    parser.add_argument("--save-minutes", type=float, default=5)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    os.makedirs(options.out, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(1)
    run = Run(options.workers)
    if os.path.exists(options.out + "/state.pt"):
        state = torch.load(options.out + "/state.pt")
        run.model.load_state_dict(state["model"])
        for kept, now in ((state["moment"], run.moment), (state["square"], run.square)):
            for name, value in kept.items():
                now[name].copy_(value)
        run.load.copy_(state["load"])
        run.scalars.copy_(state["scalars"])
        run.scalars[2] = run.scalars[1] >= 60 * options.minutes
    mp.start_processes(work, (run, options), nprocs=options.workers, start_method="fork")


if __name__ == "__main__":
    main()
