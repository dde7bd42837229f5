"""Picks what ships of the held-out texts: heldout.npy and the prompts.

    python3 prompts.py DATA

heldout.npy holds token ids [domain, sequence, token], sequences spread evenly over a domain's
held-out texts. A prompt is a passage of whole lines; prompts/ gets for each domain the passages as
one text, their ids as one JSON object a line, and all origins in origins.csv. `mixed` takes two
passages of each domain in turn, for a batch.
"""
import csv
import hashlib
import json
import os
import re
import sys

import numpy as np
from tokenizers import Tokenizer

from sources import DOMAINS, ROWS
from train import Texts

HERE = os.path.dirname(os.path.abspath(__file__))
SEQUENCES = 32
WANTED = (64, 96, 128, 160, 192, 208, 224, 256)     # tokens of a passage at most


def passage(tokenizer, text, wanted):
    """The longest run of whole lines or sentences that begins a text and gives at most so many
    tokens; none where that is less than two thirds of them."""
    best, size = None, 0
    for unit in re.findall(r".*?(?:\n|[.;:!?] |$)", text.lstrip()):
        size += len(unit)
        part = text.lstrip()[:size].rstrip()
        ids = tokenizer.encode(part).ids
        if len(ids) > wanted:
            break
        best = (part, ids)
    return best if best and len(best[1]) >= max(64, wanted * 2 // 3) else None


def pick(tokenizer, documents):
    """One passage for each wanted length, the packages in turn."""
    documents.sort(key=lambda one: hashlib.sha256(b"prompt " + one[0].encode()).digest())
    queues = {}
    documents = [one for one in documents if "sitemap" not in one[0]]
    for part in (1, 5, 3, 7, 2, 6, 4, 0):   # eighths, so that few texts give many passages
        for name, text in documents:
            start = text.find("\n", len(text) * part // 8) + 1
            queues.setdefault(name.split("/")[0], []).append((name, text[start:]))
    packages, picked = sorted(queues), []
    for turn in range(100 * len(WANTED)):
        queue = queues[packages[turn % len(packages)]]
        while queue and len(picked) < len(WANTED):
            name, text = queue.pop(0)
            found = passage(tokenizer, text, WANTED[len(picked)])
            if found:
                picked.append((name, *found))
                break
    if len(picked) < len(WANTED):
        raise SystemExit("the held-out texts hold too few passages")
    return picked


def write_ids(path, prompts):
    with open(path, "w", encoding="utf-8") as out:
        for domain, ids in prompts:
            out.write(json.dumps({"ids": ids, "domain": domain}, separators=(",", ":")) + "\n")


def main():
    data, folder = sys.argv[1], HERE + "/prompts"
    os.makedirs(folder, exist_ok=True)
    tokenizer = Tokenizer.from_file(HERE + "/tokenizer.json")
    texts = Texts(data, "held")
    np.save(HERE + "/heldout.npy", np.stack([texts.spread(d, SEQUENCES)
                                            for d in range(len(DOMAINS))]))
    licence = {row[1]: row[4] for row in ROWS}
    origins, every = [], {}
    for domain in DOMAINS:
        with open(f"{data}/held-{domain}.json", encoding="utf-8") as file:
            picked = pick(tokenizer, json.load(file))
        every[domain] = [(domain, ids) for _, _, ids in picked]
        write_ids(f"{folder}/{domain}.ids.jsonl", every[domain])
        with open(f"{folder}/{domain}.txt", "w", encoding="utf-8", newline="") as out:
            out.write("\n\n".join(text for _, text, _ in picked) + "\n")
        origins += [(domain, number, len(ids), licence[name.split("/")[0]], name)
                    for number, (name, _, ids) in enumerate(picked)]
    write_ids(folder + "/mixed.ids.jsonl",
              [every[domain][i] for i in (len(WANTED) - 2, 2) for domain in DOMAINS])
    with open(folder + "/origins.csv", "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["domain", "line", "tokens", "licence", "origin"])
        writer.writerows(origins)


if __name__ == "__main__":
    main()
