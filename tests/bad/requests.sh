# Every way in which requests can be wrong; nothing is written.
try()
{
    echo "== $1"
    printf "$3" >requests.txt
    "$moesim" trace import $2 requests.txt -o requests.safetensors 2>&1
    echo "exit $?"
    [ -e requests.safetensors ] && echo "requests.safetensors was written"
    rm -f requests.txt requests.safetensors
}
azure='TIMESTAMP,ContextTokens,GeneratedTokens\n'
try "no time" "" "$azure,1,2\n"
try "no such day" "" "${azure}2023-02-29 00:00:00,1,2\n"
try "a year that is too early" "" "${azure}1600-01-01 00:00:00,1,2\n"
try "a year that is too late" "" "${azure}10000-01-01 00:00:00,1,2\n"
try "times fall" "" "${azure}2023-02-28 00:00:02,1,2\n2023-02-28 00:00:00.75,1,2\n"
try "negative, NaN, missing, fraction" "" "${azure}2023-02-28 00:00:02,-1,2\n2023-02-28 00:00:02,NaN,2\n2023-02-28 00:00:02,1,\n2023-02-28 00:00:02,1.5,2\n"
try "too large" "" "${azure}2023-02-28 00:00:02,1,18446744073709551617\n"
try "ragged" "" "${azure}2023-02-28 00:00:02,1\n2023-02-28 00:00:02,1,2,3\n"
try "open quote" "" "${azure}\"2023-02-28 00:00:02,1,2\n"
try "blank line" "" "${azure}2023-02-28 00:00:02,1,2\n\n2023-02-28 00:00:02,1,2\n"
try "header alone" "" "$azure"
try "misspelt column" "--format azure" "TIMESTAMP,ContextToken,GeneratedTokens\n2023-02-28 00:00:02,1,2\n"
try "no header" "--format azure" "2023-02-28 00:00:02,1,2\n"
try "wrong format" "--format mooncake" "${azure}2023-02-28 00:00:02,1,2\n"
burstgpt='Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n'
try "only failed requests" "" "${burstgpt}5,GPT-4,1,0,1,API log\n"
try "seconds" "" "${burstgpt}-5,GPT-4,1,2,3,API log\ninf,GPT-4,1,2,3,API log\n1e12,GPT-4,1,2,3,API log\n"
plain='arrival_s,prompt,output,blocks_of_16\n'
try "two times" "" "arrival_s,arrival_ms,prompt,output\n1,1,1,1\n"
try "blocks" "" "${plain}1,17,1,4\n1,17,1,4 x\n1,16,1,18446744073709551616\n"
try "hash ids" "" '{"timestamp": 0, "input_length": 1025, "output_length": 2, "hash_ids": [1, 2]}\n{"timestamp": 0, "input_length": 1, "output_length": 2, "hash_ids": [-1]}\n'
try "missing key" "--format mooncake" '{"timestamp": 0, "input_length": 1025}\n'
try "time in quotes" "--format mooncake" '{"timestamp": "1", "input_length": 1, "output_length": 1}\n'
try "cut short" "--format mooncake" '{"timestamp": 0, "input_length": 1, "output_len'
try "agentic sessions" "--format llmservingsim" '{"session_id": "s0", "arrival_time_ns": 1, "sub_requests": [{"input_toks": 2}]}\n'
