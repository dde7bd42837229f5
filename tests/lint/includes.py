"""Include directions: who may know whom. The table is the one of the README's tour of the tree."""
import os
import re

import source

# folder -> the project's folders, or single headers, that it may include beside its own.
MAY_INCLUDE = {
    "sim/base": [],
    "sim/core": ["sim/base"],
    "sim/policy": ["sim/base", "sim/core"],
    "sim/residency": ["sim/base", "sim/policy"],
    "models": ["sim/base"],
    "hw": ["sim/base"],
    "traces": ["sim/base", "models"],
    "sim/machine": ["sim/base", "sim/core", "sim/policy", "sim/residency", "models", "hw", "traces"],
    "profiler": ["sim/base", "sim/policy", "sim/residency", "models", "hw", "traces"],
    "analysis": ["sim/base", "sim/core/sink.h"],
    "sim/cli": ["sim", "models", "hw", "traces", "profiler", "analysis"],
    "tests": ["sim", "models", "hw", "traces", "profiler", "analysis"],
}

# Libraries from outside that are not for everybody.
THIRD_PARTY = [
    (re.compile(r"^yaml\.h$"), ["sim/base"]),
    (re.compile(r"^sqlite3\.h$"), ["analysis", "profiler", "sim/cli", "tests"]),
    (re.compile(r"^(zlib|zstd)\.h$"), ["sim/base", "traces", "profiler", "sim/cli", "tests"]),
    (re.compile(r"^(cjson/)?cJSON\.h$"), ["sim/base", "models", "traces", "profiler", "tests"]),
    (re.compile(r"^(cuda|cublas|cupti|nvtx|nvToolsExt)"), ["profiler", "tests"]),
    (re.compile(r"^CUnit/"), ["tests"]),
]

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')


def folder_of(path):
    return next((f for f in MAY_INCLUDE if path.startswith(f + "/")), None)


def is_file(path):
    return os.path.isfile(os.path.join(source.root(), path))


def check_project(report, path, line, header):
    folder = folder_of(path)
    if not is_file(header):
        report.add(path, line, f'"{header}" is not a path from the root of the project')
        return
    allowed = [folder, *MAY_INCLUDE[folder]]
    if not any(header == a or header.startswith(a + "/") for a in allowed):
        report.add(path, line, f'{folder} may not include "{header}"; it may include '
                   + (", ".join(MAY_INCLUDE[folder]) or "nothing of the project but itself"))
        return
    # A policy knows its own kind's contract, never another kind's, nor another policy.
    policy = re.match(r"sim/policy/(\w+)/\w+\.c$", path)
    used = re.match(r"sim/policy/(\w+)/(\w+)\.h$", header)
    if policy and used:
        kind = policy.group(1)
        other = header != path[:-2] + ".h" and is_file(header[:-2] + ".c")
        if used.group(1) != kind or other:
            report.add(path, line, f'a policy of kind {kind} may not include "{header}": neither '
                       "another kind nor another policy")


def check_third_party(report, path, line, header):
    for pattern, folders in THIRD_PARTY:
        if pattern.match(header) and not source.inside(path, folders):
            report.add(path, line, f"<{header}> belongs to {', '.join(folders)}")


def check_own_first(report, path, includes):
    """The own header, or the private one beside it (x_private.h for x.c), comes first."""
    own = path[:-2] + ".h"
    if path.endswith(".c") and is_file(own):
        line, first = includes[0] if includes else (1, "")
        if first != own and not first.startswith(path[:-2] + "_"):
            report.add(path, line, f'the first include is the file\'s own header, "{own}"')


def main():
    report = source.Report()
    for path in source.c_files():
        if folder_of(path) is None:
            report.add(path, 0, "is in no folder that the table of include directions knows")
            continue
        report.checked += 1
        includes = []
        for number, text in enumerate(source.read(path).split("\n"), 1):
            match = INCLUDE.match(text)
            if not match:
                continue
            includes.append((number, match.group(1) or match.group(2)))
            if match.group(1):
                check_project(report, path, number, match.group(1))
            else:
                check_third_party(report, path, number, match.group(2))
            if includes[-1][1].endswith(".c"):
                report.add(path, number, "a .c file is included")
        check_own_first(report, path, includes)
    report.end("include directions")


main()
