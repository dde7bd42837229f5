"""A stand-in for vLLM: the names, signatures and shapes of what the hook touches, as vLLM documents them
(0.11: routed experts of all layers with the completion; 0.21: those of the prompt apart, of the MoE
layers alone). It routes by a formula, and answers only what it was asked for."""
__version__ = "stand-in"
