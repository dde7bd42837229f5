#!/bin/sh
# Output that cannot be written is an error; a reader that goes away is not worth a message.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
scenario small

for command in "list" "--help" "--version" "schema" "help" "check small.yaml" "run small.yaml"; do
    if [ -c /dev/full ]; then
        # shellcheck disable=SC2086
        "$moesim" $command >/dev/full 2>said
        code=$?
        if [ $code != 3 ] || ! grep -q "standard output: No space left" said; then
            echo "$command >/dev/full: exit $code"
            cat said
            failed=1
        fi
    fi
    # shellcheck disable=SC2086
    "$moesim" $command >&- 2>said
    code=$?
    [ $code = 3 ] || { echo "$command with standard output closed: exit $code"; failed=1; }
    # shellcheck disable=SC2086
    ("$moesim" $command 2>said; echo $? >code) | :
    case $(cat code) in
    0 | 141) ;;
    *) echo "$command into a pipe that nobody reads: exit $(cat code)"; failed=1 ;;
    esac
    [ -s said ] && { echo "$command into a pipe that nobody reads: $(cat said)"; failed=1; }
done

# The run was stored before its table could not be shown.
expect 0 "1 of them from before" "$moesim" run small.yaml
exit $failed
