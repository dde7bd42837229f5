# domain_loss.sh PROGRAM: the load-balance losses of a batch of micro-batches (arXiv 2501.11873) on a
# trace that mixes four domains, with answers known by hand. Layer 0: domain d uses experts 4d .. 4d+3
# of 16, all alike, so that within a sequence f = p = 1/4 on four experts and 16 x 4/16 = 4, while
# over the batch all experts are alike and the loss is 1. Layer 1: each sequence uses all 16: 1 and 1.
moesim=$1
status=0

awk 'BEGIN {
    print "seq,pos,layer,experts,weights"
    for (s = 0; s < 8; s++)
        for (t = 0; t < 64; t++)
            for (l = 0; l < 2; l++) {
                group = l == 0 ? s % 4 : int(t / 4) % 4
                printf "%d,%d,%d,%d %d,0.5 0.5\n", s, t, l, 4 * group + t % 4, 4 * group + (t + 1) % 4
            }
}' >mixed.csv
"$moesim" trace import mixed.csv -o mixed.safetensors >out 2>&1 || { cat out; exit 1; }
"$moesim" trace stats --only gate --csv mixed.safetensors 2>notes | grep '^loss_' >got
cat >want <<'END'
loss_micro,0,,4
loss_global,0,,1
loss_micro,1,,1
loss_global,1,,1
loss_micro,,,2.5
loss_global,,,1
END
diff -u want got || status=1

# One domain alone has the loss of its sequences, however many of them there are.
"$moesim" trace stats --only gate --csv --sequences 0,4 mixed.safetensors 2>notes | grep ',0,,' >got
grep -q '^loss_micro,0,,4$' got && grep -q '^loss_global,0,,4$' got || {
    echo "one domain:"
    cat got
    status=1
}
exit $status
