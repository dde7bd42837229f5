# The trace has other layers, experts or slots than the scenario's model.
command -v python3 >/dev/null || { echo "python3 is not here; skipped"; exit 77; }
cat >scenario.yaml <<'END'
name: another model's trace
model: mixtral-8x7b
hardware: desktop-rtx4090
precision: {experts: int4}
experts: {home: dram}
routing: {trace: other.safetensors}
END
for shape in "4 8 2" "32 16 2" "32 8 3"; do
    # shellcheck disable=SC2086
    python3 -B "$source/tests/bad/trace.py" other.safetensors none $shape
    echo "== layers, experts, k: $shape"
    "$moesim" check scenario.yaml 2>&1
    echo "exit $?"
done
rm scenario.yaml other.safetensors
