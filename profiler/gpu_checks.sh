#!/bin/sh
# Everything that only a GPU can tell, in one command of at most eight minutes: builds, runs the
# tests labelled gpu, measures, captures, executes offloading, counts, calibrates, and writes one
# archive that is unpacked into profiler/recorded/GPU and committed.
#
#   sh profiler/gpu_checks.sh [--build DIR] [--out FILE.tar.gz] [--seconds N] [--only STEP,…]
#   sh profiler/gpu_checks.sh --pack FILE.tar.xz [--build DIR]
#
# A step that fails is noted and the next one runs: the first run on a GPU should tell the most.
# Nothing is fetched. Without --build it builds in build/release; a machine that lacks what building
# needs (GLib's headers …) gets a pack that another machine made: unpack it anywhere and name the
# folder as --build. A pack holds the programs and the libraries that they want.
set -u
source=$(cd "$(dirname "$0")/.." && pwd)
script=$source/profiler/gpu_checks.sh

# ---- the steps: functions, each run by this script as `--step NAME` ----

# The gpu tests as lines "name<TAB>words", the build and source folders written @BUILD@ and @SOURCE@.
list_tests()
{
    (cd "$build" && ctest -L gpu --show-only=json-v1) | python3 -c '
import json, sys
build, source = sys.argv[1:]
for test in json.load(sys.stdin)["tests"]:
    environment = [e for p in test.get("properties", []) if p["name"] == "ENVIRONMENT"
                   for e in p["value"]]
    words = (["env"] + environment if environment else []) + test["command"]
    print(test["name"], *(w.replace(build, "@BUILD@").replace(source, "@SOURCE@") for w in words),
          sep="\t")' "$build" "$source"
}

device()
{
    nvidia-smi || echo "no nvidia-smi"
    nvidia-smi -q -d CLOCK,POWER,MEMORY,ECC 2>/dev/null
    grep -s . /proc/driver/nvidia/version /proc/driver/nvidia/params
    lscpu | sed -n '1,25p'
    free -g
    "$moesim" --version
    "$moesim" capture --check
}

# The tests, each for itself: one that hangs does not take the others with it.
gpu_tests()
{
    if [ -f "$build/gpu_tests.txt" ]; then
        cat "$build/gpu_tests.txt"
    else
        list_tests
    fi >tests.txt
    failed=0
    tab=$(printf '\t')
    while IFS= read -r line; do
        name=${line%%"$tab"*}
        printf '%s' "${line#*"$tab"}" | sed "s|@BUILD@|$build|g; s|@SOURCE@|$source|g" |
            tr '\t' '\0' >words
        echo "== $name"
        timeout -k 5 90 xargs -0 -a words env </dev/null 2>&1
        status=$?
        echo "== $name: $status"
        case $status in 0 | 77) ;; *) failed=1 ;; esac
    done <tests.txt
    [ -s tests.txt ] && return $failed
    echo "no gpu tests in $build"
    return 1
}

# Ids of so many sequences of so many tokens, below 30000.
make_ids()
{
    awk -v n="$1" -v length_="$2" 'BEGIN {
        x = 12345
        for (s = 0; s < n; s++) {
            printf "{\"ids\":["
            for (i = 0; i < length_; i++) {
                x = (x * 1103515245 + 12345) % 2147483648
                printf "%s%d", i ? "," : "", 3 + int(x / 65536) % 29000
            }
            print "]}"
        }
    }'
}

