# --set with keys and values that are not there.
cat >scenario.yaml <<'END'
name: a scenario that is right
model: mixtral-8x7b
hardware: desktop-rtx4090
precision: {experts: int4}
routing: {trace: traces/samples/quickstart.safetensors}
experts: {home: dram, cache: {capacity: 25%}}
END
for set in experts.cache.evikt=lru experts.cache.evict=lur experts.cache.capacity workload.batch=0 \
    "name=[" =3; do
    echo "== --set $set"
    "$moesim" check scenario.yaml --set "$set" 2>&1
    echo "exit $?"
done
echo "== --set written twice"
"$moesim" check scenario.yaml --set workload.batch=2 --set workload.batch=3 2>&1 | head -n 3
rm scenario.yaml
