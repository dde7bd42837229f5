"""The numbers of the model card, from the weights that lie beside this script.

    python3 evaluate.py                  held-out loss and expert use, on heldout.npy
    python3 evaluate.py --data DIR       also unigram and bigram models of the training tokens there
    python3 evaluate.py --use FILE       also the expert use, as a table that experts.gp draws
    python3 evaluate.py --transformers   also how far the logits of transformers are from these

`--model DIR` takes other weights.
"""
import argparse
import json
import math
import os

import numpy as np
import torch

from model import SmallMoe
from sources import DOMAINS

HERE = os.path.dirname(os.path.abspath(__file__))
MIX_POWER = 0.5     # as in training


def token_bytes(folder):
    """How many bytes of text each token stands for; the end of a text stands for none."""
    with open(folder + "/tokenizer.json", encoding="utf-8") as file:
        vocabulary = json.load(file)["model"]["vocab"]
    sizes = np.zeros(max(vocabulary.values()) + 1, dtype=np.int64)
    for token, number in vocabulary.items():
        sizes[number] = len(token)      # byte level: one character, one byte
    sizes[0] = 0
    return sizes


def run_model(model, held):
    """Loss of each target [domain, sequence, token], use [domain, sequence, layer, expert]."""
    layers, experts = len(model.layers), model.c["num_experts"]
    loss = np.zeros(held.shape[:2] + (held.shape[2] - 1,))
    use = np.zeros(held.shape[:2] + (layers, experts), dtype=np.int64)
    for domain in range(len(held)):
        for first in range(0, held.shape[1], 4):
            ids = torch.from_numpy(held[domain, first:first + 4].astype(np.int64))
            with torch.no_grad():
                logits, chosen = model.logits(ids[:, :-1])
                loss[domain, first:first + 4] = torch.nn.functional.cross_entropy(
                    logits.transpose(1, 2), ids[:, 1:], reduction="none").numpy()
            for layer, top in enumerate(chosen):
                for row, one in enumerate(top.view(len(ids), -1)):
                    use[domain, first + row, layer] = np.bincount(one, minlength=experts)
    return loss, use


class Bigram:
    """Witten-Bell: a token's followers, backed by the unigram model, itself with one added."""

    def __init__(self, streams, weights, vocabulary):
        unigram = np.ones(vocabulary)
        pairs = {}
        for ids, weight in zip(streams, weights):
            ids = ids.astype(np.int64)
            unigram += weight * np.bincount(ids, minlength=vocabulary)
            found, count = np.unique(ids[:-1] * vocabulary + ids[1:], return_counts=True)
            for key, value in zip(found.tolist(), (count * weight).tolist()):
                pairs[key] = pairs.get(key, 0.0) + value
        self.vocabulary, self.one = vocabulary, unigram / unigram.sum()
        self.keys = np.array(sorted(pairs), dtype=np.int64)
        self.count = np.array([pairs[key] for key in self.keys.tolist()])
        before = self.keys // vocabulary
        self.total = np.bincount(before, weights=self.count, minlength=vocabulary)
        self.kinds = np.bincount(before, minlength=vocabulary)

    def losses(self, before, after):
        """Of the unigram model and of the bigram model, for each token."""
        key = before * self.vocabulary + after
        at = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        count = np.where(self.keys[at] == key, self.count[at], 0.0)
        one, kinds = self.one[after], np.maximum(self.kinds[before], 1)
        return -np.log(one), -np.log((count + kinds * one) / (self.total[before] + kinds))


def baselines(folder, held, vocabulary):
    """Unigram and bigram losses [2, domain], fitted as the model was trained; and per domain."""
    streams = [np.load(f"{folder}/train-{domain}.npy") for domain in DOMAINS]
    sizes = np.array([len(ids) for ids in streams], dtype=float)
    weights = sizes ** (MIX_POWER - 1)
    weights /= weights.max()
    before, after = held[:, :, :-1].astype(np.int64), held[:, :, 1:].astype(np.int64)
    mixture = Bigram(streams, weights, vocabulary)
    out = [[losses.mean() for losses in mixture.losses(before[d], after[d])]
           for d in range(len(DOMAINS))]
    own = [Bigram([streams[d]], [1.0], vocabulary).losses(before[d], after[d])[1].mean()
           for d in range(len(DOMAINS))]
    return np.array(out).T, np.array(own)


