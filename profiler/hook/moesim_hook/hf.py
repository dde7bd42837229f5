"""Hugging Face transformers: hooks on the modules of every MoE model that is made.

A model's forward is a step. Inside it each router's output is kept, and read when the step has ended
(hf_step.py): on a GPU nothing waits for a layer. Stages are ranges around the embedding, attention,
router and experts of each layer and the output layer; where experts are a list of modules (4.x) their
range reaches from the router to the end of the block.

Nothing runs inside torch.compile, torch.export or torch.jit.trace: what they make runs without Python,
so that its routing is not seen, which is said. The same holds for CUDA graphs that are replayed."""
import atexit
import contextlib
import functools
import inspect
import sys
import threading
import weakref

import torch

from moesim_hook import abi, hf_router, hf_step

_local = threading.local()
_preparing = threading.RLock()
_is_compiling = getattr(getattr(torch, "compiler", None), "is_compiling", lambda: False)
_seen = {"model": None, "step": False}


def patch_models(module):
    """transformers.modeling_utils"""
    base = module.PreTrainedModel
    original = base.post_init

    @functools.wraps(original)
    def post_init(self, *args, **kwargs):
        result = original(self, *args, **kwargs)
        with abi.telling("the model %s could not be hooked" % type(self).__name__):
            attach(self)
        return result

    base.post_init = post_init
    atexit.register(finish)


# ---- the shape of models ----

def router_of(block):
    """The router of a MoE block; None: it is none."""
    if not isinstance(getattr(block, "experts", None), torch.nn.Module):
        return None
    for name in ("gate", "router"):
        router = getattr(block, name, None)
        if isinstance(router, torch.nn.Module):
            return router
    return None


def moe_layers(model):
    """(number, layer, block) of the MoE layers right below a model."""
    layers = getattr(model, "layers", None)
    found = []
    for number, layer in enumerate(layers if isinstance(layers, torch.nn.ModuleList) else []):
        block = next((m for m in layer.modules() if router_of(m) is not None), None)
        if block is not None:
            found.append((number, layer, block))
    return found


def config_of(model, *names):
    config = model.config
    config = getattr(config, "text_config", None) or config
    for name in names:
        value = getattr(config, name, None)
        if isinstance(value, (int, str)) and not isinstance(value, bool):
            return value
    return None


def facts(model, layers):
    """What moesim_model tells."""
    name = config_of(model, "_name_or_path") or config_of(model, "model_type")
    return {
        "name": str(name).rstrip("/").rsplit("/", 1)[-1] if name else type(model).__name__,
        "engine": "transformers " + sys.modules["transformers"].__version__,
        "experts": config_of(model, "num_local_experts", "num_experts", "n_routed_experts"),
        "top_k": config_of(model, "num_experts_per_tok", "top_k", "num_experts_per_token"),
        "layers": [number for number, _, _ in layers],
        "hidden": config_of(model, "hidden_size"),
        "width": config_of(model, "moe_intermediate_size", "intermediate_size"),
    }


# ---- hooks ----

class Hook:
    """A hook of a module: what is done, and for which layer. A pickled module forgets it."""

    def __init__(self, act, layer=-1, more=None):
        self.act, self.layer, self.more = act, layer, more

    def __call__(self, module, args, kwargs, output=None):
        if _is_compiling() or torch.jit.is_tracing():
            return None
        try:
            self.act(self, module, args, kwargs, output)
        except Exception as problem:  # pylint: disable=broad-except
            abi.failed("%s of layer %d" % (self.act.__name__, self.layer), problem)
        return None

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):  # something that takes any arguments and does nothing
        return getattr, (contextlib.nullcontext(), "__exit__")


def hooked(module, act):
    """Copies of a module have the hooks of the original."""
    hooks = (*module._forward_pre_hooks.values(), *module._forward_hooks.values())
    return any(isinstance(hook, Hook) and hook.act is act for hook in hooks)


def before(module, act, layer=-1, more=None):
    module.register_forward_pre_hook(Hook(act, layer, more), with_kwargs=True)


def after(module, act, layer=-1, more=None):
    register = module.register_forward_hook
    always = {"always_call": True} if "always_call" in inspect.signature(register).parameters else {}
    register(Hook(act, layer, more), with_kwargs=True, **always)


def attach(model):
    if hooked(model, enter_model) or not any(router_of(m) is not None for m in model.modules()):
        return
    _seen["model"] = type(model).__name__
    before(model, enter_model)
    after(model, leave_model)


