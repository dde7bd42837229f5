#!/bin/sh
# compare.sh PROGRAM SOURCE CASE EXPECTED: runs a case in the current, empty folder and compares
# its output, exit code and what it left behind with the file EXPECTED.
#
# A case is a scenario, CASE.yaml, run as `moesim run CASE.yaml`; a line `# moesim: ARGUMENTS`
# in it says otherwise. Or it is a script, CASE.sh, which finds the program in $moesim and the
# source tree in $source. MOE_UPDATE_GOLDEN=1 writes EXPECTED instead.
#
# The compared text: what came out on stdout, then on stderr below a line `stderr:`, then the
# exit code when it is not 0 (77: skipped), then the names of files that the case made. Paths below the source
# tree are shown relative to it. Results go to out.db, which is not listed when `run` succeeds.
set -u
moesim=$1
source=$2
case=$3
expected=$4
export moesim source LC_ALL=C
unset MOESIM_DATA

name=$(basename "$case")
mkdir run && cd run || exit 1
cp "$case" "$name" || exit 1

case $name in
*.sh)
    sh "./$name" >../stdout 2>../stderr
    status=$?
    if [ $status = 77 ]; then
        cat ../stdout
        exit 77
    fi
    ;;
*)
    arguments=$(sed -n 's/^# moesim: //p' "$name" | head -n 1)
    # shellcheck disable=SC2086
    "$moesim" ${arguments:-run $name} >../stdout 2>../stderr
    status=$?
    ;;
esac

relative="s|$(cd "$source" && pwd)/||g"
{
    sed "$relative" ../stdout
    if [ -s ../stderr ]; then
        echo "stderr:"
        sed "$relative" ../stderr
    fi
    [ $status = 0 ] || echo "exit $status"
    find . -type f ! -name "$name" ! -name 'out.db*' | sort | sed 's|^\./|left: |'
    if [ $status != 0 ] && [ $status != 4 ] && [ -e out.db ]; then
        echo "left: out.db"
    fi
} >../actual

if [ "${MOE_UPDATE_GOLDEN:-}" = 1 ]; then
    cp ../actual "$expected"
    echo "wrote $expected"
    exit 0
fi
if [ ! -f "$expected" ]; then
    echo "$expected is absent; MOE_UPDATE_GOLDEN=1 writes it. The output was:"
    cat ../actual
    exit 1
fi
if ! diff -u "$expected" ../actual; then
    echo "(- expected, + now; when the change is wanted: MOE_UPDATE_GOLDEN=1)"
    exit 1
fi
