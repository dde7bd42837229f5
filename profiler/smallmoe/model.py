"""The Qwen3-MoE decoder in plain PyTorch, written for training on a few CPU cores.

The same arithmetic as `Qwen3MoeForCausalLM` of transformers, with the experts' weights stacked,
tokens sorted by expert, and a loss that never holds all logits. `save` writes the layout of the
Hub: one tensor per expert and projection.
"""
import json
import math
import os

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

CONFIG = {
    "architectures": ["Qwen3MoeForCausalLM"],
    "model_type": "qwen3_moe",
    "vocab_size": 4096,
    "hidden_size": 160,
    "num_hidden_layers": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "intermediate_size": 320,
    "moe_intermediate_size": 80,
    "num_experts": 32,
    "num_experts_per_tok": 4,
    "norm_topk_prob": True,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
    "use_sliding_window": False,
    "sliding_window": None,
    "output_router_logits": False,
    "router_aux_loss_coef": 0.01,
    "initializer_range": 0.02,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "use_cache": True,
    "torch_dtype": "bfloat16",
}


def _silu_mul(h):
    gate, up = h.chunk(2, -1)
    return F.silu(gate) * up


def _silu_mul_back(h, weight, dscaled):
    """From the gradient of weight * silu(gate) * up: of h and of weight."""
    gate, up = h.chunk(2, -1)
    sigmoid = torch.sigmoid(gate)
    silu = gate * sigmoid
    dweight = (dscaled * silu * up).sum(-1)
    dact = dscaled * weight[:, None]
    dgate = dact * up * (sigmoid + silu * (1 - sigmoid))
    return torch.cat((dgate, dact * silu), -1), dweight


class Experts(torch.autograd.Function):
    """sum over k of weight * down(silu(gate x) * up x), each expert on its own rows."""

    @staticmethod
    def forward(ctx, x, ids, weight, gate_up, down):
        top = ids.shape[1]
        flat = ids.flatten()
        order = torch.argsort(flat, stable=True)
        inverse = torch.empty_like(order)
        inverse[order] = torch.arange(len(order))
        token = order // top
        ends = torch.bincount(flat, minlength=len(gate_up)).cumsum(0).tolist()
        spans = list(zip([0] + ends[:-1], ends))
        rows = x[token]
        h = x.new_empty(len(order), gate_up.shape[2])
        for e, (i, j) in enumerate(spans):
            torch.mm(rows[i:j], gate_up[e], out=h[i:j])
        sorted_weight = weight.flatten()[order]
        scaled = FUSED[0](h) * sorted_weight[:, None]
        y = torch.empty_like(rows)
        for e, (i, j) in enumerate(spans):
            torch.mm(scaled[i:j], down[e], out=y[i:j])
        ctx.save_for_backward(rows, h, scaled, sorted_weight, token, inverse, gate_up, down)
        ctx.spans = spans
        return F.embedding_bag(inverse.view(-1, top), y, mode="sum")

    @staticmethod
    def backward(ctx, dout):
        rows, h, scaled, weight, token, inverse, gate_up, down = ctx.saved_tensors
        top = len(inverse) // len(dout)
        dy = dout[token]
        dscaled = torch.empty_like(scaled)
        ddown = torch.empty_like(down)
        for e, (i, j) in enumerate(ctx.spans):
            torch.mm(dy[i:j], down[e].T, out=dscaled[i:j])
            torch.mm(scaled[i:j].T, dy[i:j], out=ddown[e])
        dh, dweight = FUSED[1](h, weight, dscaled)
        drows, dgate_up = dy, torch.empty_like(gate_up)
        for e, (i, j) in enumerate(ctx.spans):
            torch.mm(dh[i:j], gate_up[e].T, out=drows[i:j])
            torch.mm(rows[i:j].T, dh[i:j], out=dgate_up[e])
        dx = F.embedding_bag(inverse.view(-1, top), drows, mode="sum")
        return dx, None, dweight[inverse].view(-1, top), dgate_up, ddown


