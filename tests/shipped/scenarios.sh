# scenarios.sh PROGRAM SOURCE: every scenario that ships loads and is proved feasible (models and
# hardware beside them are loaded with them).
moesim=$1
status=0
n=0
for file in $(find "$2/scenarios" -name '*.yaml' ! -path '*/models/*' \
    ! -path '*/hardware/*' | sort); do
    n=$((n + 1))
    "$moesim" check "$file" >out 2>&1 || {
        status=1
        echo "== $file"
        cat out
    }
done
echo "$n scenarios"
[ $n -gt 0 ] && exit $status
