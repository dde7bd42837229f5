#!/bin/sh
# A wrong command line is one line, a hint, and exit code 2; help is exit code 0.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"

expect 2 "wants a command" "$moesim"
expect 2 "unknown command 'rnu'; did you mean 'run'?" "$moesim" rnu
expect 2 "unknown option '--versoin'" "$moesim" --versoin
expect 2 "try 'moesim run --help'" "$moesim" run
expect 2 "unknown option '--qiet'; did you mean '--quiet'?" "$moesim" run --qiet x.yaml
expect 2 "unknown option '-z'" "$moesim" run -z x.yaml
expect 2 "'--jobs' wants a whole number from 1 to 4096, not '0'" "$moesim" run -j 0 x.yaml
expect 2 "'--jobs' wants a whole number" "$moesim" run -jtwo x.yaml
expect 2 "'--output' wants a value: DB" "$moesim" run x.yaml -o
expect 2 "'--quiet' takes no value" "$moesim" run --quiet=yes x.yaml
expect 2 "'--set' wants KEY=VALUE, not 'seed'" "$moesim" run --set seed x.yaml
expect 2 "'b.yaml' is one word too many" "$moesim" explain a.yaml b.yaml
expect 2 "did you mean 'models'?" "$moesim" list model
expect 2 "unknown command 'mcr'; did you mean 'mrc'?" "$moesim" trace mcr
expect 2 "wants a command" "$moesim" trace
expect 2 "'--slots N,M,…' is missing" "$moesim" trace mrc x
expect 2 "'-o OUT.safetensors' is missing" "$moesim" trace import x.csv
expect 2 "'--format' wants one of auto|" "$moesim" trace import --format cvs x.csv
expect 2 "'--group' wants one of access|token-layer" "$moesim" trace mrc x --group layer
expect 2 "wants FILE.yaml, or --x, --y and -o" "$moesim" plot x.db
# Two forms of a command.
expect 2 "'--tokens' is an option of 'moesim capture --model DIR', not of 'moesim capture -- PROGRAM'" \
    "$moesim" capture --tokens x -- true
expect 2 "'--model' is an option of 'moesim capture --model DIR'" "$moesim" capture -m x -- true
expect 2 "'--trace' is an option of 'moesim capture -- PROGRAM', not of 'moesim capture --model DIR'" \
    "$moesim" capture --trace=kernel -m x
expect 2 "'true' is one word too many; a program stands behind '--'" "$moesim" capture true
expect 2 "'true' stands before '--'" "$moesim" capture true --
expect 2 "unknown option '--trcae=api'; did you mean '--trace'?" "$moesim" capture --trcae=api -- true
expect 2 "'-- PROGRAM' is missing" "$moesim" capture -o x --
expect 2 "'--check' runs no program" "$moesim" capture --check -- true
expect 2 "'--trace' knows no 'kernal'; did you mean 'kernel'" "$moesim" capture --trace=kernal -- true
expect 2 "'--trace' knows no ''" "$moesim" capture --trace= -- true
expect 2 "'--engine' wants one of auto|hf|vllm|sglang|none" "$moesim" capture --engine=torch -- true
expect 2 "'--graph' wants one of node|graph" "$moesim" capture --graph=nodes -- true
expect 2 "'--range' wants all, profiler-api or nvtx:DOMAIN/NAME" "$moesim" capture --range=nvtx:x -- true
expect 2 "wants nvtx in '--trace'" "$moesim" capture --range=nvtx:a/b --trace=kernel -- true
expect 2 "'--delay' wants a time such as 5s, not '5'" "$moesim" capture --delay=5 -- true
expect 2 "'--duration' wants a time" "$moesim" capture --duration=soon -- true
expect 2 "'--max-buffer' wants a whole number from 16" "$moesim" capture --max-buffer=1 -- true
expect 2 "'--env' wants KEY=VALUE, not 'X'" "$moesim" capture --env X -- true
expect 0 "^       moesim capture .options. -- PROGRAM" "$moesim" capture --help
expect 0 "^      --keep-raw" "$moesim" capture --help
[ "$("$moesim" rnu 2>&1 | wc -l)" = 2 ] || { echo "more than a line and a hint"; failed=1; }

expect 0 "^usage: moesim COMMAND" "$moesim" --help
expect 0 "^moesim [0-9]" "$moesim" --version
expect 0 "gnuplot" "$moesim" --version
for command in run check explain plot list help schema trace "trace info" "trace import" \
    "trace sample" "trace mrc"; do
    # shellcheck disable=SC2086
    expect 0 "^usage: moesim $command" "$moesim" $command --help
    # shellcheck disable=SC2086
    expect 0 "^usage: moesim $command" "$moesim" $command -h
done

# What a value says about the input is exit code 1, a file that is not there 3.
scenario small
expect 1 "did you mean 'experts.cache.evict'" "$moesim" run small.yaml --set experts.cache.evit=lru
expect 3 "absent.yaml" "$moesim" run absent.yaml
expect 1 "no key, command or name of .moesim list. is 'zzz'" "$moesim" help zzz
expect 1 "did you mean 'experts.cache.capacity'?" "$moesim" help experts.cache.capcity
expect 0 "default" "$moesim" help experts.cache.capacity

# Help knows sub-commands, and every word that `list` knows.
expect 0 "^usage: moesim trace stats" "$moesim" help trace stats
expect 0 "^usage: moesim run" "$moesim" help run
expect 0 "^Each entry:" "$moesim" help plot
expect 0 "other-NAME.pdf of other.db" "$moesim" help plot.file
expect 2 "'zzz' is no command of 'trace'" "$moesim" help trace zzz
expect 2 "is one word too many" "$moesim" help trace stats zzz
expect 0 "^overlap (statistic of traces, share)" "$moesim" help overlap
expect 0 "^overlap (group of statistics)" "$moesim" help overlap
expect 0 "^mask (transform, counterfactual)" "$moesim" help mask
expect 0 "moesim list transforms" "$moesim" help routing.transform
for word in counterfactual contention_free perfect_cache roofline; do
    expect 0 "^$word (" "$moesim" help $word
done
names() {
    "$moesim" list "$1" | sed -n 's/^  \([a-z][^ ]*\) .*/\1/p'
}
for kind in policies metrics transforms importers exporters statistics; do
    [ -n "$(names $kind)" ] || { echo "list $kind names nothing"; failed=1; }
    for word in $(names $kind); do
        "$moesim" help "$word" >/dev/null 2>&1 || { echo "help knows no $kind $word"; failed=1; }
    done
done
"$moesim" list --help >help
for kind in $("$moesim" list | sed -n 's/^\([a-z]*\) (.*)$/\1/p'); do
    grep -q "[[|]$kind[]|]" help || { echo "list --help misses $kind"; failed=1; }
done
exit $failed
