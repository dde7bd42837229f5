"""Adds the README's example policy to a copy of the tree, builds it, and asks the program for it.

A comment <!-- file: PATH --> before a block of README.md says that the block is that file, and
<!-- append: PATH --> that it is added to that file."""
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lint"))
import source  # noqa: E402

BLOCK = re.compile(r"<!-- (file|append): (\S+) -->\n```\w*\n(.*?)```\n", re.DOTALL)


def copy_tree():
    for path in source.files():
        if not path.startswith("tests/"):
            os.makedirs(os.path.dirname(os.path.join("tree", path)), exist_ok=True)
            shutil.copyfile(os.path.join(source.root(), path), os.path.join("tree", path))


def apply_blocks():
    blocks = BLOCK.findall(source.read("README.md"))
    for verb, path, text in blocks:
        os.makedirs(os.path.dirname(os.path.join("tree", path)), exist_ok=True)
        with open(os.path.join("tree", path), "a" if verb == "append" else "x",
                  encoding="utf-8") as file:
            file.write(text)
    return {path for _, path, _ in blocks}


def must(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


def main():
    copy_tree()
    paths = apply_blocks()
    policies = [p for p in paths if re.match(r"sim/policy/\w+/\w+\.c$", p)]
    scenarios = [p for p in paths if p.startswith("tests/golden/")]
    if not policies or not scenarios:
        sys.exit("README.md shows no policy file, or no golden scenario for it")
    must("cmake", "-S", "tree", "-B", "build", "-G", "Ninja", "-DMOE_TESTS=OFF", "-DMOE_CUDA=OFF",
         "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_FLAGS_DEBUG=-O0")
    must("cmake", "--build", "build", "--target", "moesim")
    listed = must("build/moesim", "list", "policies")
    for path in policies:
        name = os.path.basename(path)[:-2].replace("_", "-")
        if not re.search(rf"^ *{name} ", listed, re.MULTILINE):
            sys.exit(f"'moesim list policies' does not name {name}:\n{listed}")
        for scenario in scenarios:
            table = must("build/moesim", "run", "--no-plot", "-o", "out.db", f"tree/{scenario}")
            if name not in table:
                sys.exit(f"{scenario}: no row of {name}:\n{table}")
            print(table)


main()
