class HfConfig:
    model_type = "deepseek_v2"
    num_hidden_layers = 4
    n_routed_experts = 16
    num_experts_per_tok = 3
    first_k_dense_replace = 1
    hidden_size = 32
    moe_intermediate_size = 8


class ModelConfig:
    def __init__(self):
        self.hf_config = self.hf_text_config = HfConfig()
