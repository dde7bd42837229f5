#!/usr/bin/env python3
"""What transformers computes, in f32 with eager attention, for a checkpoint folder and prompts.

    golden.py make [NAMES]          of tests/numerics/models, into tests/numerics/golden
    golden.py shipped               of the checkpoint in profiler/smallmoe, a little of one prompt
    golden.py models OUT            into OUT/NAME.safetensors, the checkpoints into OUT/NAME/; and
                                    whether the stored ones say the same
    golden.py folder DIR OUT FILES  of the checkpoint in DIR; a prompt is the start of a text file

Written per prompt p (positions: of the prompt, then of DECODE greedy tokens):
    p.tokens [positions]                     ids; those decoded are transformers' own choice
    p.rows [rows], p.logits [rows, vocab]    some positions, all those decoded
    p.router [positions, layers, experts]    router logits of the MoE layers
    p.ids, p.weights [positions, layers, k]  by falling weight, ties to the lower id
    p.ahead.D [positions, layers - D, experts]  logits of layer l + D's router on layer l's
                                             residual stream, normalised as layer l + D does
Needs torch and transformers, the CPU wheels."""
import json
import os
import sys
import tempfile

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

import recipe

TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "U8": torch.uint8}
HERE = os.path.dirname(os.path.abspath(__file__))
STORED = os.path.join(HERE, "golden")
WITHIN = 1e-5  # of the largest value, from one version or machine to another
PROMPT, DECODE = 160, 24  # tokens, of a text file
SHIPPED = os.path.join(HERE, "..", "..", "profiler", "smallmoe")


def write_folder(model, folder):
    """The checkpoint of a recipe."""
    tensors = {t[0]: torch.from_numpy(model.values(t)).to(TYPES[t[1]]) for t in model.tensors}
    shard_of = {name: i % model.shards for i, name in enumerate(tensors)}
    files = [f"model-{i + 1:05d}-of-{model.shards:05d}.safetensors" for i in range(model.shards)]
    if model.shards == 1:
        files = ["model.safetensors"]
    for i, file in enumerate(files):
        part = {n: t for n, t in tensors.items() if shard_of[n] == i}
        save_file(part, os.path.join(folder, file), metadata={"format": "pt"})
    if model.shards > 1:
        total = sum(t.numel() * t.element_size() for t in tensors.values())
        index = {"metadata": {"total_size": total},
                 "weight_map": {n: files[i] for n, i in shard_of.items()}}
        with open(os.path.join(folder, "model.safetensors.index.json"), "w") as out:
            json.dump(index, out)
    with open(os.path.join(folder, "config.json"), "w") as out:
        json.dump(model.config, out)


def load(folder):
    options = {"dtype": torch.float32, "attn_implementation": "eager",
               "experts_implementation": "eager", "output_loading_info": True}
    with open(os.path.join(folder, "config.json")) as file:
        if "quantization_config" in json.load(file):
            options["quantization_config"] = transformers.Mxfp4Config(dequantize=True)
    model, info = transformers.AutoModelForCausalLM.from_pretrained(folder, **options)
    left = [k for k in info["unexpected_keys"] if "rotary" not in k]
    if info["missing_keys"] or left or info["mismatched_keys"]:
        sys.exit(f"{folder}: transformers does not read it whole: {info}")
    kinds = {p.dtype for p in model.parameters()}
    if kinds != {torch.float32}:
        sys.exit(f"{folder}: computed in {kinds}, not in f32 alone")
    return model.eval()


class Recorder:
    """Follows the MoE layers of a model: the residual stream they get and what their routers say."""

    def __init__(self, model):
        self.routers, self.norms, self.streams, self.said = [], [], [], []
        for layer in model.model.layers:
            router = getattr(layer.mlp, "router", None) or getattr(layer.mlp, "gate", None)
            if router is None:  # a dense layer
                continue
            self.routers.append(router)
            self.norms.append(layer.post_attention_layernorm)
            layer.post_attention_layernorm.register_forward_pre_hook(
                lambda _, args: self.streams.append(args[0][0]))
            router.register_forward_hook(lambda _, args, out: self.said.append(out))

    def take(self):
        """Of the last forward: [positions, layers, ...] of logits, ids, weights, logits ahead."""
        streams, said = self.streams[:], self.said[:]
        logits = torch.stack([s[0] for s in said], 1)
        weights = torch.stack([s[1] for s in said], 1)
        ids = torch.stack([s[2] for s in said], 1)
        order = np.lexsort((ids.numpy(), -weights.numpy()), axis=-1)
        pick = torch.from_numpy(order)
        ahead = [[self.routers[i + d](self.norms[i + d](streams[i]))[0]
                  for i in range(len(streams) - d)] for d in (1, 2)]
        self.streams, self.said = [], []
        return [logits, ids.gather(2, pick), weights.gather(2, pick)] + [
            torch.stack(a, 1) if a else None for a in ahead]


