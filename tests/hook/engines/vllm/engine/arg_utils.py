import dataclasses
import os


@dataclasses.dataclass
class EngineArgs:
    model: str
    enable_return_routed_experts: bool = False

    def __post_init__(self):
        if not self.model:
            raise ValueError("model")


@dataclasses.dataclass
class OldArgs:
    model: str


if os.environ.get("STANDIN_OLD"):
    EngineArgs = OldArgs
