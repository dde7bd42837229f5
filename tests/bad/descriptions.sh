# Descriptions of routing that cannot be.
try()
{
    echo "== $1"
    cat >x.yaml
    "$moesim" trace synth x.yaml -o x.safetensors 2>&1
    echo "exit $?"
    rm -f x.yaml x.safetensors
}
try "unknown keys, values out of range" <<'END'
layers: 0
expert: 4
stickiness: 120%
hidden: {components: [{last: 3}]}
END
try "more chosen than there are" <<'END'
layers: 2
experts: 4
top_k: 5
END
try "as many routers as layers" <<'END'
layers: 3
experts: 4
router: [{skew: 1}, {skew: 0.5}]
END
try "numbers for each expert" <<'END'
layers: 2
experts: 4
hidden: {components: [{lasts: 10, rank: 2}]}
router:
- {bias: 0 1 2, noise: 10 10 x 10}
- {bias: 0 1 2 3, loadings: 1 2 3 4, pairs: 1 1}
END
try "biases for all layers or for none" <<'END'
layers: 2
experts: 4
router: [{bias: 0 1 2 3}, {skew: 1}]
END
try "openings" <<'END'
layers: 2
experts: 4
opening: [{experts: 0 1 2}, {experts: 0 0 2 3}, {experts: 0 1 2 9}, {experts: 0 1 2 3 0}]
END
try "domains beside a hidden state" <<'END'
layers: 2
experts: 4
domains: 3
hidden: {components: [{lasts: 10}]}
END
try "too many numbers" <<'END'
layers: 2
experts: 4
hidden: {components: [{rank: 4000}, {rank: 97}]}
END
try "too large for a hidden state"  <<'END'
layers: 4096
experts: 60000
hidden: {components: [{rank: 4}]}
END
try "no tokens" <<'END'
prompt: 0
output: 0
END
try "not a map" <<'END'
- layers
END
echo "== nothing to fit"
"$moesim" trace sample -o sample.safetensors
"$moesim" trace fit sample.safetensors --sequences 0..1 -o fitted.yaml 2>&1
echo "exit $?"
"$moesim" trace fit sample.safetensors 2>&1
echo "exit $?"
echo "== different shapes"
printf 'layers: 2\nexperts: 4\nlookahead: 0\n' >small.yaml
"$moesim" trace synth small.yaml -o small.safetensors
"$moesim" trace compare sample.safetensors small.safetensors 2>&1
echo "exit $?"
