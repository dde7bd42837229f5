"""aiconfigurator.py FOLDER OUT.csv [KIND…]: the H100's vLLM tables of ai-dynamo/aiconfigurator, as a
measured table for `moesim calibrate`. KIND: gemm (bf16), gemm_fp8, experts (bf16, balanced routing;
tensor and expert parallel rows are those of one rank), attention (without a window, over a bf16
cache); all but gemm_fp8 by default."""
import csv
import glob
import gzip
import os
import sys

COLUMNS = ["kind", "device", "source", "dtype", "weight_bits", "activation_bits", "hidden", "width",
           "experts", "top_k", "tokens", "distribution", "loads", "m", "n", "k", "heads",
           "kv_heads", "head_dim", "queries", "context", "sequences", "time_us"]
BITS = {"bfloat16": 16, "fp8": 8}
DEVICE = "h100_sxm"


def table(folder, name):
    (path,) = glob.glob(os.path.join(folder, f"{DEVICE}__*__vllm__*__{name}_perf.csv.gz"))
    with gzip.open(path, "rt", newline="") as file:
        yield from csv.DictReader(file)


def row(kind, entry, dtype, **columns):
    columns.update(kind=kind, device=entry["device"], dtype=dtype,
                   source=f"ai-dynamo/aiconfigurator@095f58a {DEVICE} vllm {entry['version']}",
                   time_us=float(f"{float(entry['latency']) * 1000:.7g}"))
    return columns


def gemm(folder, dtype="bfloat16"):
    for e in table(folder, "gemm"):
        if e["gemm_dtype"] == dtype:
            yield row("gemm", e, dtype, weight_bits=BITS[dtype], activation_bits=BITS[dtype],
                      m=e["m"], n=e["n"], k=e["k"])


def gemm_fp8(folder):
    yield from gemm(folder, "fp8")


def balanced(tokens, experts, top_k):
    """Tokens of each expert, as the tables' authors spread them."""
    loads, stride = [0] * experts, -(-experts // top_k)
    for t in range(tokens):
        first = t if tokens >= stride else t * stride // tokens
        for j in range(top_k):
            loads[(first + j * stride) % experts] += 1
    return loads


def experts(folder):
    for e in table(folder, "moe"):
        tokens, n, k = int(e["num_tokens"]), int(e["num_experts"]), int(e["topk"])
        ranks, shards = int(e["moe_ep_size"]), int(e["moe_tp_size"])
        if e["moe_dtype"] != "bfloat16" or e["distribution"] != "balanced":
            continue
        loads = balanced(tokens, n, k)[:n // ranks]
        if any(loads):
            yield row("experts", e, "bfloat16", hidden=e["hidden_size"],
                      width=int(e["inter_size"]) // shards, experts=n // ranks, top_k=k,
                      tokens=tokens, distribution="balanced", loads=";".join(map(str, loads)))


def attention(folder):
    for name in ("context_attention", "generation_attention"):
        for e in table(folder, name):
            if e["kv_cache_dtype"] != "bfloat16" or e["window_size"] != "0":
                continue
            queries, context = int(e["isl"]), int(e["isl"]) + int(e["step"])
            # another kernel, for heads of 512 elements
            dtype = "bfloat16" if e["kernel_source"].endswith("fa3") else "bfloat16-fa4"
            yield row("attention", e, dtype, heads=e["num_heads"],
                      kv_heads=e["num_key_value_heads"], head_dim=e["head_dim"], queries=queries,
                      context=context, sequences=e["batch_size"])


def main():
    kinds = {"gemm": gemm, "experts": experts, "attention": attention}
    every = {**kinds, "gemm_fp8": gemm_fp8}
    with open(sys.argv[2], "w", newline="") as file:
        out = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        out.writeheader()
        for kind in sys.argv[3:] or kinds:
            out.writerows(every[kind](sys.argv[1]))


main()
