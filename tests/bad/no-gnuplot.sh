# Without gnuplot everything but the figure comes out, and one line says why.
cat >scenario.yaml <<'END'
name: a scenario with a figure
model: mixtral-8x7b
hardware: desktop-rtx4090
precision: {experts: int4}
routing: {trace: traces/samples/quickstart.safetensors}
workload: {requests: 1, prompt: 0, output: 2}
experts: {home: dram, cache: {capacity: 25%}}
sweep: {experts.cache.evict: [lru, lfu]}
plot: [{x: experts.cache.evict, y: decode_tokens_per_s, file: figure.pdf}]
END
PATH=/nowhere "$moesim" run -q scenario.yaml -o out.db
echo "run: exit $?"
PATH=/nowhere "$moesim" plot out.db scenario.yaml
echo "plot: exit $?"
rm scenario.yaml out.db*
