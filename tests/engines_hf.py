"""Runs small random MoE models of Hugging Face transformers and saves what tests of `hf-logits` compare:
engines_hf.py FOLDER fills tests/unit/data/engines. Beside the router logits that the models return
stand the experts and weights that their blocks really chose, caught from torch.topk. And a dump as
SGLang's recorder pickles it, exported by traces/import/sglang_recorder.py.

Made with transformers 4.40.2 and torch 1.13.1 on a CPU; the files are kept in the tree."""
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import (MixtralConfig, MixtralForCausalLM, Qwen2MoeConfig, Qwen2MoeForCausalLM)

EXPORTER = os.path.abspath(os.path.join(os.path.dirname(__file__), "../traces/import/sglang_recorder.py"))
os.chdir(sys.argv[1])
SMALL = dict(vocab_size=64, hidden_size=16, intermediate_size=16, num_hidden_layers=3,
             num_attention_heads=2, num_key_value_heads=2, output_router_logits=True)
chosen = []
topk = torch.topk


def caught(*args, **more):
    result = topk(*args, **more)
    chosen.append((result.values.clone(), result.indices.clone()))
    return result


def run(model, tokens, mask=None):
    chosen.clear()
    torch.topk = caught
    with torch.no_grad():
        out = model.eval()(tokens, attention_mask=mask)
    torch.topk = topk
    picked = chosen[:len(out.router_logits)]  # what follows are auxiliary losses
    ids = torch.stack([i for _, i in picked], 1).numpy()
    weights = torch.stack([v for v, _ in picked], 1).numpy()
    return out.router_logits, ids, weights


def expected(name, ids, weights, **more):
    np.savez_compressed(name, ids=ids.astype("u1"), weights=weights.astype("f4"), **more)


def mixtral():
    """Two sequences of 9 tokens, one after the other; weights renormalised by the block."""
    torch.manual_seed(1)
    model = MixtralForCausalLM(MixtralConfig(num_local_experts=8, num_experts_per_tok=2, **SMALL))
    tokens = torch.randint(0, 64, (2, 9))
    logits, ids, weights = run(model, tokens)
    save_file({f"router_logits.{i}": t.float().contiguous() for i, t in enumerate(logits)},
              "hf_mixtral.safetensors")
    save_file({f"router_logits.{i}": t.to(torch.bfloat16) for i, t in enumerate(logits)},
              "hf_mixtral_bf16.safetensors")
    expected("hf_mixtral_chosen.npz", ids, weights / weights.sum(-1, keepdims=True),
             sequence=np.repeat([0, 1], 9), position=np.tile(np.arange(9), 2))


def qwen():
    """A batch of 7 and 4 tokens, the second padded on the left; weights as softmax gives them."""
    torch.manual_seed(2)
    model = Qwen2MoeForCausalLM(Qwen2MoeConfig(
        num_experts=12, num_experts_per_tok=4, moe_intermediate_size=8,
        shared_expert_intermediate_size=8, norm_topk_prob=False, decoder_sparse_step=1, **SMALL))
    tokens = torch.randint(0, 64, (2, 7))
    mask = torch.tensor([[1] * 7, [0] * 3 + [1] * 4])
    logits, ids, weights = run(model, tokens, mask)
    np.savez("hf_qwen.npz", attention_mask=mask.numpy(), input_ids=tokens.numpy(),
             prompt_lengths=[5, 2], **{f"layer.{i}": t.numpy() for i, t in enumerate(logits)})
    kept = mask.numpy().reshape(-1) == 1
    expected("hf_qwen_chosen.npz", ids[kept], weights[kept], sequence=np.repeat([0, 1], [7, 4]),
             position=np.concatenate([np.arange(7), np.arange(4)]),
             phase=np.concatenate([np.arange(7) >= 5, np.arange(4) >= 2]),
             token_id=tokens.numpy().reshape(-1)[kept])


def recorder():
    """Three requests that come and go; layer 0 is dense, the buffer 8 wide. Experts as engines.py."""
    records = []

    def forward(tokens, lengths=None):
        ids = [[[(5 * l + 11 * s + 2 * (p // 4) + 3 * j) % 16 if l and j < 4 else -1
                 for j in range(8)] for s, p in tokens] for l in range(4)]
        records.append({
            "forward_pass_id": len(records) + 1, "rank": 0, "gatherer_key": "primary",
            "input_ids": torch.tensor([100 * s + p for s, p in tokens]),
            "positions": torch.tensor([p for s, p in tokens]), "extend_seq_lens": lengths,
            "forward_mode": 1 if lengths else 2,
            "topk_ids_of_layer": torch.tensor(ids, dtype=torch.int32), "misc_objects": []})

    forward([(0, p) for p in range(5)], [5])
    forward([(0, 5)])
    forward([(1, p) for p in range(5)], [5])
    for i in range(3):
        forward([(0, 6 + i), (1, 5 + i)])
    forward([(1, 8)])  # request 0 has ended
    forward([(2, p) for p in range(3)], [3])
    for i in range(2):
        forward([(1, 9 + i), (2, 3 + i)])
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "expert_distribution_recorder_0.pt")
        torch.save({"records": records, "last_physical_to_logical_map": None}, path)
        subprocess.run([sys.executable, EXPORTER, "sglang_recorder.npz", path], check=True)


mixtral()
qwen()
recorder()
