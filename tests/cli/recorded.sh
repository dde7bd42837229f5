#!/bin/sh
# recorded.sh MOESIM SOURCE: what real GPUs recorded is still read, and reads as it did.
set -u
moesim=$1 source=$2
for folder in "$source"/profiler/recorded/*/; do
    rm -rf raw.d got.txt
    mkdir raw.d
    gzip -dc "$folder/shipped.raw.gz" >raw.d/529.raw || exit 1
    "$moesim" profile decode raw.d -o shipped.db >said.txt 2>&1 || {
        cat said.txt
        exit 1
    }
    {
        sqlite3 shipped.db "SELECT stage, count(*), sum(end_ns - start_ns), count(graph_node) FROM kernel
            GROUP BY stage ORDER BY stage"
        sqlite3 shipped.db "SELECT direction, pinned, count(*), sum(bytes) FROM memop GROUP BY 1, 2
            ORDER BY 1, 2"
        sqlite3 shipped.db "SELECT 'outside of its range', count(*) FROM kernel k JOIN range r ON k.range = r.id
            WHERE k.start_ns < r.start_ns"
        sqlite3 shipped.db "SELECT 'overlapping', count(*) FROM kernel a JOIN kernel b ON a.stream = b.stream
            AND b.id = a.id + 1 WHERE b.start_ns < a.end_ns"
        sqlite3 shipped.db "SELECT 'api', count(*) FROM api UNION ALL SELECT 'range', count(*) FROM range
            UNION ALL SELECT 'step', count(*) FROM step UNION ALL SELECT 'lost', count(*) FROM loss"
    } >got.txt
    if [ -n "${MOE_UPDATE_GOLDEN:-}" ]; then
        cp got.txt "$folder/shipped.txt"
    fi
    diff -u "$folder/shipped.txt" got.txt || exit 1
    "$moesim" profile stats shipped.db --only stages >/dev/null || exit 1
    "$moesim" calibrate "$folder/table.csv" --only kind=copy \
        --device "$(sed -n 2p "$folder/table.csv" | cut -d, -f2)" --base server-h100 -o again.yaml \
        >/dev/null || exit 1
    [ -f "$folder/torch-trace.json.gz" ] || continue
    # What the PyTorch profiler recorded there: 60 kernels, as it said itself.
    rm -f torch.db
    "$moesim" profile import torch "$folder/torch-trace.json.gz" -o torch.db >/dev/null || exit 1
    kernels=$(sqlite3 torch.db "SELECT count(*) FROM kernel k JOIN api a USING(correlation)
        WHERE k.start_ns >= a.start_ns AND k.end_ns > k.start_ns")
    [ "$kernels" = 60 ] || {
        echo "$kernels kernels behind their launches in the trace of PyTorch, not 60"
        exit 1
    }
done