checkpoints()
{
    for shape in olmoe mixtral deepseek; do
        python3 "$source/tests/bench/gpu/checkpoint.py" $shape "$big/$shape" || return 1
    done
    ls -l "$big"/*/model.safetensors
    make_ids 8 512 >ids512.jsonl
    make_ids 1 32 >ids1.jsonl
    make_ids 64 64 >ids64.jsonl
}

bench()
{
    "$(find "$build" -name moesim_gpu_bench -type f | head -n 1)" --seconds 0.1 --out "$keep/table.csv"
}

# The shipped model, recorded in every way; all files are small.
capture_shipped()
{
    "$moesim" capture -o shipped --keep-raw -- "$moesim" capture --force -m "$source/profiler/smallmoe" \
        -t "$source/profiler/smallmoe/prompts/mixed.ids.jsonl" --decode 8 --batch 7 --lookahead 2 \
        --ignore-end --backend cuda --times -o shipped-trace || return 1
    "$moesim" profile info shipped.db
    "$moesim" profile stats shipped.db
    cp -r shipped.d shipped.db shipped-trace.safetensors "$keep/"
}

# The same run with every set of kinds in turn; a run tells its own tokens per second. Decode steps
# are of 8 ms and more (64 sequences) and of half a millisecond (one).
overhead()
{
    for round in 1 2 3; do
        for kinds in none nvtx nvtx,route,kernel:graph nvtx,kernel:node kernel,memop,api,nvtx,route:node; do
            for run in ids64:64:64 ids1:1:512; do
                ids=${run%%:*} batch=${run#*:}
                decode=${batch#*:} batch=${batch%:*}
                set -- "$moesim" capture --force -m "$big/deepseek" -t "$ids.jsonl" --batch "$batch" --decode \
                    "$decode" --ignore-end --lookahead 0 --backend cuda --dry-run
                how=${kinds##*:}
                [ "$how" = "$kinds" ] && how=node
                [ "$kinds" = none ] || set -- "$moesim" capture -f -o overhead --trace="${kinds%:*}" \
                    --graph="$how" -- "$@"
                "$@" >said.txt 2>&1 || {
                    cat said.txt
                    return 1
                }
                grep 'records lost' said.txt
                sed -n 's|.*prompt tokens, \([0-9.e+]*\) tokens/s; .* decoded, \([0-9.e+]*\) tokens/s.*|\1 \2|p' said.txt |
                    sed "s/^/$kinds $ids /" >>rates.txt
            done
        done
    done
    # Medians: kinds, run, prefill and decode tokens/s, each against nothing recorded.
    sort rates.txt | awk '
        function median(list, n,   i, j, x) {
            for (i = 2; i <= n; i++)
                for (j = i; j > 1 && list[j - 1] > list[j]; j--) {
                    x = list[j]; list[j] = list[j - 1]; list[j - 1] = x
                }
            return list[int((n + 1) / 2)]
        }
        { key = $1 "\t" $2; n[key]++; prefill[key, n[key]] = $3; decode[key, n[key]] = $4 }
        END {
            print "kinds\trun\tprefill tokens/s\tdecode tokens/s"
            for (key in n) {
                for (i = 1; i <= n[key]; i++) { a[i] = prefill[key, i] + 0; b[i] = decode[key, i] + 0 }
                printf "%s\t%g\t%g\n", key, median(a, n[key]), median(b, n[key])
            }
        }' | tee "$keep/overhead.tsv"
    cp rates.txt "$keep/overhead-all.txt"
}

# Steps of several kinds of the large shapes, with the times of their stages: what the calibration
# is held against, since it has seen none of them.
capture_large()
{
    for shape in olmoe mixtral deepseek; do
        for run in ids512:1:64 ids64:64:32 ids1:1:64; do
            ids=${run%%:*} batch=${run#*:}
            decode=${batch#*:} batch=${batch%:*}
            "$moesim" capture --force -m "$big/$shape" -t "$ids.jsonl" --batch "$batch" --chunk 512 \
                --decode "$decode" --ignore-end --lookahead 1 --backend cuda --times \
                -o "$shape-$ids" || return 1
            cp "$shape-$ids.safetensors" "$keep/"
        done
    done
}

# Whose kernels take the time: one profile of each shape.
profile_large()
{
    for shape in olmoe mixtral deepseek; do
        "$moesim" capture -f -o "profile-$shape" --trace=kernel,memop,nvtx -- \
            "$moesim" capture --force -m "$big/$shape" -t ids64.jsonl --batch 64 --decode 8 --ignore-end \
            --lookahead 0 --backend cuda -o "profile-$shape-trace" || return 1
        "$moesim" profile stats "profile-$shape.db" || return 1
        gzip -9 <"profile-$shape.db" >"$keep/profile-$shape.db.gz"
    done
}

# Every policy at three capacities; the logs replay in the simulator. Then layers of published
# shapes, whose experts come from pinned memory of the host.
offload()
{
    small=$source/profiler/smallmoe
    "$moesim" capture --force -m "$small" -t "$small/prompts/mixed.ids.jsonl" --decode 16 --batch 7 \
        --lookahead 2 --ignore-end --backend cuda -o own >/dev/null || return 1
    status=0
    for evict in lru fifo lfu arc s3fifo sieve belady static; do
        for capacity in 12.5% 25% 50%; do
            for prefetch in none next-layer; do
                echo "== $evict $capacity $prefetch"
                "$moesim" capture --force -m "$small" --follow own.safetensors --batch 7 --lookahead 2 \
                    --offload "$capacity" --offload-home dram --evict $evict --prefetch $prefetch \
                    --backend cuda --dry-run --decisions run.log >run.txt &&
                    "$moesim" trace replay run.log own.safetensors >>run.txt || status=1
                tail -n 5 run.txt
            done
        done
    done
    for shape in mixtral olmoe; do
        for home in dram disk; do
            for capacity in 25% 50%; do
                [ $home$capacity = disk50% ] && continue
                for prefetch in none next-layer; do
                    echo "== $shape $home $capacity $prefetch"
                    "$moesim" capture --force -m "$big/$shape" -t ids1.jsonl --decode 16 --ignore-end \
                        --lookahead 1 --offload $capacity --offload-home $home --scope layer \
                        --prefetch $prefetch --backend cuda --times -o "offload-$shape" || status=1
                    cp "offload-$shape.safetensors" \
                        "$keep/offload-$shape-$home-${capacity%\%}-$prefetch.safetensors"
                done
            done
        done
    done
    return $status
}

counters()
{
    for set in moe tensor; do
        MOESIM_LOG=counters.log "$moesim" counters -f -o "counters-$set" --set $set -- "$moesim" capture --force -m "$big/olmoe" \
            -t ids64.jsonl --batch 64 --decode 4 --ignore-end --lookahead 0 --backend cuda --eager \
            --dry-run || {
            status=$?
            tail -n 3 counters.log
            return $status
        }
        "$moesim" profile stats "counters-$set.db" --only counters
        gzip -9 <"counters-$set.db" >"$keep/counters-$set.db.gz"
    done
}

calibrate()
{
    "$moesim" calibrate "$keep/table.csv" --device "$(nvidia-smi --query-gpu=name --format=csv,noheader |
        head -n 1)" --base server-h100 --not source=cublasGemmEx -o fitted.yaml && cp fitted.yaml "$keep/"
}

predict()
{
    python3 "$source/tests/bench/gpu/predict.py" "$moesim" fitted.yaml "$big" ./*-ids*.safetensors |
        tee "$keep/predicted.txt"
}

# Hugging Face's own code on the GPU, where the package is there.
hugging_face()
{
    python3 -c 'import torch, transformers' || return 77
    cat >generate.py <<'PYTHON'
import sys, torch, transformers
model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.bfloat16).cuda()
ids = torch.arange(5, 69).reshape(2, 32).cuda()
print(model.generate(ids, max_new_tokens=16, do_sample=False, pad_token_id=0)[:, -8:].tolist())
PYTHON
    "$moesim" capture -f -o hf -- python3 generate.py "$source/profiler/smallmoe" || return 1
    "$moesim" profile info hf.db
    gzip -9 <hf.db >"$keep/hf.db.gz"
    cp hf.safetensors "$keep/"
}

if [ "${1:-}" = --step ]; then
    "$2"
    exit
fi

# ---- options ----

build= out=gpu-checks.tar.gz seconds=480 only= pack=
usage()
{
    sed -n '2,13s/^# \{0,1\}//p' "$0"
}
while [ $# -gt 0 ]; do
    case $1 in
    --build | --out | --seconds | --only | --pack)
        [ $# -ge 2 ] || {
            echo "$0: $1 wants a value" >&2
            exit 2
        }
        case $1 in
        --build) build=$2 ;;
        --out) out=$2 ;;
        --seconds) seconds=$2 ;;
        --only) only=,$2, ;;
        --pack) pack=$2 ;;
        esac
        shift 2
        ;;
    -h | --help)
        usage
        exit 0
        ;;
    *)
        echo "$0: unknown option '$1'; see --help" >&2
        exit 2
        ;;
    esac
done

begun=$(date +%s)
left()
{
    echo $((seconds - ($(date +%s) - begun)))
}

# ---- building, packing ----

if [ -z "$build" ]; then
    build=$source/build/release
    . "$source/scenarios/setup.sh"
    moe_build release || {
        echo "$0: cannot build here; name a pack with --build (see --help)" >&2
        exit 3
    }
fi
build=$(cd "$build" && pwd) || exit 3

if [ -n "$pack" ]; then
    folder=$(mktemp -d) || exit 3
    trap 'rm -rf "$folder"' EXIT
    mkdir -p "$folder/tests" "$folder/lib"
    list_tests >"$folder/gpu_tests.txt"
    echo "$source" >"$folder/source.txt"
    for file in moesim libmoesim_inject.so libmoesim_cuda.so; do
        cp "$build/$file" "$folder/" || exit 3
    done
    tr '\t' '\n' <"$folder/gpu_tests.txt" | sed -n 's|^@BUILD@/||p' | sort -u |
        while read -r file; do
            mkdir -p "$folder/$(dirname "$file")" && cp "$build/$file" "$folder/$file"
        done
    find "$build" -name moesim_gpu_bench -type f -exec cp {} "$folder/tests/" \;
    find "$folder" -type f -perm -u+x -exec ldd {} \; 2>/dev/null |
        sed -n 's|.* => \(/[^ ]*\) .*|\1|p' | sort -u |
        grep -Ev '/(libc|libm|libdl|librt|libpthread|libcuda|ld-linux[^/]*)\.so' |
        while read -r file; do cp -L "$file" "$folder/lib/"; done
    find "$folder" -type f \( -name '*.so*' -o -perm -u+x \) -exec strip --strip-debug {} \; 2>/dev/null
    tar -C "$folder" -caf "$pack" . && ls -l "$pack"
    exit
fi

# ---- running ----

if [ -d "$build/lib" ]; then
    export LD_LIBRARY_PATH="$build/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi
export MOESIM_DATA="$source"
# Tests know their sources by where they were built.
if [ -f "$build/source.txt" ] && there=$(cat "$build/source.txt") && [ ! -e "$there" ]; then
    mkdir -p "$(dirname "$there")" && ln -s "$source" "$there"
fi
moesim=$build/moesim
export build source
"$moesim" --version >/dev/null || {
    echo "$0: $moesim does not run" >&2
    exit 3
}
work=$(mktemp -d "${TMPDIR:-/tmp}/gpu-checks.XXXXXX") || exit 3
big=$work/big # checkpoints: gigabytes, in memory where there is room
[ -w /dev/shm ] && [ "$(df -Pm /dev/shm | awk 'NR == 2 {print $4}')" -gt 16384 ] &&
    big=$(mktemp -d /dev/shm/gpu-checks.XXXXXX)
keep=$work/keep # what goes into the archive
mkdir -p "$keep/logs" "$big"
export moesim big keep
trap 'rm -rf "$work" "$big"' EXIT
trap 'exit 130' INT TERM
printf 'step\tstatus\tseconds\n' >"$keep/summary.tsv"

# check STEP LIMIT: runs the function STEP in $work, in a process of its own, within LIMIT seconds
# and what is left.
check()
{
    step=$1 limit=$2
    case $only in '' | *,"$step",*) ;; *) return 0 ;; esac
    rest=$(left)
    [ "$rest" -lt "$limit" ] && limit=$rest
    if [ "$limit" -lt 5 ]; then
        printf '%s\tno time left\t0\n' "$step" >>"$keep/summary.tsv"
        return 1
    fi
    start=$(date +%s)
    (cd "$work" && timeout -k 5 "$limit" sh "$script" --step "$step") >"$keep/logs/$step.txt" 2>&1 \
        </dev/null
    status=$?
    case $status in
    0) word=ok ;;
    77) word=skipped ;;
    124 | 137) word="out of time" ;;
    *) word="failed ($status)" ;;
    esac
    printf '%s\t%s\t%d\n' "$step" "$word" $(($(date +%s) - start)) >>"$keep/summary.tsv"
    printf '%-24s %s\n' "$step" "$word"
    return $status
}

check device 30
check gpu_tests 150
check bench 120
check calibrate 20
check capture_shipped 30
check checkpoints 60
check capture_large 90
check predict 30
check offload 120
check counters 45
check overhead 90
check profile_large 45
check hugging_face 60

cat "$keep/summary.tsv"
tar -C "$keep" -czf "$out" . && ls -l "$out"
[ "$(wc -c <"$out")" -le 16777216 ] || echo "$out is larger than 16 MiB: leave logs out before it is committed"
