"""Routing that engines give with their answers (vLLM, SGLang): for a request, the experts of its
tokens, [tokens, layers, k].

Which requests ran together is not told with an answer: each prompt becomes a step, and each token
decoded behind it another. Their times are those of the answer."""
import threading

from moesim_hook import abi

_lock = threading.Lock()
_next = {"sequence": 0}
_model = {"told": False}
SURE = 8  # tokens of top-1 layers whose zeros are no accident


def learn(config, engine):
    """From a model's config of transformers: which layers are MoE layers."""
    config = getattr(config, "text_config", None) or config
    n = number(config, "num_hidden_layers")
    experts = number(config, "num_local_experts", "num_experts", "n_routed_experts")
    if not n or not experts or _model["told"]:
        return
    dense = dense_layers(config, n)
    _model.update(told=True, dense=dense, layers=n,
                  k=number(config, "num_experts_per_tok", "top_k_experts"))
    name = getattr(config, "_name_or_path", None) or getattr(config, "model_type", None)
    abi.model({
        "name": str(name).rstrip("/").rsplit("/", 1)[-1] if name else None, "engine": engine,
        "experts": experts, "top_k": _model["k"], "layers": [i for i in range(n) if i not in dense],
        "hidden": number(config, "hidden_size"),
        "width": number(config, "moe_intermediate_size", "intermediate_size"),
    })


def number(config, *names):
    for name in names:
        value = getattr(config, name, None)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def dense_layers(config, n):
    """As the families say it: the first ones, some by number, or all but each so many."""
    dense = set(range(number(config, "first_k_dense_replace") or 0))
    dense.update(getattr(config, "mlp_only_layers", None) or [])
    every = number(config, "decoder_sparse_step") or 1
    dense.update(i for i in range(n) if (i + 1) % every)
    return dense


def shape():
    """(layers, k) of the model; None where it is not known."""
    return (_model["layers"], _model["k"]) if _model["told"] and _model["k"] else None


def record(ids, prompt, output, first=None):
    """ids [tokens, layers, k], in order, from position `first` on, or None: of the last tokens that
    ran; layers are all of the model, or its MoE layers. prompt, output: token ids."""
    import numpy
    ids = numpy.asarray(ids)
    if ids.ndim != 3 or ids.dtype.kind not in "iu" or 0 in ids.shape:
        abi.diagnose(abi.ERROR, "hook_failed", "routed experts are %s of %s, not [tokens, layers, k] "
                     "of integers" % (list(ids.shape), ids.dtype))
        return
    tokens = list(prompt) + list(output)
    ran = max(len(tokens) - 1, 1)  # the last one was drawn, and not run
    if len(ids) > len(tokens):
        abi.diagnose(abi.WARN, "hook_failed", "routed experts of %d tokens, of a request of %d"
                     % (len(ids), len(tokens)))
        return
    first = max(ran - len(ids), 0) if first is None else first
    ids = numpy.ascontiguousarray(ids, dtype=numpy.int32)
    layers = moe_layers(ids)
    if layers:
        tell(ids, layers, first, tokens, len(prompt))


def moe_layers(ids):
    """(place in ids, number in the model) of the layers that say something; zeros in a layer that must
    is an error of the capture."""
    n, k = ids.shape[1:]
    moe = None
    if _model["told"]:
        moe = [i for i in range(_model["layers"]) if i not in _model["dense"]]
        moe = list(enumerate(moe)) if n == len(moe) else [(i, i) for i in moe if i < n]
    silent = {i for i in range(n) if not (ids[:, i] > 0).any()} if k > 1 or len(ids) >= SURE else set()
    if moe is None:
        moe = [(i, i) for i in range(n) if i not in silent or len(silent) == n]
        if silent and len(silent) < n:
            abi.diagnose(abi.INFO, "hook_note", "layers %s are all zeros: taken as dense"
                         % ", ".join(map(str, sorted(silent))))
    zero = [number for place, number in moe if place in silent]
    if zero:
        abi.diagnose(abi.ERROR, "route_zero", "layer%s %s: no token has an expert but 0, in %d tokens"
                     % ("" if len(zero) == 1 else "s", ", ".join(map(str, zero)), len(ids)))
    return [(place, number) for place, number in moe if place not in silent]


def tell(ids, layers, first, tokens, prompt):
    """Rows of nothing but -1 were taken from a cache, and did not run."""
    import numpy
    with _lock:
        sequence = _next["sequence"]
        _next["sequence"] += 1
    rows = numpy.flatnonzero((ids >= 0).any(axis=(1, 2)))
    before = rows[rows + first < prompt]
    if len(before):
        tell_step(0, ids[before], layers, sequence, before + first, tokens)
    for row in rows[rows + first >= prompt]:
        at = numpy.array([row])
        tell_step(1, ids[at], layers, sequence, at + first, tokens)


def tell_step(phase, ids, layers, sequence, position, tokens):
    import numpy
    n, _, k = ids.shape
    columns = [numpy.full(n, sequence, numpy.int32), numpy.asarray(position, numpy.int32),
               numpy.array([tokens[p] if p < len(tokens) else -1 for p in position], numpy.int32)]
    step = abi.next_step()
    abi.step_begin(step, phase, n, 1)
    abi.tokens(step, n, *(c.ctypes.data for c in columns))
    for place, layer in layers:
        chosen = numpy.ascontiguousarray(ids[:, place])
        abi.route(layer, step, n, k, chosen.ctypes.data, None)
    abi.step_end(step)
    abi.diagnose(abi.INFO, "hook_note", "an engine's answers say what each request routed, not which "
                 "requests ran together: steps are of one request, and their times those of the answer")
