"""What routers give, by shape: the experts of each token, and their weights.

Known are tuples with one array of integers [tokens, k] and, in floats, weights of the same shape
(transformers 5, DeepSeek) or scores of all experts (gpt-oss of 4.x); and logits alone, where the
block is one whose rule is known."""
import torch


def rule_of(block, router):
    """For routers that give logits alone, (k, renormalise); None: the rule is not known."""
    k = getattr(block, "top_k", None)
    if not isinstance(router, torch.nn.Linear) or not isinstance(k, int):
        return None
    if type(block).__name__.startswith("Mixtral"):
        return k, True
    renormalise = getattr(block, "norm_topk_prob", None)
    return (k, renormalise) if isinstance(renormalise, bool) else None


def flat(tensor):
    return tensor.detach().reshape(-1, tensor.shape[-1])


def read(rule, output):
    """(ids, weights or None), [tokens, k] each; None: not understood."""
    if isinstance(output, torch.Tensor):
        return of_logits(rule, output) if rule else None
    parts = [flat(t) for t in output if isinstance(t, torch.Tensor) and t.dim() >= 2]
    ids = [t for t in parts if t.dtype in (torch.int64, torch.int32, torch.int16, torch.uint8)]
    if len(ids) != 1:
        return None
    floats = [t for t in parts if t.is_floating_point() and t.shape[0] == ids[0].shape[0]]
    same = [t for t in floats if t.shape == ids[0].shape]
    if same:
        return ids[0], same[-1]  # behind the logits, where there are as many experts as k
    if len(floats) == 1:
        return ids[0], floats[0].gather(1, ids[0].long())
    return ids[0], None


def of_logits(rule, logits):
    k, renormalise = rule
    weights = torch.softmax(flat(logits), dim=-1, dtype=torch.float32)
    weights, ids = torch.topk(weights, k, dim=-1)
    if renormalise:
        weights = weights / weights.sum(dim=-1, keepdim=True)
    return ids, weights.to(logits.dtype)
