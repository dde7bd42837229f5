"""Writes what engines write, small: engines.py FOLDER fills tests/unit/data/engines.

The routing is the same in all files, so that one test knows it: expert j of token p of sequence s
at layer l is (5 l + 11 s + 2 (p / 4) + 3 j) mod 16. Layers are 1, 2, 3 of a model whose layer 0 is
dense. Wants numpy and safetensors; the files are kept in the tree, so that tests do not."""
import base64
import io
import json
import os
import struct
import sys

import numpy as np
from safetensors.numpy import save_file

LAYERS, K, PROMPT, TOKENS = 3, 4, 5, 12
os.chdir(sys.argv[1])


def ids(sequence, tokens=TOKENS, layers=range(1, LAYERS + 1)):
    return np.array([[[(5 * l + 11 * sequence + 2 * (p // 4) + 3 * j) % 16 for j in range(K)]
                      for l in layers] for p in range(tokens)])


def with_dense(a, fill=0):
    return np.concatenate([np.full_like(a[:, :1], fill), a], axis=1)


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def text(data):
    return base64.b64encode(data).decode()


def write(name, value):
    with open(name, "w", encoding="utf-8") as file:
        if name.endswith("l"):
            file.writelines(json.dumps(v) + "\n" for v in value)
        else:
            json.dump(value, file)


def answer(rows, **more):
    """A completion as the server gives it; `rows` go to the choice."""
    choice = {"index": 0, "text": "so \u00e9 \"it\" is\n", "routed_experts": rows,
              "finish_reason": "length", "logprobs": None, "stop_reason": None}
    usage = {"prompt_tokens": PROMPT, "total_tokens": TOKENS + 1,
             "completion_tokens": TOKENS + 1 - PROMPT}
    return {"id": "cmpl-1", "object": "text_completion", "created": 1764150000, "model": "a-moe",
            "choices": [choice], "usage": usage, **more}


def arrays():
    one = ids(0)
    np.save("plain.npy", with_dense(one).astype("<i2"))
    np.save("fortran.npy", np.asfortranarray(with_dense(one).astype(">i4")))
    np.save("layers_first.npy", np.ascontiguousarray(with_dense(one).transpose(1, 0, 2)).astype("u1"))
    np.save("wide.npy", np.concatenate([with_dense(one, -1), np.full((TOKENS, 4, 2), -1)], 2))
    np.save("gaps.npy", with_dense(np.insert(one, 1, -1, axis=2)).astype("i4"))
    np.save("unsigned.npy", np.concatenate([np.full((2, 4, 4), 255), with_dense(one)[2:]]).astype("u1"))
    np.save("top_1.npy", ids(0)[..., 0].astype("u2"))
    np.savez("two.npz", a=with_dense(ids(0)), b=with_dense(ids(1, 7)))
    both = np.concatenate([ids(0), ids(1)])
    np.savez_compressed(
        "facts.npz", ids=both.astype("u8"), sequence=np.repeat([0, 1], TOKENS),
        position=np.tile(np.arange(TOKENS), 2), phase=np.tile(np.arange(TOKENS) >= PROMPT, 2),
        step=np.arange(2 * TOKENS).astype("i4"), token_id=np.arange(2 * TOKENS) + 100,
        layer_ids=[1, 2, 3], weights=(np.ones(both.shape) * [.4, .3, .2, .1]).astype("f2"))
    np.savez("layers.npz", prompt_lengths=[PROMPT],
             **{f"layer{l}": ids(0)[:, l - 1].astype("i1") for l in (3, 1, 2)})


def zip64():
    """An archive whose directory is written as if it were beyond 4 GiB."""
    file = io.BytesIO()
    np.savez(file, a=with_dense(ids(0)).astype("u1"))
    data = file.getvalue()
    start, end = data.index(b"PK\x01\x02"), data.rindex(b"PK\x05\x06")
    entry = bytearray(data[start:end])
    sizes = entry[24:28] + bytes(4) + entry[20:24] + bytes(4) + entry[42:46] + bytes(4)
    entry[20:28] = b"\xff" * 8
    entry[42:46] = b"\xff" * 4
    entry[30:32] = struct.pack("<H", 28)
    name = 46 + struct.unpack("<H", entry[28:30])[0]
    entry = entry[:name] + struct.pack("<HH", 1, 24) + sizes
    at = start + len(entry)
    whole = struct.pack("<LQHHLLQQQQ", 0x06064B50, 44, 45, 45, 0, 0, 1, 1, len(entry), start)
    locator = struct.pack("<LLQL", 0x07064B50, 0, at, 1)
    last = struct.pack("<LHHHHLLH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    with open("zip64.npz", "wb") as out:
        out.write(data[:start] + entry + whole + locator + last)


def vllm():
    rows = ids(0)
    cached = rows.copy()
    cached[:2] = -1
    write("vllm_lists.json", answer(rows.tolist()))
    apart = {"prompt_routed_experts": cached[:PROMPT].tolist(),
             "prompt_token_ids": list(range(PROMPT))}
    split = answer(rows[PROMPT:].tolist(), **apart)
    split["choices"][0]["token_ids"] = list(range(TOKENS + 1 - PROMPT))
    write("vllm_apart.json", [split])
    several = answer(rows[PROMPT:].tolist(), prompt_routed_experts=rows[:PROMPT].tolist())
    several["choices"].append({**several["choices"][0], "index": 1})
    write("vllm_several.json", several)
    write("vllm_base64.jsonl", [answer(text(npy(with_dense(ids(s)).astype("u1")))) for s in (0, 1)])
    write("vllm_start.jsonl", [answer(text(npy(rows[3:].astype("<i4"))), routed_experts_prompt_start=3)])
    for name, more in (("start", {"start": 2}), ("encoding", {"encoding": "base64"})):
        part = rows[more.get("start", 0):].astype("<i2")
        rest = {"data": text(part.tobytes()), "shape": list(part.shape), "dtype": "int16"}
        write(f"vllm_{name}.json", answer({**rest, **more}))


def sglang():
    """meta_info of /generate, and sgl_ext of the OpenAI endpoints: raw int32, all layers."""
    raw = text(with_dense(ids(0)).astype("<i4").tobytes())
    meta = {"prompt_tokens": PROMPT, "completion_tokens": TOKENS + 1 - PROMPT, "cached_tokens": 0}
    write("sglang_native.json", [{"text": "so", "output_ids": list(range(TOKENS + 1 - PROMPT)),
                                  "meta_info": {"id": "1", "routed_experts": raw, **meta}}])
    openai = answer(None)
    del openai["choices"][0]["routed_experts"]
    openai["choices"][0]["sgl_ext"] = {"routed_experts": raw}
    write("sglang_openai.jsonl", [openai])


def trtllm():
    """Two requests that decode together for all iterations; a second rank that saw the same."""
    rows = [ids(0), ids(1)]
    tensors = {f"{100 + p}_{l}": np.stack([r[p, l - 1] for r in rows]).astype("<i4")
               for p in range(TOKENS) for l in range(1, LAYERS + 1)}
    save_file(tensors, "trtllm_steady.safetensors")
    one = {f"7_{l}": ids(0)[:, l - 1].astype("<i4") for l in range(1, LAYERS + 1)}
    two = {f"8_{l}": ids(1, 7)[:, l - 1].astype("<i4") for l in range(1, LAYERS + 1)}
    save_file({**one, **two}, "trtllm_prompts.safetensors")
    save_file({f"7_{l}": np.arange(16, dtype="<i4") for l in range(2)}, "trtllm_counts.safetensors")


def llamacpp():
    """A prompt of PROMPT tokens in two ubatches of 3 and 2, whose last layer has the last token only,
    then one token at a time."""
    rows = ids(0)
    ubatches = [range(0, 3), range(3, PROMPT)] + [range(p, p + 1) for p in range(PROMPT, TOKENS)]
    pairs, lists, ranks, binary = [], [], [], b""
    for batch in ubatches:
        for l in range(1, LAYERS + 1):
            tokens = batch[-1:] if l == LAYERS else batch
            for p in tokens:
                row = rows[p, l - 1]
                pairs += [f"{l},{e}" for e in row]
                lists.append(f"{l}," + " ".join(str(e) for e in row))
            binary += np.array([l, len(tokens), K], "<i4").tobytes()
            binary += rows[tokens[0]:tokens[-1] + 1, l - 1].astype("<i4").tobytes()
            phase = "prefill" if batch[0] < PROMPT else "decode"
            ranks += [f"{phase},{p},{l},{j},{e}" for p in tokens for j, e in enumerate(rows[p, l - 1])]
    for name, lines in (("pairs", ["layer,expert"] + pairs), ("bare", pairs[:-5]),
                        ("lists", ["layer_id,expert_ids"] + lists),
                        ("ranks", ["phase,token,layer,rank,expert"] + ranks)):
        with open(f"llamacpp_{name}.csv", "w", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in lines)
    with open("llamacpp.bin", "wb") as file:
        file.write(binary)


def megatron():
    rows = np.stack([ids(0), ids(1)], axis=1)  # [s, b, layers, k]
    flat = rows.reshape(-1, LAYERS, K)
    np.savez("megatron_list.npz", **{f"layer_{l}": flat[:, l - 1].astype("i8")
                                     for l in range(1, LAYERS + 1)})
    buffer = np.concatenate([flat, np.zeros_like(flat[:4])])
    np.save("megatron_buffer.npy", buffer.astype("<i2"))


arrays()
zip64()
vllm()
sglang()
trtllm()
llamacpp()
megatron()