FUSED = [_silu_mul, _silu_mul_back]


class LinearLoss(torch.autograd.Function):
    """Mean cross entropy of x @ table.T, a slice of rows at a time, gradients made on the way."""

    @staticmethod
    def forward(ctx, x, table, target):
        dx, dtable, loss = torch.empty_like(x), torch.zeros_like(table), 0.0
        for i in range(0, len(x), 1024):
            logits = x[i:i + 1024] @ table.T
            wanted = target[i:i + 1024, None]
            loss += (logits.logsumexp(-1).sum() - logits.gather(1, wanted).sum()).item()
            p = torch.softmax(logits, -1)
            p.scatter_add_(1, wanted, p.new_full(wanted.shape, -1.0))
            torch.mm(p, table, out=dx[i:i + 1024])
            dtable.addmm_(p.T, x[i:i + 1024])
        ctx.save_for_backward(dx.div_(len(x)), dtable.div_(len(x)))
        return x.new_tensor(loss / len(x))

    @staticmethod
    def backward(ctx, scale):
        dx, dtable = ctx.saved_tensors
        return dx * scale, dtable * scale, None


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        h, d = c["hidden_size"], c["head_dim"]
        self.c = c
        self.sizes = [c["num_attention_heads"] * d, c["num_key_value_heads"] * d]
        self.input_norm = nn.Parameter(torch.ones(h))
        self.post_norm = nn.Parameter(torch.ones(h))
        self.q_norm = nn.Parameter(torch.ones(d))
        self.k_norm = nn.Parameter(torch.ones(d))
        self.q = nn.Parameter(torch.empty(self.sizes[0], h))
        self.k = nn.Parameter(torch.empty(self.sizes[1], h))
        self.v = nn.Parameter(torch.empty(self.sizes[1], h))
        self.o = nn.Parameter(torch.empty(h, self.sizes[0]))
        self.router = nn.Parameter(torch.empty(c["num_experts"], h))
        width = c["moe_intermediate_size"]
        self.gate_up = nn.Parameter(torch.empty(c["num_experts"], h, 2 * width))
        self.down = nn.Parameter(torch.empty(c["num_experts"], width, h))

    def attend(self, x, cos, sin):
        """The layer up to its experts: the residual stream, the experts' input, router logits."""
        b, t, _ = x.shape
        d, eps = self.c["head_dim"], self.c["rms_norm_eps"]
        n = rms_norm(x, self.input_norm, eps)
        q, k, v = F.linear(n, torch.cat((self.q, self.k, self.v))).split(
            [self.sizes[0], self.sizes[1], self.sizes[1]], -1)
        q = rotate(rms_norm(q.view(b, t, -1, d), self.q_norm, eps), cos, sin).transpose(1, 2)
        k = rotate(rms_norm(k.view(b, t, -1, d), self.k_norm, eps), cos, sin).transpose(1, 2)
        v = v.view(b, t, -1, d).transpose(1, 2)
        group = self.sizes[0] // self.sizes[1]
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + F.linear(a.transpose(1, 2).reshape(b, t, -1), self.o)
        n = rms_norm(x, self.post_norm, eps).flatten(0, 1)
        return x, n, F.linear(n, self.router)

    def route(self, logits):
        probability = logits.softmax(-1)
        weight, ids = probability.topk(self.c["num_experts_per_tok"], -1)
        return probability, weight / weight.sum(-1, keepdim=True), ids


