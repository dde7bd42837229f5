"""The content of a result database as text, but for when and where it was made."""
import sqlite3
import sys

database = sqlite3.connect(sys.argv[1])
assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
tables = [row[0] for row in database.execute(
    "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
for table in tables:
    print(table)
    names = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    columns = [name for name in names if (table, name) not in {("run", "host"), ("run", "wall_s")}]
    for row in database.execute(f"SELECT {', '.join(columns)} FROM {table}"):
        print("   ", *row)
