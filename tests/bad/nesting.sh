# A hundred thousand lists in each other.
{
    printf 'name: '
    awk 'BEGIN { for (i = 0; i < 100000; i++) printf "["; for (i = 0; i < 100000; i++) printf "]" }'
    echo
} >deep.yaml
"$moesim" check deep.yaml
status=$?
rm deep.yaml
exit $status
