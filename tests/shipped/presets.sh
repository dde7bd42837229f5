# presets.sh PROGRAM SOURCE: every preset that ships loads, and none is left out of the lists.
moesim=$1
status=0
for kind in models hw; do
    list=$kind
    [ $kind = hw ] && list=hardware
    "$moesim" list $list >listed 2>&1 || {
        status=1
        cat listed
    }
    "$moesim" list $list -v >described 2>&1 || {
        status=1
        cat described
    }
    for file in "$2/$kind"/presets/*.yaml; do
        name=$(basename "$file" .yaml)
        grep -q "^ *$name " listed || {
            status=1
            echo "$file: 'moesim list $list' does not name it"
        }
    done
    echo "$(wc -l <listed) $list"
done
exit $status
