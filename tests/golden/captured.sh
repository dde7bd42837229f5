# Steps as the trace has them: sequences that join each other, a prompt in two chunks beside decoded
# tokens, and what is reported of such mixed steps.
awk 'BEGIN {
    split("0:0:0:prefill 0:1:0:prefill 0:2:1:decode 1:0:1:prefill 1:1:1:prefill 0:3:2:decode " \
          "1:2:2:prefill 1:3:3:decode 1:4:4:decode 2:0:4:prefill 1:5:5:decode 2:1:5:decode", tokens, " ")
    for (t = 1; t <= 12; t++) {
        split(tokens[t], at, ":")
        for (layer = 0; layer < 32; layer++) {
            mixed = (t * t * (layer + 3) * 37 + layer * 11) % 61
            printf "{\"req_id\":%d,\"token_idx\":%d,\"layer\":%d,\"topk_ids\":[%d,%d],\"step\":%d,\"phase\":\"%s\"}\n",
                at[1], at[2], layer, mixed % 8, (mixed + 1 + layer % 7) % 8, at[3], at[4]
        }
    }
}' >steps.jsonl
"$moesim" trace import steps.jsonl -o steps.safetensors >/dev/null || exit
rm steps.jsonl
cat >captured.yaml <<END
name: as captured
model: mixtral-8x7b
hardware: desktop-rtx4090
precision: {experts: int4}
routing: {trace: steps.safetensors}
batching: as-captured
store: all
experts: {home: dram, cache: {capacity: 37.5%}}
sweep:
  experts.cache.evict: [lru, belady]
  workload.warmup: [0, 1]
END
"$moesim" run -o captured.db --no-plot captured.yaml
echo "steps: number, kind, tokens; requests: number, prompt, output; then some times"
python3 - <<'END'
import sqlite3
db = sqlite3.connect("captured.db")
for table, columns in ("step", "step, phase, tokens"), ("request", "request, prompt, output"):
    print(*db.execute(f"select distinct {columns} from {table} order by 1"))
for name in "decode_tokens_per_s", "tokens_per_s", "prefill_tokens_per_s", "ttft_mean_s", "itl_p50_s":
    print(name, *(f"{value:.6g}" for value, in
          db.execute("select value from metric where name = ? order by value", (name,))))
END
"$moesim" explain captured.yaml --set experts.cache.evict=lru --set workload.warmup=0 --step 1 | head -n 12
rm captured.yaml captured.db steps.safetensors