def entropy(share):
    share = share / share.sum(-1, keepdims=True)
    return -(share * np.log2(np.maximum(share, 1e-300))).sum(-1)


def divergence(use):
    """Jensen-Shannon divergence in bits between the domains' expert use [domain, ..., expert]."""
    share = use / use.sum(-1, keepdims=True)
    return entropy(share.mean(0)) - entropy(share).mean(0)


def print_losses(held, loss, folder, data):
    every_token = token_bytes(folder)
    sizes = every_token[held[:, :, 1:]].sum((1, 2))
    mean = loss.mean((1, 2))
    bits = loss.sum((1, 2)) / math.log(2) / sizes
    table = [mean, bits]
    head = ["model", "bits/byte"]
    if data:
        (one, two), own = baselines(data, held, len(every_token))
        table += [one, two, own]
        head += ["unigram", "bigram", "bigram of the domain"]
    print("| domain | " + " | ".join(head) + " |")
    print("|---|" + "---:|" * len(head))
    for number, domain in enumerate(DOMAINS):
        print(f"| {domain} | " + " | ".join(f"{column[number]:.3f}" for column in table) + " |")
    every = [np.mean(column) for column in table]
    every[1] = loss.sum() / math.log(2) / sizes.sum()
    print("| all | " + " | ".join(f"{value:.3f}" for value in every) + " |\n")


def print_use(use):
    """Balance and specialisation of each layer, beside what chance would make of the latter."""
    total = use.sum((0, 1))
    mean = total.mean(-1)
    domains = use.sum(1)
    order = np.random.default_rng(1).permutation(use.shape[0] * use.shape[1])
    mixed = use.reshape(-1, *use.shape[2:])[order].reshape(use.shape).sum(1)
    print("| layer | variation of load | fullest / mean | emptiest / mean | divergence, bits |"
          " by chance |")
    print("|---:|---:|---:|---:|---:|---:|")
    columns = (total.std(-1) / mean, total.max(-1) / mean, total.min(-1) / mean,
               divergence(domains), divergence(mixed))
    for layer in range(len(total)):
        print(f"| {layer} | " + " | ".join(f"{column[layer]:.3f}" for column in columns) + " |")
    print("| mean | " + " | ".join(f"{column.mean():.3f}" for column in columns) + " |")


def write_use(path, use):
    """A block of lines for each layer: place, domain, share of the domain's tokens over the mean.

    A layer's experts are placed by the domain that uses them most.
    """
    share = use.sum(1) / use.sum((1, 3))[:, :, None] * use.shape[3]
    with open(path, "w", encoding="utf-8") as out:
        for layer in range(share.shape[1]):
            best = share[:, layer].argmax(0)
            order = np.lexsort((-share[best, layer, np.arange(share.shape[2])], best))
            for place, expert in enumerate(order):
                for domain in range(len(share)):
                    out.write(f"{place} {domain} {share[domain, layer, expert]:.4f}\n")
            out.write("\n\n")


def compare(model, folder, held):
    """The largest difference of the logits from transformers', beside the largest logit."""
    from transformers import AutoModelForCausalLM
    other = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = torch.from_numpy(held[:, 0, :-1].astype(np.int64))
    with torch.no_grad():
        ours, theirs = model.logits(ids)[0], other(ids).logits
    same = (ours.argmax(-1) == theirs.argmax(-1)).float().mean()
    print(f"\n{type(other).__name__}: logits differ by at most {(ours - theirs).abs().max():.2e} "
          f"of {theirs.abs().max():.2f}; the likeliest token is the same in {100 * same:.2f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--model", default=HERE)
    parser.add_argument("--data")
    parser.add_argument("--use")
    parser.add_argument("--transformers", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    held = np.load(HERE + "/heldout.npy")
    model = SmallMoe.load(options.model)
    loss, use = run_model(model, held)
    print_losses(held, loss, HERE, options.data)
    print_use(use)
    if options.use:
        write_use(options.use, use)
    if options.transformers:
        compare(model, options.model, held)


if __name__ == "__main__":
    main()
