# vllm_sample.sh PROGRAM SOURCE: the answers that ship are what their script makes of the sample, and
# hold its routing.
moesim=$1 samples=$2/traces/samples
command -v python3 >/dev/null || exit 77
python3 -B "$samples/vllm_answers.py" "$samples/quickstart.safetensors" 6 mistralai/Mixtral-8x7B-v0.1 \
    >made.jsonl
cmp made.jsonl "$samples/vllm.jsonl" || exit 1
"$moesim" trace import made.jsonl -o imported.safetensors >/dev/null || exit 1
"$moesim" trace export imported.safetensors --format csv -o imported.csv >/dev/null || exit 1
"$moesim" trace export "$samples/quickstart.safetensors" --format csv -o sample.csv >/dev/null || exit 1
rows() { tail -n +2 "$1" | cut -d, -f1-4 | awk -F, '$1 < 6' | sort; }
rows imported.csv >imported.rows
rows sample.csv >sample.rows
[ -s imported.rows ] && cmp imported.rows sample.rows
