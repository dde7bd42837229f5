# Experts that are used in several rounds: what cannot be done with them yet.
cat >model.yaml <<'END'
name: rounds
hidden: 64
vocab: 100
stacks:
  - layers: 2
    attention: {heads: 4, head_dim: 16}
    moe: {experts: 4, top_k: 2, rounds: 2, width: 8}
END
cat >x.yaml <<'END'
model: model.yaml
hardware: server-h100
routing: {synthetic: {sequences: 1, prompt: 2, output: 2}}
END
echo "== in the device's memory"
"$moesim" check x.yaml | head -n 1
echo "== offloaded"
"$moesim" check x.yaml --set experts.home=dram 2>&1
echo "exit $?"
echo "== other sizes"
"$moesim" check x.yaml --set 'routing.transform=[{kind: mask, keep: 3}]' 2>&1
echo "exit $?"
rm model.yaml x.yaml
