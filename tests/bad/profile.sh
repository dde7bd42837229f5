# What is wrong with profiles, raw logs and other tools' files; nothing is written then.
try()
{
    echo "== $1"
    shift
    "$moesim" profile "$@" 2>&1
    echo "exit $?"
}
mkdir run.d other.d
printf 'MOERAW1\nMCHK\001\000\000\000\377\377\377\377\000\000\000\000' >other.d/12.raw
printf 'no log' >other.d/13.raw
printf '{"traceEvents": [{"ph": "X", "cat": "kernel", "ts": 1,\n "dur": oops}]}' >bad.json
printf '{"events": []}' >other.json
printf 'SQLite format 3\000damaged' >bad.sqlite
printf 'nsys' >report.nsys-rep
printf '' >empty
: >taken.db
try "no command"
try "no folder" decode absent.d -o x.db
try "no output" decode run.d
try "output exists" decode run.d -o taken.db
try "output folder absent" decode run.d -o absent/x.db
try "trace exists" decode run.d -o x.db --trace taken.db
try "folder without logs" decode run.d -o x.db
try "what it says" info x.db
try "damaged logs" decode other.d -o y.db
try "what they say" info y.db
try "neither nsys nor torch" import perfetto bad.json -o z.db
try "one operand" import torch -o z.db
try "damaged trace" import torch bad.json -o z.db
try "no trace" import torch other.json -o z.db
try "empty trace" import torch empty -o z.db
try "absent trace" import torch absent.json -o z.db
try "the input itself" import torch bad.json -o bad.json
try "a report" import nsys report.nsys-rep -o z.db
try "damaged database" import nsys bad.sqlite -o z.db
try "another database" import nsys x.db -o z.db
try "absent database" import nsys absent.sqlite -o z.db
try "info of no profile" info bad.sqlite
try "info of nothing" info absent.db
try "info of a text" info report.nsys-rep
ls
