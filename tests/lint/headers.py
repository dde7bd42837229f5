"""Each header compiles alone, and twice, with the project's own flags.

headers.py SOURCE BUILD: the flags are those of the build folder's compile_commands.json. The headers
that stand for CUDA's are C++; what only nvcc or they can compile (.cuh) is left to the sources."""
import concurrent.futures
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import source


def flags(build):
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        commands = json.load(file)
    commands = [c for c in commands if c["file"].endswith(".c")]
    if not commands:
        sys.exit(f"{build}/compile_commands.json knows no C")
    words = shlex.split(commands[0]["command"])
    # Up to the output: what follows names the one file of that command.
    return words[:words.index("-o")] + ["-fsyntax-only", "-x", "c", "-"]


# As emulated sources are compiled, up to the warnings.
CPLUSPLUS = ["c++", "-std=c++17", "-I.", "-Itests/cuda_emulation", "-Wall", "-Wextra", "-Werror",
             "-fsyntax-only", "-x", "c++", "-"]


# CUDA's headers are optional: what includes them is checked where they are.
OPTIONAL = re.compile(r"fatal error: (cuda|cupti|nvtx3/)[\w./]*: No such file")


def compile_alone(command, header):
    if header.startswith("tests/cuda_emulation/"):
        if not shutil.which(CPLUSPLUS[0]):
            return header, 0, ""
        command = CPLUSPLUS
    text = f'#include "{header}"\n#include "{header}"\n'
    done = subprocess.run(command, input=text, cwd=source.root(), text=True, capture_output=True,
                          check=False)
    if done.returncode != 0 and OPTIONAL.search(done.stderr):
        return header, 0, ""
    return header, done.returncode, done.stderr


def main():
    report = source.Report()
    command = flags(sys.argv[2])
    headers = [f for f in source.c_files() if f.endswith(".h")]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for header, code, message in pool.map(lambda h: compile_alone(command, h), headers):
            report.checked += 1
            if code != 0:
                report.add(header, 1, "does not compile alone\n" + message.rstrip())
    report.end("headers alone")


main()
