"""SGLang: its own return of routed experts is switched on, asked for with each request, and read
from the answers: meta_info["routed_experts"], base64 of int32 [tokens, layers, k]."""
import base64
import functools

from moesim_hook import abi, answers
from moesim_hook.vllm import SWITCH, after, switch_on

ASKED = "return_routed_experts"


def patch_arguments(module):
    """sglang.srt.server_args"""
    kind = module.ServerArgs
    if SWITCH not in getattr(kind, "__dataclass_fields__", {}):
        abi.diagnose(abi.WARN, "hook_failed", "this SGLang cannot return routed experts (no %s)" % SWITCH)
        return
    after(kind, "__post_init__" if hasattr(kind, "__post_init__") else "__init__", switch_on)


def patch_requests(module):
    """sglang.srt.managers.io_struct"""
    kind = module.GenerateReqInput
    if ASKED not in getattr(kind, "__dataclass_fields__", {}):
        abi.diagnose(abi.WARN, "hook_failed", "this SGLang's requests have no %s" % ASKED)
        return
    after(kind, "__post_init__" if hasattr(kind, "__post_init__") else "__init__", ask)


def ask(request):
    if not getattr(request, ASKED):
        setattr(request, ASKED, True)


def patch_manager(module):
    """sglang.srt.managers.tokenizer_manager: every answer passes its generate_request."""
    kind = module.TokenizerManager
    original = kind.generate_request

    @functools.wraps(original)
    async def generate_request(self, request, *args, **kwargs):
        async for answer in original(self, request, *args, **kwargs):
            with abi.telling("an answer of SGLang"):
                for one, prompt in zip(*listed(request, answer)):
                    read(self, one, prompt)
            yield answer

    kind.generate_request = generate_request


def listed(request, answer):
    """Answers and their prompts: of one request, or of a batch."""
    prompts = getattr(request, "input_ids", None)
    if isinstance(answer, list):
        return answer, prompts if prompts else [None] * len(answer)
    return [answer], [prompts if prompts and not isinstance(prompts[0], list) else None]


def read(manager, answer, prompt):
    meta = answer.get("meta_info", {}) if isinstance(answer, dict) else {}
    routed = meta.get("routed_experts")
    if not meta.get("finish_reason"):
        return
    learn(manager)
    if routed is None:
        abi.diagnose(abi.WARN, "hook_note", "a request came back without routed experts")
        return
    output = answer.get("output_ids")
    n = meta.get("prompt_tokens", 0)
    prompt = list(prompt) if prompt and len(prompt) == n else [-1] * n
    output = list(output) if output else [-1] * meta.get("completion_tokens", 0)
    ids = decoded(routed)
    if ids is not None:
        answers.record(ids, prompt, output)


def learn(manager):
    import sys
    config = getattr(manager, "model_config", None)
    version = getattr(sys.modules.get("sglang"), "__version__", "")
    config = getattr(config, "hf_text_config", None) or getattr(config, "hf_config", None)
    if config is not None:
        answers.learn(config, "sglang " + version)


def decoded(routed):
    import numpy
    if not isinstance(routed, (str, bytes)):
        return numpy.asarray(routed)
    shape = answers.shape()
    flat = numpy.frombuffer(base64.b64decode(routed), dtype="<i4")
    if shape is None or flat.size % (shape[0] * shape[1]):
        abi.diagnose(abi.ERROR, "hook_failed", "routed experts are %d numbers, which is no whole "
                     "number of tokens of %s layers and experts" % (flat.size, shape))
        return None
    return flat.reshape(-1, *shape)