@torch.no_grad()
def follow(model, recorder, prompt, decode):
    """All positions of a prompt and of the greedy tokens that follow it."""
    tokens, cache, parts, logits = list(prompt), None, [], []
    given = tokens
    for step in range(decode + 1):
        out = model(input_ids=torch.tensor([given]), cache=cache, use_cache=True)
        cache = out.past_key_values
        parts.append(recorder.take())
        logits.append(out.logits[0])
        if step < decode:
            given = [int(out.logits[0, -1].argmax())]
            tokens += given
    return tokens, torch.cat(logits), [torch.cat(p) if p[0] is not None else None
                                       for p in zip(*parts)]


def chosen_rows(prompt, positions):
    """The first, every fifth and the last of a prompt, and all that were decoded."""
    return sorted(set(range(0, prompt, 5)) | {prompt - 1} | set(range(prompt, positions)))


def golden(folder, prompts, decode, out, small=False):
    """small: logits of the last given and the decoded positions alone, and nothing ahead."""
    model = load(folder)
    recorder = Recorder(model)
    tensors = {}
    for i, prompt in enumerate(prompts):
        tokens, logits, parts = follow(model, recorder, prompt, decode)
        rows = chosen_rows(len(prompt), len(tokens))[-decode - 1 if small else 0:]
        tensors[f"{i}.tokens"] = torch.tensor(tokens, dtype=torch.int32)
        tensors[f"{i}.rows"] = torch.tensor(rows, dtype=torch.int32)
        tensors[f"{i}.logits"] = logits[rows]
        tensors[f"{i}.router"], ids, tensors[f"{i}.weights"] = parts[:3]
        tensors[f"{i}.ids"] = ids.to(torch.int16)
        for d, ahead in enumerate(parts[3:], 1):
            if ahead is not None and not small:
                tensors[f"{i}.ahead.{d}"] = ahead
    tensors = {n: t.contiguous() for n, t in tensors.items()}
    save_file(tensors, out, metadata={
        "transformers": transformers.__version__, "torch": torch.__version__.split("+")[0],
        "prompts": str(len(prompts)), "decode": str(decode), "ahead": "0" if small else "2"})
    return tensors


def of_recipe(name, folder, out):
    model = recipe.Recipe(name)
    write_folder(model, folder)
    return golden(folder, model.prompts(), model.decode, out)


def of_shipped(out):
    prompts = text_prompts(SHIPPED, [os.path.join(SHIPPED, "prompts", "english.txt")])
    return golden(SHIPPED, [prompts[0][:20]], 3, out, small=True)


def differs(fresh, stored):
    """The first difference of two golden files that is more than arithmetic; None."""
    if set(fresh) != set(stored):
        return f"tensors {sorted(set(fresh) ^ set(stored))}"
    for name, expected in stored.items():
        got = fresh[name]
        if got.shape != expected.shape or got.dtype != expected.dtype:
            return f"{name}: shape or type"
        if expected.dtype != torch.float32 and not torch.equal(got, expected):
            return f"{name}: {int((got != expected).sum())} of {got.numel()} values"
        apart = (got.double() - expected.double()).abs().max() / expected.double().abs().max()
        if not apart <= WITHIN:
            return f"{name}: {apart:.1e} of the largest"
    return None


def compare_stored(out):
    """Makes all models below `out`; how many stored files say something else."""
    bad = 0
    for name in recipe.names() + ["shipped"]:
        file = os.path.join(out, name + ".safetensors")
        if name == "shipped":
            fresh = of_shipped(file)
        else:
            os.mkdir(os.path.join(out, name))
            fresh = of_recipe(name, os.path.join(out, name), file)
        found = differs(fresh, load_file(os.path.join(STORED, name + ".safetensors")))
        print(f"{name}: stored numbers {'differ: ' + found if found else 'as transformers has them'}")
        bad += found is not None
    return bad


def text_prompts(folder, files):
    """The first tokens of each file, of different lengths."""
    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    prompts = []
    for i, path in enumerate(files):
        with open(path, encoding="utf-8") as file:
            ids = tokenizer.encode(file.read(8 * PROMPT)).ids
        prompts.append(ids[:PROMPT - 37 * i % PROMPT])
    return prompts


def main(arguments):
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    what = arguments[0] if arguments else ""
    if what == "make":
        for name in arguments[1:] or recipe.names():
            with tempfile.TemporaryDirectory() as folder:
                of_recipe(name, folder, os.path.join(STORED, name + ".safetensors"))
    elif what == "shipped" and len(arguments) == 1:
        of_shipped(os.path.join(STORED, "shipped.safetensors"))
    elif what == "models" and len(arguments) == 2:
        sys.exit(1 if compare_stored(arguments[1]) else 0)
    elif what == "folder" and len(arguments) >= 4:
        prompts = text_prompts(arguments[1], arguments[3:])
        golden(arguments[1], prompts, DECODE, arguments[2])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
