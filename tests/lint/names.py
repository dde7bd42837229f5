"""The mechanism knows no policy: no policy's and no paper's name in the core, the residency or the
machine, comments included."""
import os
import re

import source

FOLDERS = ["sim/core", "sim/residency", "sim/machine"]

# Policies whose name is an everyday word of C or of the subject: for these only the policy's
# symbol and a comparison with its name are findings.
EVERYDAY = {"static", "none", "load", "host", "window", "recorded", "given", "popularity"}

POLICY = re.compile(r"^MOE_POLICY\((\w+),\s*(\w+)\)", re.MULTILINE)


def policies():
    return POLICY.findall(source.read("sim/policy/policies.def"))


def papers():
    return [os.path.splitext(os.path.basename(f))[0] for f in source.files()
            if f.startswith("scenarios/papers/") and f.endswith(".yaml")]


def as_word(name):
    """The name with any separator, alone or as a part of an identifier."""
    parts = re.split(r"[-_ ]", name)
    return r"(?<![a-z0-9])" + r"[-_ ]?".join(map(re.escape, parts)) + r"(?![a-z0-9])"


def pattern(kind, name):
    if name not in EVERYDAY:
        return "(?i)" + as_word(name)
    return (rf"moe_{kind}_{name}\b|(strcmp|str_equal|strcmp0|policy_find)\s*\([^;]*"
            rf'"{name.replace("_", "-")}"')


def main():
    report = source.Report()
    rules = [(f"the policy '{n}'", re.compile(pattern(k, n))) for k, n in policies()]
    rules += [(f"the paper '{p}'", re.compile(as_word(p), re.IGNORECASE)) for p in papers()]
    for path in source.c_files(FOLDERS):
        report.checked += 1
        for number, text in enumerate(source.read(path).split("\n"), 1):
            for what, rule in rules:
                if rule.search(text):
                    report.add(path, number, f"names {what}; {os.path.dirname(path)} knows none")
    if not policies():
        report.add("sim/policy/policies.def", 0, "no policy was found in it")
    report.end("policy and paper names")


main()
