"""What must not stand in the tree: over-long files, left-overs, paths of somebody's machine, big
files, and top-level entries that nobody decided on. In a git checkout only what git tracks counts:
figures, databases and scenarios that a user makes beside it are the user's own."""
import os
import re
import subprocess

import source

LONGEST = 600
BIGGEST = 8_000_000
BIGGER = {"profiler/smallmoe/model.safetensors": 25_000_000}    # weights, committed once
TOP = {
    "CMakeLists.txt", "CMakePresets.json", "README.md", "LICENSE", "CHANGELOG.md", "sim", "models",
    "hw", "traces", "profiler", "analysis", "scenarios", "tests",
}
TEXT = source.C_SUFFIXES + (
    ".py", ".sh", ".cmake", ".txt", ".md", ".yaml", ".yml", ".json", ".def", ".sql", ".csv",
    ".expected", ".gp")
CODE = source.C_SUFFIXES + (".py", ".sh", ".cmake", ".def", ".sql", ".gp", ".yaml", "CMakeLists.txt")
LEFTOVER = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b|^\s*#\s*if\s+0\b")
MACHINE_PATH = re.compile(
    r"(?<![\w.$})~*/-])/(home|Users|root|work|workspace|mnt|scratch)/[\w.-]+")


def tracked():
    """The files that git tracks; all when this is no checkout."""
    git = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=source.root(),
                         capture_output=True, check=False)
    known = set(git.stdout.decode().split("\0")) if git.returncode == 0 else None
    return [path for path in source.files() if known is None or path in known]


def check_lines(report, path):
    code = path.endswith(CODE) or path == ".ci/run"
    for number, line in enumerate(source.read(path).split("\n"), 1):
        found = LEFTOVER.search(line) if code else None
        if found:
            report.add(path, number, f"left-over '{found.group(0).strip()}'")
        found = MACHINE_PATH.search(line)
        if found:
            report.add(path, number, f"a path of one machine: {found.group(0)}")


def main():
    report = source.Report()
    for path in tracked():
        report.checked += 1
        top = path.split("/")[0]
        if top not in TOP and not top.startswith("."):
            report.add(path, 0, f"'{top}' is no entry of the top level")
        size = os.path.getsize(os.path.join(source.root(), path))
        most = BIGGER.get(path, BIGGEST)
        if size > most:
            report.add(path, 0, f"{size} bytes, more than {most}")
        if path.endswith(TEXT) or path == ".ci/run":
            check_lines(report, path)
        if path.endswith(source.C_SUFFIXES):
            lines = source.read(path).count("\n")
            if lines > LONGEST:
                report.add(path, LONGEST + 1, f"{lines} lines, more than {LONGEST}: split it")
    report.end("tree")


main()
