import dataclasses


@dataclasses.dataclass
class CompletionOutput:
    index: int
    text: str
    token_ids: list
    routed_experts: object = None
    finish_reason: str = None


class RequestOutput:
    def __init__(self, request_id, prompt_token_ids, outputs, finished, prompt_routed_experts=None):
        self.request_id = request_id
        self.prompt_token_ids = prompt_token_ids
        self.outputs = outputs
        self.finished = finished
        if prompt_routed_experts is not None:
            self.prompt_routed_experts = prompt_routed_experts