def prepare(model):
    """Hooks below a model that runs: by now its modules are those that stay. Other threads that run
    it wait for them."""
    if hooked(model, prepared):
        return
    with _preparing:
        if hooked(model, prepared):
            return
        try:
            hook_below(model)
        finally:
            before(model, prepared)


def hook_below(model):
    layers = moe_layers(model)
    head = model.get_output_embeddings()
    if head is not None and not hooked(head, pop_stage):
        stage(head, "unembed")
    if not layers:
        return
    abi.model(facts(model, layers))
    embed = model.get_input_embeddings()
    if embed is not None:
        stage(embed, "embed")
    for number, layer in enumerate(model.layers):
        for name in ("self_attn", "attention", "self_attention", "linear_attn"):
            if getattr(layer, name, None) is not None:
                stage(getattr(layer, name), "attention", number)
    for number, _, block in layers:
        prepare_block(number, block)


def prepare_block(number, block):
    router = router_of(block)
    before(router, push, number, "router")
    after(router, leave_router, number, hf_router.rule_of(block, router))
    if not isinstance(block.experts, torch.nn.ModuleList):
        stage(block.experts, "experts", number)
        return
    after(router, push, number, "experts")
    after(block, pop_stage, number, "experts")


def stage(module, name, layer=-1):
    before(module, push, layer, name)
    after(module, pop_stage, layer, name)


# ---- what hooks do ----

def push(hook, module, args, kwargs, output):
    step = getattr(_local, "step", None)
    if step is not None:
        step.open.append((hook.layer, hook.more))
        abi.range_push(hook.layer, hook.more)


def pop_to(step, depth):
    while len(step.open) > depth:
        step.open.pop()
        abi.range_pop()


def pop_stage(hook, module, args, kwargs, output):
    """Closes the stage, and what was left open inside it by an exception."""
    step = getattr(_local, "step", None)
    if step is not None and (hook.layer, hook.more) in step.open:
        at = len(step.open) - 1 - step.open[::-1].index((hook.layer, hook.more))
        pop_to(step, at)


def leave_router(hook, module, args, kwargs, output):
    step = getattr(_local, "step", None)
    if step is None:
        return
    if (hook.layer, "router") in step.open:
        pop_to(step, step.open.index((hook.layer, "router")))
    if output is not None:
        chosen = hf_router.read(hook.more, output)
        if chosen is None:
            abi.diagnose(abi.WARN, "hook_failed", "the router %s of layer %d gives nothing that is "
                         "known as experts" % (type(module).__name__, hook.layer))
        else:
            step.routes.append((hook.layer,) + chosen)


def prepared(hook, module, args, kwargs, output):
    """Marks a model whose parts have hooks."""


def enter_model(hook, model, args, kwargs, output):
    prepare(model)
    step = getattr(_local, "step", None)
    if step is not None and model in step.models:  # an exception kept it from leaving
        step.failed = True
        leave_step(step)
        step = None
    given = arguments(model, args, kwargs)
    if step is None:
        step = hf_step.begin(given)
        _local.step = step
    if step is None:
        return
    step.models.append(model)
    if moe_layers_cached(model):
        step.take(given)


def leave_model(hook, model, args, kwargs, output):
    step = getattr(_local, "step", None)
    if step is None or model not in step.models:
        return
    if output is None:
        step.failed = True
    elif moe_layers_cached(model):
        step.take_output(output)
    while step.models.pop() is not model:
        pass
    if not step.models:
        leave_step(step)


def leave_step(step):
    _local.step = None
    pop_to(step, 0)
    _seen["step"] = True
    step.end()


@functools.lru_cache(maxsize=None)
def names_of(kind):
    return list(inspect.signature(kind.forward).parameters)[1:]


def arguments(model, args, kwargs):
    """All by name."""
    return {**dict(zip(names_of(type(model)), args)), **kwargs}


def moe_layers_cached(model):
    """Whether MoE layers lie right below: then it is this model's arguments that tell the tokens."""
    known = _local.__dict__.setdefault("known", weakref.WeakKeyDictionary())
    if model not in known:
        known[model] = bool(moe_layers(model))
    return known[model]


def finish():
    hf_step.drain(wait=True)
    if _seen["model"] and not _seen["step"]:
        abi.diagnose(abi.INFO, "hook_note", "no forward of %s was seen: it did not run, or as compiled "
                     "code" % _seen["model"])
