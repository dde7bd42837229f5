import base64

import numpy
from vllm.config import HfConfig  # the same small model


class ModelConfig:
    hf_config = HfConfig()


class TokenizerManager:
    def __init__(self, server_args, route):
        self.server_args, self.route, self.model_config = server_args, route, ModelConfig()

    def answer(self, request, ids, n):
        """The first n tokens of what is said."""
        output = [100 + i for i in range(4)][:n]
        meta = {"prompt_tokens": len(ids), "completion_tokens": n,
                "finish_reason": {"type": "length"} if n == 4 else None}
        if request.return_routed_experts and self.server_args.enable_return_routed_experts and n == 4:
            rows = numpy.asarray(self.route(ids + output), dtype="<i4")[:-1]
            meta["routed_experts"] = base64.b64encode(rows.tobytes()).decode()
        return {"text": "so", "output_ids": output, "meta_info": meta}

    async def generate_request(self, request, http=None):
        if request.input_ids and isinstance(request.input_ids[0], list):
            yield [self.answer(request, ids, 4) for ids in request.input_ids]
            return
        for n in range(1, 5) if request.stream else [4]:
            yield self.answer(request, request.input_ids, n)
