"""What the lints share: the files of the tree, C code without its comments and strings, reports."""
import os
import re
import subprocess
import sys

C_SUFFIXES = (".c", ".h", ".cu", ".cuh", ".cc")
LIBRARIES = (
    "sim/base", "sim/core", "sim/policy", "sim/residency", "sim/machine",
    "models", "hw", "traces", "profiler", "analysis",
)


def root():
    """The source tree: the first argument, else the folder above tests/."""
    if len(sys.argv) > 1:
        return os.path.abspath(sys.argv[1])
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def files():
    """Paths of all files, relative to the root: those git knows or would take, else all."""
    git = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"],
        cwd=root(), capture_output=True, check=False)
    if git.returncode == 0:
        names = git.stdout.decode().split("\0")
        return sorted({n for n in names if n and os.path.isfile(os.path.join(root(), n))})
    found = []
    for folder, folders, names in os.walk(root()):
        folders[:] = [f for f in folders if f not in ("build", ".git", "__pycache__")]
        found += [os.path.relpath(os.path.join(folder, n), root()) for n in names]
    return sorted(found)


def c_files(folders=None):
    return [f for f in files() if f.endswith(C_SUFFIXES) and (folders is None or inside(f, folders))]


def inside(path, folders):
    return any(path.startswith(folder + "/") for folder in folders)


def read(path):
    """The text of a file; bytes that are not UTF-8 become U+FFFD."""
    with open(os.path.join(root(), path), encoding="utf-8", errors="replace") as file:
        return file.read()


TOKEN = re.compile(
    r'/\*.*?\*/|//[^\n]*|(?P<string>"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\')', re.DOTALL)


def code(text):
    """C text with comments and the insides of strings blanked; lines and columns stay."""
    def blank(match):
        token = match.group(0)
        if match.group("string"):
            return token[0] + " " * (len(token) - 2) + token[-1]
        return re.sub(r"[^\n]", " ", token)
    return TOKEN.sub(blank, text)


class Report:
    """Collects findings as file:line: message; `end` prints them and exits 1 if there are any."""

    def __init__(self):
        self.lines = []
        self.checked = 0

    def add(self, path, line, message):
        self.lines.append(f"{path}:{line}: {message}" if line else f"{path}: {message}")

    def end(self, what):
        for line in self.lines:
            print(line)
        if self.checked == 0:
            print(f"{what}: there was nothing to check")
            sys.exit(1)
        print(f"{what}: {self.checked} checked, {len(self.lines)} findings")
        sys.exit(1 if self.lines else 0)
