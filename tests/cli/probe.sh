# probe.sh PROGRAM SOURCE: this machine, measured in a hurry; what it leaves behind; what it refuses.
moesim=$1 source=$2
. "$source/tests/cli/scenario.inc"
[ "$(df -Pk . | awk 'NR == 2 { print $4 }')" -gt 524288 ] || {
    echo "skipped: less than 512 MiB are free here"
    exit 77
}
mkdir disk
probe() {
    "$moesim" probe --memory 64MiB --threads 2 "$@"
}

# All parts, a preset, its rows; nothing else is left behind.
expect 0 "mine.yaml written" probe --seconds 3 --disk disk -o mine.yaml --rows rows.csv
for word in "^memory  " "^cpu     " "^disk    random reads" "^gpu     " "threads  *GB/s" "at once" \
    "off by"; do
    grep -q "$word" said || { echo "no '$word':"; cat said; failed=1; }
done
[ -z "$(ls -A disk)" ] || { echo "left on the disk: $(ls -A disk)"; failed=1; }
[ "$(ls -A | sort | tr '\n' ' ')" = "disk mine.yaml rows.csv said " ] || { ls -A; failed=1; }
# The preset drives a run, and its rows a calibration.
expect 0 "decode" "$moesim" run "$source/scenarios/quickstart.yaml" --set hardware=mine.yaml \
    -o out.db --no-plot
expect 0 "links.0.rate" "$moesim" calibrate rows.csv --device again --base mine.yaml -o again.yaml
expect 3 "mine.yaml exists; --force replaces it" probe --seconds 1 -o mine.yaml
expect 3 "rows.csv exists; --force replaces it" probe --seconds 1 --only memory --rows rows.csv
expect 0 "mine.yaml written" probe --seconds 1 --only memory,cpu -o mine.yaml -f
grep -q "links: \[\]" mine.yaml || { echo "links without a disk"; failed=1; }
expect 0 "^gpu  " probe --only gpu

# What it refuses, before it measures anything.
expect 2 "not 'dsik'; did you mean 'disk'" probe --only memory,dsik
expect 2 "not ''" probe --only ""
expect 2 "'-o' and '--rows' both name other.yaml" probe -o other.yaml --rows other.yaml
expect 2 "a preset wants memory and cpu" probe --only disk -o other.yaml
expect 2 "wants letters" probe --name 'a b' -o other.yaml
expect 2 "wants a size of 16MiB at least" "$moesim" probe --memory 1KiB
expect 3 "only .* GiB are available" "$moesim" probe --memory 100TB
expect 3 "nowhere/other.yaml" probe -o nowhere/other.yaml
expect 3 "/dev/null: is a device" probe --only disk --disk /dev/null
expect 3 "is a file; name a folder" probe --only disk --disk mine.yaml
expect 3 "No such file" probe --only disk --disk nowhere
if [ "$(id -u)" != 0 ]; then
    mkdir closed && chmod a-w closed
    expect 3 "closed: a file to measure with cannot be made" probe --only disk --disk closed
fi
# A disk without room, as far as a limit on files is one.
expect 3 "disk: the file to measure with cannot be written: File too large" \
    sh -c "ulimit -f 1000; exec '$moesim' probe --seconds 1 --only disk --disk disk"
[ -z "$(ls -A disk)" ] || { echo "left when it was full: $(ls -A disk)"; failed=1; }

# However it ends, its file goes with it.
for signal in INT KILL; do
    timeout -s $signal 2 "$moesim" probe --seconds 60 --only disk --disk disk >/dev/null 2>&1
    [ -z "$(ls -A disk)" ] || { echo "left after SIG$signal: $(ls -A disk)"; failed=1; }
done
exit $failed
