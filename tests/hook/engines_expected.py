"""engines_expected.py CASE NAME OUT: whether the capture NAME of engines_run.py says what was routed."""
import json
import os
import sqlite3
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
import trace_file  # noqa: E402

case, name, out = sys.argv[1:]
codes = {}
for code, text in sqlite3.connect(name + ".db").execute("SELECT code, text FROM diagnostic"):
    codes.setdefault(code, []).append(text)


def check(condition, *what):
    if not condition:
        sys.exit("%s: %s" % (case, " ".join(map(str, what))))


with open(out, encoding="utf-8") as lines:
    wanted = {(w["sequence"], w["position"]): w for w in map(json.loads, lines)}
if wanted:
    meta, _ = trace_file.load(name + ".safetensors")
    found = trace_file.rows(name + ".safetensors")
    check(set(found) == set(wanted), "rows", sorted(set(found) ^ set(wanted)))
    for key, want in wanted.items():
        got = [list(ids) for ids, _ in found[key]["experts"]]
        check(got == want["experts"], key, got, want["experts"])
        check(found[key]["token_id"] == want["token"], key, found[key]["token_id"])
    check(json.loads(meta["layer_ids"]) == ([1, 3] if case == "vllm_zero" else [1, 2, 3]),
          meta["layer_ids"])
    check(meta["experts"] == "16" and meta["model"] == "deepseek_v2", meta)
else:
    check(not os.path.exists(name + ".safetensors"), "a trace of nothing")
steps = sqlite3.connect(name + ".db").execute("SELECT phase, tokens FROM step ORDER BY step").fetchall()
if case == "vllm":
    check(steps == [("prefill", 5)] + [("decode", 1)] * 3 + [("prefill", 3)] + [("decode", 1)] * 2, steps)
told = {"vllm_zero": "layer 2: no token has an expert but 0",
        "vllm_nothing": "layers 1, 2, 3: no token has an expert but 0"}.get(case)
check(not told or any(told in text for text in codes.get("route_zero", [])), codes)
check(bool(told) == ("route_zero" in codes), codes)
if case == "vllm_odd":
    texts = codes.get("hook_failed", [])
    check(any("[4, 3] of int32, not [tokens, layers, k]" in t for t in texts), texts)
    check(any("of 24 tokens, of a request of 9" in t for t in texts), texts)
if case == "vllm_old":
    check(any("cannot return routed experts" in t for t in codes.get("hook_failed", [])), codes)
