"""A step of a transformers model: which tokens it ran, and what was routed.

What lies on a GPU is packed there when the step has ended, copied into pinned memory behind the
model's work, and told once the copy is done, at the latest a few steps later."""
import collections
import threading
import weakref

import torch

from moesim_hook import abi

MOST_PENDING = 8  # steps that wait for their copies
MOST_CACHES = 4096  # whose sequences are remembered
PREFILL, DECODE = 0, 1
_lock = threading.RLock()
_pending = collections.deque()
_caches = weakref.WeakKeyDictionary()  # cache object -> number
_sequences = {}  # number of a cache -> ids of its rows
_next = {"cache": 0, "sequence": 0}


def shape_of(given):
    for name in ("input_ids", "inputs_embeds", "decoder_input_ids"):
        value = given.get(name)
        if value is not None and value.dim() >= 2:
            return value.shape[0], value.shape[1]
    return None


def cache_of(given):
    for name in ("cache", "past_key_values"):
        value = given.get(name)
        if value is not None and not isinstance(value, (tuple, list)):
            return value
    return None


def number_of(cache):
    """None: not seen before."""
    try:
        return _caches.get(cache)
    except TypeError:  # cannot be remembered
        return None


def remember(cache):
    """The number of a cache, a new one when it has none."""
    number = number_of(cache)
    if number is None:
        with _lock:
            number = _next["cache"]
            _next["cache"] += 1
            _sequences.pop(number - MOST_CACHES, None)
        try:
            _caches[cache] = number
        except TypeError:
            return None
    return number


def begin(given):
    """The step of a forward with these arguments; None: they name no tokens."""
    shape = shape_of(given)
    if shape is None:
        return None
    drain(wait=False)
    cache = cache_of(given)
    known = cache is not None and number_of(cache) is not None
    step = Step(shape)
    phase = DECODE if shape[1] == 1 and known else PREFILL
    abi.step_begin(step.number, phase, shape[0] * shape[1], shape[0])
    return step


