#!/bin/sh
# Request traces come in by content or by name, are described, and leave nothing behind on failure.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"

cat >azure.csv <<END
TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 23:59:59.5000000,100,10
2023-11-17 00:00:00.0000000,200,20
2023-11-17 00:00:01.5000000,300,0
2023-11-17 00:00:02.5000000,300,30
END
expect 0 "1 requests without output (failed) dropped, the first in azure.csv:4" \
    "$moesim" trace import --force azure.csv -o azure.safetensors --licence MIT
info=$("$moesim" trace info azure.safetensors)
[ "$info" = "trace        azure.safetensors
requests     3 over 3.00 s
first        2023-11-16 23:59:59.500000000
rate         0.6667 per s; gaps: mean 1.50 s, cv 0.667
prompt       mean 200.0, p50 200, p90 300, p99 300, max 300; 600 tokens
output       mean 20.0, p50 20, p90 30, p99 30, max 30; 60 tokens
prefixes     not known
licence      MIT" ] || { echo "$info"; failed=1; }

gzip -k azure.csv
expect 0 "again.safetensors written" "$moesim" trace import --force --format azure azure.csv.gz \
    -o again.safetensors --licence MIT
cmp azure.safetensors again.safetensors || failed=1

tac azure.csv | sed '$d' | { head -n 1 azure.csv; cat; } >late.csv
expect 1 "late.csv:4: error: arrives 2.5 s before" "$moesim" trace import --force late.csv -o late.safetensors
[ -e late.safetensors ] && { echo "late.safetensors was made"; failed=1; }
expect 0 "sorted by time" "$moesim" trace import --force --sort late.csv -o late.safetensors --licence MIT
cmp azure.safetensors late.safetensors || failed=1

# Out and in again: the same bytes.
printf 'Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n' >burst.csv
printf '5.25,a,1,"GPT-4, turbo",10,20,30,x\n7,b,1,ChatGPT,11,21,32,x\n7,a,1,,12,22,34,x\n' >>burst.csv
printf '{"timestamp": 3, "input_length": 600, "output_length": 5, "hash_ids": [70, 9]}\n' >mooncake.jsonl
printf '{"timestamp": 4, "input_length": 513, "output_length": 6, "hash_ids": [70, 8]}\n' >>mooncake.jsonl
for file in azure.csv burst.csv mooncake.jsonl; do
    "$moesim" trace import --force "$file" -o one.safetensors >/dev/null || failed=1
    expect 0 "one.csv written" "$moesim" trace export --force one.safetensors -o one.csv
    "$moesim" trace import --force one.csv -o two.safetensors >/dev/null || failed=1
    cmp one.safetensors two.safetensors || { echo "$file is another after export"; failed=1; }
done
expect 2 "holds requests, which jsonl cannot; csv can" \
    "$moesim" trace export --force one.safetensors -o one.jsonl
if [ -c /dev/full ]; then
    expect 3 "/dev/full" "$moesim" trace export --force --format csv one.safetensors -o /dev/full
fi

expect 1 "no routing trace: metadata 'format' is 'moesim-requests'" \
    "$moesim" trace mrc azure.safetensors --slots 2
expect 0 "mooncake" "$moesim" list importers
if [ -c /dev/full ]; then
    expect 3 "/dev/full" "$moesim" trace import --force azure.csv -o /dev/full
fi
exit $failed
