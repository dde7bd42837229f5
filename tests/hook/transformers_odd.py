"""Uses of transformers that a hook may trip over: transformers_odd.py CASE

Prints a line of JSON for each token that was routed, from the router logits that the model itself
returns: {"sequence", "position", "token", "experts": [ids of each layer]}."""
import copy
import json
import os
import pickle
import subprocess
import sys
import threading

import torch
import transformers
from transformers import OlmoeConfig, OlmoeForCausalLM

LAYERS, K = 3, 2


def make(seed=1):
    torch.manual_seed(seed)
    config = OlmoeConfig(vocab_size=64, hidden_size=16, intermediate_size=16, num_experts=8,
                         num_hidden_layers=LAYERS, num_attention_heads=2, num_key_value_heads=2,
                         num_experts_per_tok=K, pad_token_id=0, eos_token_id=1)
    config._attn_implementation = "eager"
    return OlmoeForCausalLM(config).eval()


def chosen(out):
    """[rows, layers, k], by falling weight."""
    assert len(out.router_logits) == LAYERS
    return torch.stack([torch.topk(t.float().softmax(-1), K).indices for t in out.router_logits], 1)


def show(experts, sequence, position, token):
    for i, one in enumerate(experts.tolist()):
        if sequence[i] >= 0:
            print(json.dumps({"sequence": int(sequence[i]), "position": int(position[i]),
                              "token": int(token[i]), "experts": one}))


def forward(model, ids, **more):
    with torch.no_grad():
        return model(input_ids=ids, output_router_logits=True, **more)


def cached(out):
    name = "cache" if "cache" in out else "past_key_values"
    return {name: out[name]}


def run(model, first=0, prompt=5):
    """A prompt and two tokens behind it, sequence `first`."""
    ids = torch.arange(3, 3 + prompt)[None]
    out = forward(model, ids, use_cache=True)
    show(chosen(out), [first] * prompt, range(prompt), ids[0])
    for at in range(prompt, prompt + 2):
        ids = torch.tensor([[at + 20]])
        out = forward(model, ids, use_cache=True, **cached(out))
        show(chosen(out), [first], [at], ids[0])


def padded():
    """Two sequences of 6 and 4 tokens, the second padded on the left; then a token of each."""
    model = make()
    ids = torch.tensor([[5, 6, 7, 8, 9, 10], [0, 0, 11, 12, 13, 14]])
    mask = torch.tensor([[1] * 6, [0, 0, 1, 1, 1, 1]])
    out = forward(model.model, ids, attention_mask=mask, use_cache=True)
    show(chosen(out), [0] * 6 + [-1] * 2 + [1] * 4, list(range(6)) + [0, 0] + list(range(4)),
         ids.reshape(-1))
    mask = torch.cat([mask, torch.ones(2, 1, dtype=mask.dtype)], 1)
    ids = torch.tensor([[20], [21]])
    out = forward(model.model, ids, attention_mask=mask, use_cache=True, **cached(out))
    show(chosen(out), [0, 1], [6, 4], ids.reshape(-1))


def packed():
    """Two sequences in one row, told by their positions."""
    ids = torch.arange(10, 18)[None]
    position = torch.tensor([[0, 1, 2, 0, 1, 2, 3, 4]])
    out = forward(make(), ids, position_ids=position, use_cache=False)
    show(chosen(out), [0] * 3 + [1] * 5, position[0], ids[0])


def copied():
    model = make()
    run(model)
    run(copy.deepcopy(model), 1)


def failing():
    """A forward that raises in the middle of a layer, then one that does not."""
    model = make()
    run(model)
    layer = model.model.layers[1].mlp
    kept, layer.forward = layer.forward, lambda *_, **__: 1 / 0
    for _ in range(2):
        try:
            forward(model, torch.tensor([[1, 2, 3]]))
            raise SystemExit("it did not raise")
        except ZeroDivisionError:
            pass
    layer.forward = kept
    run(model, 1)


def threads():
    """Each thread has steps of its own."""
    model = make()
    lock, said = threading.Lock(), []

    def work(prompt):
        ids = torch.arange(prompt, prompt + 7)[None]
        for _ in range(20):
            out = forward(model, ids, use_cache=False)
            with lock:
                said.append((ids[0].tolist(), chosen(out).tolist()))

    workers = [threading.Thread(target=work, args=(10 * i + 2,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for ids, experts in said:
        print(json.dumps({"tokens": ids, "experts": experts}))


def inner():
    """The model below the head, called by itself, by position and without a cache."""
    model = make()
    for sequence in range(2):
        ids = torch.arange(sequence + 5, sequence + 9)[None]
        with torch.no_grad():
            out = model.model(ids, use_cache=False, output_router_logits=True)
        show(chosen(out), [sequence] * 4, range(4), ids[0])


def compiled():
    """Compiled code does not see Python; what it computes is the same."""
    model = make()
    ids = torch.arange(3, 9)[None]
    with torch.no_grad():
        eager = model(input_ids=ids, use_cache=False).logits
        run_compiled = torch.compile(model, backend="eager")
        assert torch.equal(run_compiled(input_ids=ids, use_cache=False).logits, eager)
        model.forward = torch.compile(model.forward, backend="eager")
        assert torch.equal(model(input_ids=ids, use_cache=False).logits, eager)


def pickled():
    """A model that is saved whole is loaded where there is no hook."""
    model = make()
    with torch.no_grad():
        model(input_ids=torch.tensor([[3, 4]]), use_cache=False)
    with open("model.pickle", "wb") as out:
        pickle.dump(model, out)
    env = {k: v for k, v in os.environ.items() if not k.startswith("MOESIM") and k != "PYTHONPATH"}
    code = ("import pickle, torch\nmodel = pickle.load(open('model.pickle', 'rb'))\n"
            "print(float(model(input_ids=torch.tensor([[3, 4]])).logits.detach().sum()))")
    found = subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True)
    with torch.no_grad():
        wanted = float(make()(input_ids=torch.tensor([[3, 4]])).logits.sum())
    assert abs(float(found.stdout) - wanted) < 1e-4 * abs(wanted) + 1e-6


class OddBlock(torch.nn.Module):
    """A router that gives nothing that anybody knows."""

    def __init__(self, block):
        super().__init__()
        self.gate, self.experts = torch.nn.Sequential(torch.nn.Linear(16, 8)), block.experts

    def forward(self, hidden):
        logits = self.gate(hidden)
        return hidden if transformers.__version__ >= "5" else (hidden, logits)


def odd_router():
    model = make()
    model.model.layers[1].mlp = OddBlock(model.model.layers[1].mlp)
    with torch.no_grad():
        out = model(input_ids=torch.arange(3, 9)[None], use_cache=False)
    assert out.logits.shape == (1, 6, 64)


def two_models():
    """Steps of two models between one another."""
    one, two = make(1), make(2)
    ids = torch.arange(3, 8)[None]
    outs = [forward(m, ids, use_cache=True) for m in (one, two)]
    for sequence, out in enumerate(outs):
        show(chosen(out), [sequence] * 5, range(5), ids[0])
    for at in (5, 6):
        ids = torch.tensor([[at + 9]])
        outs = [forward(m, ids, use_cache=True, **cached(o)) for m, o in zip((one, two), outs)]
        for sequence, out in enumerate(outs):
            show(chosen(out), [sequence], [at], ids[0])


transformers.logging.set_verbosity_error()
torch.set_num_threads(1)
globals()[sys.argv[1]]()