class Step:
    def __init__(self, shape):
        self.number = abi.next_step()
        self.shape = shape
        self.models, self.open, self.routes = [], [], []
        self.facts = {}
        self.past = 0
        self.cache = None
        self.events = []
        self.failed = False

    def take(self, given):
        """Arguments of the model whose layers run."""
        if shape_of(given) != self.shape:
            abi.diagnose(abi.WARN, "hook_note", "a model runs %s tokens inside of a step of %s: which "
                         "they are is not known" % (shape_of(given), self.shape))
            return
        for name in ("input_ids", "attention_mask", "position_ids"):
            value = given.get(name)
            if hasattr(value, "dim") and value.dim() == 2:
                self.facts[name] = value.detach()
        cache = cache_of(given)
        if cache is not None:
            self.cache = remember(cache)
            if "position_ids" not in self.facts:
                past = cache.get_seq_length()
                self.past = past.clone() if hasattr(past, "clone") else past

    def take_output(self, output):
        """The cache that a first step may have made."""
        for name in ("cache", "past_key_values"):
            if self.cache is None and isinstance(output, dict) and name in output:
                cache = cache_of({name: output[name]})
                self.cache = None if cache is None else remember(cache)

    def end(self):
        abi.step_end(self.number)
        if self.failed:
            abi.diagnose(abi.INFO, "hook_note", "forwards that raised are left out")
            return
        if not self.routes:
            abi.diagnose(abi.WARN, "route_compiled", "a forward ran, and none of its routers was seen")
            return
        given = [r[1] for r in self.routes] + list(self.facts.values())
        devices = {tensor.device for tensor in given if tensor.is_cuda}
        if devices and torch.cuda.is_current_stream_capturing():
            abi.diagnose(abi.WARN, "route_compiled", "a forward is recorded into a CUDA graph")
            return
        self.routes = pack(self.routes)
        self.facts = {name: to_host(value) for name, value in self.facts.items()}
        if hasattr(self.past, "device"):
            self.past = to_host(self.past)
        self.events = [record(device) for device in devices]
        with _lock:
            _pending.append(self)
        drain(wait=False)

    def done(self):
        return all(event.query() for event in self.events)

    def tell(self):
        """Everything is on the host."""
        for event in self.events:
            event.synchronize()
        position, padding = self.positions()
        sequence = self.sequences(position, padding)
        token = self.facts.get("input_ids")
        columns = [sequence, position, torch.full(self.shape, -1) if token is None else token]
        kept = torch.nonzero(~padding.reshape(-1)).reshape(-1)
        columns = [c.reshape(-1)[kept].to(torch.int32).contiguous() for c in columns]
        abi.tokens(self.number, len(kept), *(c.data_ptr() for c in columns))
        if padding.any():
            abi.diagnose(abi.INFO, "hook_note", "rows of padding were computed and are left out")
        for layers, ids, weights in self.routes:
            if ids.shape[1] == padding.numel():
                tell_routes(self.number, layers, ids[:, kept], None if weights is None else weights[:, kept])
            else:
                abi.diagnose(abi.WARN, "hook_note", "routers saw %d tokens in a step of %d: left out"
                             % (ids.shape[1], padding.numel()))

    def positions(self):
        """Of each row in its sequence, and which rows are padding; [sequences, tokens] each."""
        mask = self.facts.get("attention_mask")
        length = self.shape[1]
        padding = torch.zeros(self.shape, dtype=torch.bool)
        if mask is not None and mask.shape[0] == self.shape[0] and mask.shape[1] >= length:
            padding = mask[:, -length:] == 0
            if (mask == 0).any():
                return mask.long().cumsum(1)[:, -length:] - 1, padding
        given = self.facts.get("position_ids")
        if given is not None and given.shape[1] == length:
            return given.long().expand(self.shape).clone(), padding
        return (torch.arange(length) + int(self.past)).expand(self.shape).clone(), padding

    def sequences(self, position, padding):
        """New ones where positions begin at 0, or the cache is not known."""
        known = _sequences.get(self.cache)
        if known is not None and len(known) != self.shape[0]:
            known = None
        rows, last = [], []
        for row in range(self.shape[0]):
            first = (position[row] == 0) & ~padding[row]
            at = -1 if known is None or first.any() else known[row]
            if at < 0:
                at = _next["sequence"]
                _next["sequence"] += max(1, int(first.sum()))
            number = at + torch.clamp(first.long().cumsum(0) - 1, min=0)
            rows.append(number)
            last.append(int(number[-1]))
        if self.cache is not None:
            _sequences[self.cache] = last
        return torch.stack(rows)


def to_host(tensor):
    if not tensor.is_cuda:
        return tensor
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    return host


def record(device):
    with torch.cuda.device(device):
        event = torch.cuda.Event()
        event.record()
    return event


def pack(routes):
    """[(layers, ids [layers, tokens, k], weights or None)], one for each shape and device."""
    groups = {}
    for layer, ids, weights in routes:
        key = (ids.device, tuple(ids.shape), weights is None)
        groups.setdefault(key, []).append((layer, ids, weights))
    packed = []
    for members in groups.values():
        layers = [m[0] for m in members]
        ids = torch.stack([m[1].to(torch.int32) for m in members])
        weights = None
        if members[0][2] is not None:
            weights = to_host(torch.stack([m[2].detach().float() for m in members]))
        packed.append((layers, to_host(ids), weights))
    return packed


def tell_routes(step, layers, ids, weights):
    """Of each token by falling weight, ties to the lower expert."""
    if weights is not None:
        ids, order = torch.sort(ids, dim=-1)
        weights = weights.gather(-1, order)
        weights, order = torch.sort(weights, dim=-1, descending=True, stable=True)
        ids = ids.gather(-1, order)
        weights = weights.contiguous()
    ids = ids.contiguous()
    _, rows, k = ids.shape
    for at, layer in enumerate(layers):
        abi.route(layer, step, rows, k, ids[at].data_ptr(),
                  None if weights is None else weights[at].data_ptr())


def drain(wait):
    """Tells what has arrived, in order; all of it when `wait`."""
    with _lock:
        while _pending and (wait or len(_pending) > MOST_PENDING or _pending[0].done()):
            step = _pending.popleft()
            with abi.telling("step %d" % step.number):
                step.tell()
