"""From SGLang's expert distribution recorder to a file that `moesim trace import` reads:

    python3 sglang_recorder.py OUT.npz expert_distribution_recorder_*.pt

The recorder (--expert-distribution-recorder-mode per_token) writes pickles, one per rank: per forward
pass the experts topk_ids_of_layer [layers, tokens, k] (-1: none), input_ids, positions, and of an extend pass
how many tokens each request has. Requests are not named. A pass lists running requests in the order
in which they came, so that a decoded token goes on with the first request, from where the last one was found, that
stands at the position before; requests that are passed over have ended. Wants torch and numpy."""
import sys

import numpy as np
import torch


class Requests:
    """Sequences by what is known of them: the position that each has reached, in order of the batch."""

    def __init__(self):
        self.running = []  # [sequence, last position]
        self.count = 0

    def start(self, last):
        self.running.append([self.count, last])
        self.count += 1
        return self.count - 1

    def extend(self, positions):
        """A request's tokens of an extend pass: a new one, or the next chunk of a prompt."""
        for request in self.running:
            if positions[0] > 0 and request[1] == positions[0] - 1:
                request[1] = positions[-1]
                return request[0]
        return self.start(positions[-1])

    def decode(self, positions):
        """The sequence of each token of a decode pass."""
        found, kept, at = [], [], 0
        for position in positions:
            after = at
            while after < len(self.running) and self.running[after][1] != position - 1:
                after += 1
            if after == len(self.running):  # came from elsewhere
                self.start(position - 1)
                after = len(self.running) - 1
            request = self.running[after]
            request[1] = position
            kept.append(request)
            found.append(request[0])
            at = after + 1
        self.running = kept
        return found


def array(value):
    return value.cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def read_pass(record, requests):
    """Sequence and phase of each token of a pass."""
    positions = array(record["positions"]).astype(np.int64)
    lengths = record.get("extend_seq_lens")
    lengths = [] if lengths is None else [int(n) for n in array(lengths)]
    if sum(lengths) != len(positions):
        return requests.decode(positions.tolist()), np.ones(len(positions), np.uint8)
    sequences, at = [], 0
    for n in lengths:
        if n:
            sequences += [requests.extend(positions[at:at + n].tolist())] * n
        at += n
    return sequences, np.zeros(len(positions), np.uint8)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    columns = {name: [] for name in ("ids", "sequence", "position", "phase", "step", "token_id")}
    first = 0
    for path in sys.argv[2:]:
        dump = torch.load(path, map_location="cpu")
        if "records" not in dump:
            sys.exit(f"{path}: counts only ({', '.join(dump)}): no routing can be made of them; "
                     "record with --expert-distribution-recorder-mode per_token")
        requests = Requests()
        requests.count = first
        for record in dump["records"]:
            if "topk_ids_of_layer" not in record:
                sys.exit(f"{path}: no topk_ids_of_layer; record with mode per_token")
            sequence, phase = read_pass(record, requests)
            n = len(sequence)
            ids = array(record["topk_ids_of_layer"])[:, :n].transpose(1, 0, 2)
            columns["ids"].append(ids.astype(np.int16))
            columns["sequence"].append(np.asarray(sequence, np.uint32))
            columns["position"].append(array(record["positions"])[:n].astype(np.uint32))
            columns["phase"].append(phase)
            columns["step"].append(np.full(n, int(record["forward_pass_id"]), np.uint32))
            columns["token_id"].append(array(record["input_ids"])[:n].astype(np.uint32))
        first = requests.count
    with open(sys.argv[1], "wb") as file:  # as it is named, without an ending put on
        np.savez(file, **{name: np.concatenate(parts) for name, parts in columns.items()})
    print(f"{sys.argv[1]}: {sum(map(len, columns['ids']))} tokens of {first} requests")


main()
