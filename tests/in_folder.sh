#!/bin/sh
# in_folder.sh SCRIPT ARGUMENTS...: runs the script in a fresh folder that goes away afterwards.
# A failing script's folder is kept and named when MOE_KEEP is set.
folder=$(mktemp -d) || exit 1
script=$1
shift
(cd "$folder" && exec sh "$script" "$@" </dev/null)
status=$?
if [ $status != 0 ] && [ -n "${MOE_KEEP:-}" ]; then
    echo "kept: $folder"
else
    chmod -R u+rwX "$folder" 2>/dev/null
    rm -rf "$folder"
fi
exit $status
