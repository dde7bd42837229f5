"""Runs the READMEs' commands and compares what they print with what they show.

In README.md and traces/README.md, a comment <!-- test --> before a ```sh block says that it is run, in one folder for
all blocks, with `moesim` in the path and links to the folders of the source tree that commands name. A comment
<!-- output --> before the ```text block that follows says that the text is exactly its output.
<!-- test exit N --> is for a command that must fail with N, and <!-- save: NAME --> before any
block makes it a file there. MOE_UPDATE_GOLDEN=1 rewrites the outputs there."""
import difflib
import os
import re
import subprocess
import sys

READMES = ("README.md", "traces/README.md")
FOLDERS = ("scenarios", "traces", "hw", "models", "profiler")
BLOCK = re.compile(
    r"<!-- test(?: exit (?P<exit>\d+))? -->\n```sh\n(?P<command>.*?)```\n"
    r"(?:\s*<!-- output -->\n```text\n(?P<output>.*?)```\n)?", re.DOTALL)
SAVED = re.compile(r"<!-- save: (\S+) -->\n```\w*\n(.*?)```\n", re.DOTALL)


def prepare(program, source):
    """The current folder gets links to the tree's folders, and `moesim` a place in the path. Files
    beside them in the tree may be what a user made with these very commands, and get none."""
    for folder in FOLDERS:
        os.symlink(os.path.join(source, folder), folder)
    os.mkdir(".bin")
    os.symlink(program, ".bin/moesim")
    os.environ["PATH"] = os.path.abspath(".bin") + ":" + os.environ["PATH"]


def run(block):
    done = subprocess.run(["sh", "-ec", block["command"]], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    expected = int(block["exit"] or 0)
    if done.returncode != expected:
        print(f"exit {done.returncode}, not {expected}:\n{block['command']}{done.stdout}")
    return done.returncode == expected, done.stdout


def check(name, source, update):
    """Runs the blocks of one file; the number of blocks and of failures."""
    path = os.path.join(source, name)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for saved, content in SAVED.findall(text):
        with open(saved, "x", encoding="utf-8") as file:
            file.write(content)
    failures, changes, blocks = 0, [], list(BLOCK.finditer(text))
    for block in blocks:
        passed, output = run(block)
        failures += not passed
        if block["output"] is None or output == block["output"]:
            continue
        if update:
            changes.append((block.span("output"), output))
            continue
        failures += 1
        print(f"{name} shows something else after:\n{block['command']}")
        sys.stdout.writelines(difflib.unified_diff(
            block["output"].splitlines(True), output.splitlines(True), name, "now"))
    for (start, end), output in reversed(changes):
        text = text[:start] + output + text[end:]
    if changes:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    print(f"{name}: {len(blocks)} blocks run, {failures} failures, {len(changes)} rewritten")
    if not blocks:
        print("no <!-- test --> block was found")
    return failures or not blocks


def main():
    program, source = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    prepare(program, source)
    update = os.environ.get("MOE_UPDATE_GOLDEN") == "1"
    sys.exit(1 if any([check(name, source, update) for name in READMES]) else 0)


main()
