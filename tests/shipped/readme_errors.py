"""Compares the table of errors in README.md with hw/README.md, where `moesim validate` writes them.

A row behind the comment <!-- errors: … --> begins with a machine and a kind of measurements, and has some of the columns
that hw/README.md has of these, by the same names. MOE_UPDATE_GOLDEN=1 rewrites the numbers."""
import os
import re
import sys

BLOCK = re.compile(r"(<!-- errors: .*? -->\n\n)((?:\|.*\n)+)")


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def measured(text):
    """(machine, kind) -> {column: cell}, of all tables below '### MACHINE'."""
    found, machine, columns = {}, None, None
    for line in text.splitlines():
        if line.startswith("### "):
            machine = line[4:].strip()
        elif line.startswith("| | "):
            columns = cells(line)
        elif line.startswith("| ") and machine and columns:
            row = cells(line)
            found[machine, row[0]] = dict(zip(columns, row))
    return found


def main():
    source = sys.argv[1]
    path = os.path.join(source, "README.md")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(os.path.join(source, "hw/README.md"), encoding="utf-8") as file:
        known = measured(file.read())
    begin, table = BLOCK.search(text).groups()
    lines = table.splitlines()
    columns = cells(lines[0])
    wanted, unknown = lines[:2], 0
    for line in lines[2:]:
        machine, kind = cells(line)[:2]
        row = known.get((machine, kind))
        if row is None:
            print(f"hw/README.md has no '{kind}' of {machine}")
            unknown += 1
            continue
        shown = [machine, kind] + [row.get(column, "") for column in columns[2:]]
        wanted.append("|" + "".join(f" {cell} |" if cell else " |" for cell in shown))
    now = "".join(line + "\n" for line in wanted)
    print(f"{len(wanted) - 2} rows compared, {unknown} unknown")
    if os.environ.get("MOE_UPDATE_GOLDEN") == "1" and not unknown:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(begin + table, begin + now))
    elif now != table:
        print(f"README.md shows\n{table}hw/README.md has\n{now}")
        unknown += 1
    sys.exit(1 if unknown or len(wanted) == 2 else 0)


main()
