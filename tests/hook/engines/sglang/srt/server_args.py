import dataclasses


@dataclasses.dataclass
class ServerArgs:
    model_path: str
    enable_return_routed_experts: bool = False

    def __post_init__(self):
        if not self.model_path:
            raise ValueError("model_path")
