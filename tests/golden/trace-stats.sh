# Everything that is measured of two sequences of the sample, and the statistics there are.
cd "$source" || exit 1
"$moesim" trace stats traces/samples/quickstart.safetensors --sequences 2..4
"$moesim" trace stats traces/samples/quickstart.safetensors --sequences 2..4 --csv \
    --only popularity,reuse,lookahead 2>/dev/null | grep -E '^[a-z_]*,(0|31|),'
"$moesim" list statistics -v
