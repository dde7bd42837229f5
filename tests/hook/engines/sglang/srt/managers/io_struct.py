import dataclasses
from typing import Optional


@dataclasses.dataclass
class GenerateReqInput:
    text: Optional[str] = None
    input_ids: Optional[list] = None
    return_routed_experts: bool = False
    stream: bool = False
