"""Stand-ins of vLLM and SGLang at work: engines_run.py CASE. Prints what was routed, a line of JSON for
each token, as transformers_odd.py does."""
import asyncio
import json
import os
import sys

import numpy

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "engines"))
LAYERS, K, EXPERTS = 4, 3, 16  # layer 0 is dense


def route(tokens):
    """[tokens, layers, k]; the dense layer is zeros."""
    return [[[(token + 5 * layer + 3 * j) % EXPERTS if layer else 0 for j in range(K)]
             for layer in range(LAYERS)] for token in tokens]


def show(sequence, tokens, layers=range(1, LAYERS), skip=0):
    for position, token in enumerate(tokens[:-1]):
        if position >= skip:
            experts = route([token])[0]
            print(json.dumps({"sequence": sequence, "position": position, "token": token,
                              "experts": [experts[layer] for layer in layers]}))


PROMPTS = [[3, 4, 5, 6, 7], [30, 31, 32]]
SAID = [[8, 9, 10, 11], [33, 34, 35]]


def answers(make):
    """Through vLLM's classes; make(prompt, said, array) gives (of the prompt, of what was said)."""
    from vllm.config import ModelConfig
    from vllm.engine.arg_utils import EngineArgs
    from vllm.outputs import CompletionOutput, RequestOutput
    arguments = EngineArgs(model="a")
    ModelConfig()
    assert arguments.enable_return_routed_experts is True, "the hook did not switch it on"
    for number, (prompt, said) in enumerate(zip(PROMPTS, SAID)):
        RequestOutput(str(number), prompt, [CompletionOutput(0, "", said[:1])], False)
        rows = numpy.array(route(prompt + said)[:-1], dtype="<i4")
        before, behind = make(len(prompt), rows)
        done = CompletionOutput(0, "so", said, behind, "length")
        RequestOutput(str(number), prompt, [done], True, before)


def vllm():
    answers(lambda n, rows: (None, rows))
    for number in (0, 1):
        show(number, PROMPTS[number] + SAID[number])


def vllm_apart():
    """The prompt's apart, 16 bits wide, of MoE layers alone, the first two tokens from a cache."""
    def make(n, rows):
        rows = rows[:, 1:].astype("<i2")
        rows[:2] = -1
        return rows[:n], rows[n:]

    answers(make)
    for number in (0, 1):
        show(number, PROMPTS[number] + SAID[number], skip=2)


def vllm_zero():
    """A kernel that records nothing in layer 2."""
    def make(n, rows):
        rows[:, 2] = 0
        return None, rows

    answers(make)
    for number in (0, 1):
        show(number, PROMPTS[number] + SAID[number], layers=(1, 3))


def vllm_nothing():
    answers(lambda n, rows: (None, rows * 0))


def vllm_odd():
    """What is no array of [tokens, layers, k], and what is of more tokens than there are."""
    answers(lambda n, rows: (None, rows[0]))
    answers(lambda n, rows: (None, numpy.concatenate([rows, rows, rows])))


def vllm_old():
    """A version without the switch."""
    import vllm.engine.arg_utils as module
    from vllm import outputs
    assert not hasattr(module.EngineArgs("a"), "enable_return_routed_experts")
    outputs.RequestOutput("0", [1], [outputs.CompletionOutput(0, "", [2])], True)


def sglang():
    from sglang.srt.managers.io_struct import GenerateReqInput
    from sglang.srt.managers.tokenizer_manager import TokenizerManager
    from sglang.srt.server_args import ServerArgs
    manager = TokenizerManager(ServerArgs(model_path="a"), route)

    async def work():
        said = []
        for stream in (False, True):
            async for answer in manager.generate_request(
                    GenerateReqInput(input_ids=PROMPTS[0], stream=stream)):
                said.append(answer)
        async for answer in manager.generate_request(GenerateReqInput(input_ids=PROMPTS)):
            said.append(answer)
        assert len(said) == 6

    asyncio.run(work())
    for sequence, prompt in enumerate([PROMPTS[0], PROMPTS[0], *PROMPTS]):
        show(sequence, prompt + [100 + i for i in range(4)])


globals()[sys.argv[1]]()
