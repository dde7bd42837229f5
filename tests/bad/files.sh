# Files that are absent, folders, or not to be read or written: exit 3, one line with the path.
ok()
{
    cat <<END
name: a scenario that is right
model: mixtral-8x7b
hardware: desktop-rtx4090
precision: {experts: int4}
routing: {trace: $1}
workload: {requests: 1, prompt: 0, output: 2}
experts: {home: dram, cache: {capacity: 25%}}
END
}
try()
{
    echo "== $1"
    shift
    "$moesim" "$@" 2>&1
    echo "exit $?"
}
trace=traces/samples/quickstart.safetensors
ok $trace >scenario.yaml
mkdir folder folder.yaml readonly
try "no such scenario" run absent.yaml
try "a folder as scenario" run folder.yaml
try "no such trace" trace info absent.safetensors
try "a folder as trace" trace info folder
ok absent.safetensors >missing.yaml
try "no such trace in a scenario" check missing.yaml
try "database in a folder that is not there" run -q scenario.yaml -o nowhere/out.db
try "a folder as database" run -q scenario.yaml -o folder
echo "this is no database, but some text that is longer than a header of SQLite's would be." >text.db
try "a text as database" run -q scenario.yaml -o text.db
try "plot of a database that is not there" plot absent.db scenario.yaml
printf 'seq,pos,layer,experts\n0,0,0,1 2\n' >routing.csv
try "import into a folder that is not there" trace import routing.csv -o nowhere/x.safetensors
try "import onto a full disk" trace import routing.csv -o /dev/full
if [ "$(id -u)" != 0 ]; then
    chmod a-w readonly
    "$moesim" run -q scenario.yaml -o readonly/out.db >/dev/null 2>&1
    [ $? = 3 ] || echo "a read-only folder did not give exit 3"
    chmod u+w readonly
fi
rm -r folder folder.yaml readonly scenario.yaml missing.yaml text.db routing.csv
