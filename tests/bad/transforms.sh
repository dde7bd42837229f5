# What can be wrong about a transform, on the command line and in a scenario.
ln -s "$source/traces" traces # a short name: carets stand below it
sample=traces/samples/quickstart.safetensors
try()
{
    echo "== $1"
    shift
    "$moesim" trace transform "$@" -o out.safetensors 2>&1
    echo "exit $?"
}
try "no step" "$sample"
try "unknown kind" "$sample" --step '{kind: topk, k: 1}'
try "no kind" "$sample" --step '{k: 1}'
try "a key of another kind" "$sample" --step '{kind: anonymise, k: 1}'
try "a missing parameter" "$sample" --step '{kind: top-k}' --step sample
try "two mistakes" "$sample" --step '{kind: slice, layers: 0}' --step '[top-k]'
try "order of weight is not known" "$sample" --step '{kind: top-k, k: 1}'
try "no weights" "$sample" --step '{kind: threshold, least: 0.1}'
try "no logits" "$sample" --step '{kind: reroute, k: 4}'
try "no domain" "$sample" --step '{kind: mask, keep: 4, domain: code}'
try "keep nothing" "$sample" --step '{kind: mask}'
try "keep too many" "$sample" --step '{kind: mask, keep: 9}'
try "lost pairs" "$sample" --step '{kind: mask, keep: 4, lost: error}'
try "more real experts than there are" "$sample" --step '{kind: null-experts, real: 9}'
try "a slice beyond the end" "$sample" --step '{kind: slice, layer: 32}'
try "layers beyond the end" "$sample" --step '{kind: slice, layer: 31, layers: 5}'
try "sequences beyond the end" "$sample" --step '{kind: slice, sequence: 1, sequences: 16}'
try "nothing is left" "$sample" --step '{kind: slice, position: 1000}'
try "a file that is not there" "$sample" --step '{kind: mask, from: file, file: keep.csv}'
try "a file without end" "$sample" --step '{kind: mask, from: file, file: /dev/zero}' \
    --step '{kind: remap, file: /dev/zero}'
try "a file that is not read" "$sample" --step '{kind: mask, keep: 3, file: keep.csv}'
try "modalities" "$sample" --step modality-groups
try "more devices than experts" "$sample" --step '{kind: device-limit, devices: 9, limit: 1}'
try "where tokens meet" "$sample" --step capacity --step '{kind: precision, file: keep.csv}'
"$moesim" trace transform "$sample" -s '{kind: slice, layers: 4}' -o four.safetensors
try "layers that differ" "$sample" four.safetensors
try "a step that is wrong in a joined trace" "$sample" "$sample" --step '{kind: top-k, k: 1}'
rm four.safetensors
table()
{
    echo "== $1"
    printf "$2" >keep.csv
    "$moesim" trace transform "$sample" --step "$3" -o out.safetensors 2>&1
    echo "exit $?"
    rm keep.csv
}
keep='{kind: mask, from: file, file: keep.csv}'
map='{kind: remap, file: keep.csv}'
table "empty table" '' "$keep"
table "wrong header" 'layer,bits\n' "$keep"
table "too few columns" 'layer,expert\n3\n' "$keep"
table "unknown layer" 'layer,expert\n32,1\n' "$keep"
table "unknown expert" '# kept\nlayer,expert\n\n*,8\n' "$keep"
table "no numbers" 'layer,expert\na,1\n0,-1\n0,1.5\n' "$keep"
table "twice" 'layer,expert\n3,1\n*,1\n' "$keep"
table "a layer without experts" 'layer,expert\n3,1\n' "$keep"
table "an image that is no expert" 'layer,expert,to\n*,1,8\n*,2,0.5\n*,3,\n' "$map"
scenario()
{
    echo "== $1"
    cat >scenario.yaml <<END
model: mixtral-8x7b
hardware: desktop-rtx4090
precision: {experts: int4}
routing:
  trace: $sample
  transform:
    - $2
    - $3
END
    "$moesim" check scenario.yaml 2>&1
    echo "exit $?"
    rm scenario.yaml
}
scenario "in a scenario" '{kind: slice, sequences: 4}' '{kind: threshold, least: 0.1}'
scenario "rows after dispatch" '{kind: capacity, factor: 2}' '{kind: mask, keep: 4}'
scenario "weights at dispatch" '{kind: capacity, drop: weight}' expert-choice
scenario "logits at dispatch" '{kind: capacity, drop: random}' '{kind: expert-choice}'
scenario "rounds that are not equal" '{kind: rounds, rounds: 3}' '{kind: rounds, rounds: 2}'
scenario "rounds that the model has not" '{kind: slice, sequences: 9}' '{kind: rounds, rounds: 2}'
scenario "a table that is not there" '{kind: mask, keep: 4}' '{kind: precision, file: bits.csv}'
scenario "fewer layers than the model" '{kind: slice, layers: 4}' '{kind: sample, share: 10%}'
