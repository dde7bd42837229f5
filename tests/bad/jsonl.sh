# What a file of JSON lines, or a bare stream of ids, can have wrong; nothing is written.
try()
{
    echo "== $1"
    printf "$2" >routing.jsonl
    shift 2
    "$moesim" trace import routing.jsonl "$@" -o routing.safetensors 2>&1
    echo "exit $?"
    rm routing.jsonl
}
token='{"req_id":0,"token_idx":0,"layer":0,"topk_ids":[1,2]}\n{"req_id":0,"token_idx":0,"layer":1,"topk_ids":[3,2]}\n'
try "wrong format for the flag" "$token" --format csv
try "cut line" "$token"'{"req_id":0,"token_idx":1,"la\n'
try "layers of a step hold different tokens" "$token"'{"req_id":0,"token_idx":1,"layer":0,"topk_ids":[1,2]}\n'
try "weights without ids" '{"req_id":0,"token_idx":0,"layer":0,"topk_weights":[0.5,0.5]}\n'
try "a token twice" "$token$token"
try "an expert twice" '{"req_id":0,"token_idx":0,"layer":0,"topk_ids":[1,0,0]}\n'
try "beyond the model" '{"req_id":0,"token_idx":0,"layer":0,"topk_ids":[1,32]}\n' --model gpt-oss-20b
try "more experts than the model routes to" '{"req_id":0,"token_idx":0,"layer":0,"topk_ids":[1,2,3,4,5]}\n' --model gpt-oss-20b
try "more than the model has" '{"req_id":0,"token_idx":0,"layer":40,"topk_ids":[1]}\n' --model gpt-oss-20b
try "beyond --experts" "$token" --experts 3
printf "$token" >a.jsonl
printf '{"req_id":1,"token_idx":0,"layer":0,"topk_ids":[1]}\n' >b.jsonl
echo "== mixed models"
"$moesim" trace import a.jsonl b.jsonl -o routing.safetensors 2>&1
echo "exit $?"
try "raw: shape not said" '12345678' --format raw-u32
try "raw: does not divide" '12345678' --format raw-u32 --layers 1 --top-k 3 --experts 8
try "raw: beyond the experts" '1234' --format raw-u32 --layers 1 --top-k 1 --experts 8
try "raw: large ids" '\377\377\377\377\376\377\377\377' --format raw-u32 --layers 1 --top-k 2 --experts 8
try "raw: a format that is known" "$token" --format raw-u32 --layers 1 --top-k 1 --experts 8
ls