def rms_norm(x, weight, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def rotate(x, cos, sin):
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class SmallMoe(nn.Module):
    def __init__(self, config=None):
        super().__init__()
        self.c = dict(config or CONFIG)
        c = self.c
        self.embed = nn.Parameter(torch.empty(c["vocab_size"], c["hidden_size"]))
        self.layers = nn.ModuleList(Layer(c) for _ in range(c["num_hidden_layers"]))
        self.norm = nn.Parameter(torch.ones(c["hidden_size"]))
        half = c["head_dim"] // 2
        rate = c["rope_theta"] ** (-torch.arange(half) / half)
        angle = torch.arange(c["max_position_embeddings"])[:, None, None] * rate
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)
        self.reset()

    def reset(self):
        for name, p in self.named_parameters():
            if p.dim() > 1:
                nn.init.normal_(p, std=0.02)
            if name.endswith((".o", ".down")):
                p.data.div_(math.sqrt(2 * self.c["num_hidden_layers"]))

    def hidden(self, ids, load=None):
        """Final hidden states [tokens, hidden], the balance loss, expert ids of every layer.

        The balance loss holds a layer's router probabilities against `load`, each expert's share
        of the tokens over many steps, so that one domain may use experts that another does not.
        """
        x = self.embed[ids]
        cos, sin = self.cos[:ids.shape[1]], self.sin[:ids.shape[1]]
        balance, chosen = 0.0, []
        experts = self.c["num_experts"]
        for number, layer in enumerate(self.layers):
            x, n, logits = layer.attend(x, cos, sin)
            probability, weight, top = layer.route(logits)
            if load is not None:
                balance = balance + experts * (load[number] * probability.mean(0)).sum()
            x = x + Experts.apply(n, top, weight, layer.gate_up, layer.down).view_as(x)
            chosen.append(top)
        x = rms_norm(x, self.norm, self.c["rms_norm_eps"]).flatten(0, 1)
        return x, balance / len(self.layers), chosen

    def loss(self, ids, target, load=None):
        x, balance, chosen = self.hidden(ids, load)
        return LinearLoss.apply(x, self.embed, target.flatten()), balance, chosen

    def logits(self, ids):
        x, _, chosen = self.hidden(ids)
        return (x @ self.embed.T).view(*ids.shape, -1), chosen

    def tensors(self):
        """The weights under their names on the Hub."""
        out = {"model.embed_tokens.weight": self.embed, "model.norm.weight": self.norm}
        for number, layer in enumerate(self.layers):
            at = f"model.layers.{number}."
            for ours, theirs in NAMES.items():
                out[at + theirs] = getattr(layer, ours)
            for e in range(self.c["num_experts"]):
                gate, up = layer.gate_up[e].T.chunk(2)
                expert = f"{at}mlp.experts.{e}."
                out[expert + "gate_proj.weight"] = gate
                out[expert + "up_proj.weight"] = up
                out[expert + "down_proj.weight"] = layer.down[e].T
        return out

    def save(self, folder, dtype=torch.bfloat16):
        """Writes model.safetensors and config.json, each under its name only when whole."""
        os.makedirs(folder, exist_ok=True)
        tensors = {name: t.detach().to(dtype).contiguous() for name, t in self.tensors().items()}
        save_file(tensors, folder + "/model.safetensors.part", metadata={"format": "pt"})
        with open(folder + "/config.json.part", "w", encoding="utf-8") as out:
            json.dump(self.c, out, indent=1)
            out.write("\n")
        for name in ("model.safetensors", "config.json"):
            os.rename(f"{folder}/{name}.part", f"{folder}/{name}")

    @classmethod
    def load(cls, folder):
        with open(folder + "/config.json", encoding="utf-8") as file:
            model = cls(json.load(file))
        stored = load_file(folder + "/model.safetensors")
        with torch.no_grad():
            for name, view in model.tensors().items():
                view.copy_(stored[name])
        return model


NAMES = {
    "input_norm": "input_layernorm.weight",
    "post_norm": "post_attention_layernorm.weight",
    "q_norm": "self_attn.q_norm.weight",
    "k_norm": "self_attn.k_norm.weight",
    "q": "self_attn.q_proj.weight",
    "k": "self_attn.k_proj.weight",
    "v": "self_attn.v_proj.weight",
    "o": "self_attn.o_proj.weight",
    "router": "mlp.gate.weight",
}
