"""transformers_expected.py CASE NAME OUT: whether the capture NAME of transformers_odd.py says what the
program printed to OUT."""
import collections
import json
import os
import sqlite3
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
import trace_file  # noqa: E402

case, name, out = sys.argv[1:]
db = sqlite3.connect(name + ".db")


def ask(sql, *values):
    return db.execute(sql, values).fetchall()


def ids(row):
    return [list(x[0]) for x in row["experts"]]


def check(condition, *what):
    if not condition:
        sys.exit("%s: %s" % (case, " ".join(map(str, what))))


with open(out, encoding="utf-8") as lines:
    wanted = [json.loads(line) for line in lines]
codes = dict(ask("SELECT code, text FROM diagnostic"))
if case == "threads":
    found = collections.defaultdict(list)
    for (sequence, position), row in sorted(trace_file.rows(name + ".safetensors").items()):
        found[sequence].append((row["token_id"], ids(row)))
    found = sorted([[t for t, _ in rows], [e for _, e in rows]] for rows in found.values())
    check(found == sorted([w["tokens"], w["experts"]] for w in wanted), "other rows")
elif case == "compiled":
    check("route_compiled" in codes, codes)
elif case == "odd_router":
    check("gives nothing" in codes.get("hook_failed", ""), codes)
elif case == "pickled":
    check(ask("SELECT count(*) FROM step") == [(2,)], "steps")
else:
    found = trace_file.rows(name + ".safetensors")
    wanted = {(w["sequence"], w["position"]): w for w in wanted}
    check(set(found) == set(wanted), "rows", sorted(set(found) ^ set(wanted)))
    for key, want in wanted.items():
        check(found[key]["token_id"] == want["token"], "token of", key)
        check(ids(found[key]) == want["experts"], "experts of", key, ids(found[key]), want["experts"])

# Whatever happens, ranges close where they were opened, and nothing was complained about in vain.
check(not ask("SELECT * FROM range WHERE end_ns IS NULL"), "ranges stay open")
check(not ask("SELECT * FROM loss"), "losses")
allowed = {"padded": {"hook_note"}, "failing": {"hook_note"},
           "odd_router": {"hook_failed", "route_gap"},
           "compiled": {"route_compiled", "hook_note"}}.get(case, set())
allowed |= {"no_driver", "not_loaded", "route_merged"}
check(set(codes) <= allowed, codes)
