# smallmoe_samples.sh PROGRAM SOURCE: the small model's traces that ship are, bit for bit, what their
# script makes of the model.
moesim=$1 samples=$2/traces/samples
sh "$samples/smallmoe.sh" "$moesim" made || exit 1
n=0
for made in made/*.safetensors; do
    n=$((n + 1))
    cmp "$made" "$samples/smallmoe/${made##*/}" || exit 1
done
[ $n -eq 8 ] && [ "$(ls "$samples/smallmoe" | wc -l)" -eq 8 ]
