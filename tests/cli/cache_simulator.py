"""Compares `moesim trace mrc` with libCacheSim over an exported trace: cache_simulator.py MOESIM TRACE
ACCESSES SLOTS…. LRU and FIFO see the order of accesses, Belady also each one's next."""
import subprocess
import sys

import libcachesim


def ours(moesim, trace, policy, slots):
    out = subprocess.run([moesim, "trace", "mrc", trace, "--evict", policy, "--slots", str(slots),
                          "--csv"], check=True, capture_output=True, text=True).stdout
    accesses, misses = out.splitlines()[1].split(",")[2:]
    return int(misses) / int(accesses)


def theirs(path, policy, slots):
    reader = libcachesim.TraceReader(path, libcachesim.TraceType.ORACLE_GENERAL_TRACE,
                                     libcachesim.ReaderInitParam(ignore_obj_size=True))
    return getattr(libcachesim, policy)(cache_size=slots).process_trace(reader)[0]


def main():
    moesim, trace, path = sys.argv[1:4]
    failed = False
    for slots in map(int, sys.argv[4:]):
        for policy in ("LRU", "FIFO", "Belady"):
            a, b = ours(moesim, trace, policy.lower(), slots), theirs(path, policy, slots)
            failed |= abs(a - b) > 1e-9
            print(f"{policy:8}{slots:6} slots: miss ratio {a:.6f}, libCacheSim {b:.6f}")
    sys.exit(failed)


main()
