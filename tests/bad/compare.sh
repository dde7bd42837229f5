# Sequences of either trace that cannot be compared: a message with the option, and no table.
sample=traces/samples/quickstart.safetensors
compare() {
    echo "== $*"
    "$moesim" trace compare $sample $sample "$@" 2>&1
    echo "exit $?"
}
cd "$source" || exit 1
compare --sequences foo
compare --of-second some.txt
compare --of-second 0..99 --csv
compare --sequences 0..17 --of-second x
compare --select-second absent.txt
folder=$(mktemp -d)
cp $sample "$folder"
cd "$folder" || exit 1
sample=quickstart.safetensors
printf '3 16\n' >some.txt
compare --select-second some.txt
printf '3\n' >some.txt
compare --select-second some.txt --of-second 4..
rm -r "$folder"
