"""vLLM: its own return of routed experts is switched on, and read from finished requests.

CompletionOutput.routed_experts is [tokens, layers, k] on the host; from 0.21 on the prompt's may stand
apart in RequestOutput.prompt_routed_experts. Dense layers are slots of zeros."""
import functools

from moesim_hook import abi, answers

SWITCH = "enable_return_routed_experts"


def after(kind, name, act):
    """`act(self)` whenever the method has run."""
    original = getattr(kind, name)

    @functools.wraps(original)
    def method(self, *args, **kwargs):
        result = original(self, *args, **kwargs)
        with abi.telling("%s.%s" % (kind.__name__, name)):
            act(self)
        return result

    setattr(kind, name, method)


def patch_arguments(module):
    """vllm.engine.arg_utils"""
    kind = module.EngineArgs
    if SWITCH not in getattr(kind, "__dataclass_fields__", {}):
        abi.diagnose(abi.WARN, "hook_failed", "this vLLM cannot return routed experts (no %s)" % SWITCH)
        return
    after(kind, "__post_init__" if hasattr(kind, "__post_init__") else "__init__", switch_on)


def switch_on(arguments):
    if getattr(arguments, SWITCH) is not True:
        object.__setattr__(arguments, SWITCH, True)


def patch_config(module):
    """vllm.config, or vllm.config.model where it has moved to"""
    kind = getattr(module, "ModelConfig", None)
    if kind is None or "moesim_hook" in kind.__dict__:
        return
    kind.moesim_hook = True
    after(kind, "__post_init__" if hasattr(kind, "__post_init__") else "__init__", learn)


def learn(config):
    import sys
    version = getattr(sys.modules.get("vllm"), "__version__", "")
    answers.learn(getattr(config, "hf_text_config", None) or config.hf_config, "vllm " + version)


def patch_outputs(module):
    """vllm.outputs"""
    after(module.RequestOutput, "__init__", read)


def read(request):
    if not request.finished:
        return
    prompt = list(request.prompt_token_ids or [])
    for output in request.outputs:
        ids = getattr(output, "routed_experts", None)
        before = getattr(request, "prompt_routed_experts", None)
        if ids is None and before is None:
            abi.diagnose(abi.WARN, "hook_note", "a request came back without routed experts")
            continue
        answers.record(joined(before, ids), prompt, list(output.token_ids),
                       getattr(output, "routed_experts_prompt_start", None))


def joined(before, ids):
    import numpy
    parts = [numpy.asarray(part) for part in (before, ids) if part is not None and len(part)]
    return numpy.concatenate(parts) if parts else numpy.zeros((0, 0, 0), numpy.int32)
