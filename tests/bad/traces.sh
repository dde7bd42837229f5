# Every way in which a trace can be wrong: one message each, which says where.
command -v python3 >/dev/null || { echo "python3 is not here; skipped"; exit 77; }
for fault in none truncated overlapping oversized duplicate trailing negative shape-overflow dtype \
    not-json header-too-long header-past-end five-bytes empty \
    expert-out-of-range expert-twice slot-after-empty phase position-twice shape missing-tensor \
    no-format version layer-ids absent-used absent-layers absent-order absent-range; do
    python3 -B "$source/tests/bad/trace.py" "$fault.safetensors" "$fault"
    echo "== $fault"
    "$moesim" trace info "$fault.safetensors" >out 2>&1
    status=$?
    [ $fault = none ] || cat out
    echo "exit $status"
    rm "$fault.safetensors" out
done
