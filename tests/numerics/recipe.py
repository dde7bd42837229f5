"""The models of tests/numerics/models: tensors and tokens from an integer hash of their names, the
same numbers as tests/numerics/recipe.c makes. See models.md for the form of a .model file."""
import json
import os
import re

import numpy as np

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "models")
U64 = np.uint64


def fnv(text):
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return h


def words(name, n):
    """n well mixed 64-bit words (the finaliser of splitmix64)."""
    with np.errstate(over="ignore"):
        x = U64(fnv(name)) + np.arange(1, n + 1, dtype=U64) * U64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> U64(30))) * U64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> U64(27))) * U64(0x94D049BB133111EB)
        return x ^ (x >> U64(31))


def expand(name):
    """layers.{0-2}.x -> layers.0.x, layers.1.x, layers.2.x; the last range runs fastest."""
    match = re.search(r"\{(\d+)-(\d+)\}", name)
    if not match:
        return [name]
    return [done for i in range(int(match[1]), int(match[2]) + 1)
            for done in expand(f"{name[:match.start()]}{i}{name[match.end():]}")]


class Recipe:
    def __init__(self, name):
        self.name, self.shards, self.tensors = name, 1, []
        with open(os.path.join(FOLDER, name + ".model"), encoding="utf-8") as file:
            text, config = file.read().split("\nconfig\n")
        self.config = json.loads(config)
        for line in text.split("\n"):
            field = line.split()
            if not field or field[0] == "#":
                continue
            if field[0] == "sequences":
                self.lengths = [int(f) for f in field[1:]]
            elif field[0] in ("decode", "shards"):
                setattr(self, field[0], int(field[1]))
            else:
                shape = [int(n) for n in field[2].split(",")]
                exponent = int(field[4]) if len(field) > 4 else 0
                self.tensors += [(n, field[1], shape, field[3], exponent) for n in expand(field[0])]

    def prompts(self):
        return [[int(w) for w in (words(f"{self.name} tokens {i}", n) >> U64(32))
                 % U64(self.config["vocab_size"])] for i, n in enumerate(self.lengths)]

    def values(self, tensor):
        """The tensor's numbers: exact in every type it may be stored in."""
        name, _, shape, kind, exponent = tensor
        byte = (words(f"{self.name} {name}", int(np.prod(shape))) >> U64(56)).astype(np.uint8)
        if kind == "bytes":
            value = byte
        elif kind == "scales":
            value = (exponent + (byte & 3)).astype(np.uint8)
        elif kind == "norm":
            value = (128 + (byte.view(np.int8) >> 1).astype(np.float32)) / np.float32(128)
        else:
            value = np.ldexp(byte.view(np.int8).astype(np.float32), exponent)
        return value.reshape(shape)


def names():
    return sorted(n[:-6] for n in os.listdir(FOLDER) if n.endswith(".model"))
