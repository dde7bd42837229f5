# What can be wrong about scores and bit allocation.
ln -s "$source/traces" traces # a short name: carets stand below it
sample=traces/samples/quickstart.safetensors
try()
{
    what=$1
    shift
    echo "== $what"
    "$moesim" trace "$@" 2>&1
    echo "exit $?"
}
printf 'layer,expert,error\n*,0,0.5\n' >some.csv
printf 'layer,expert,error\n*,0,-1\n' >negative.csv
try "no weights" score "$sample" --by weight
try "no logits" score "$sample" --by logit
try "no such score" score "$sample" --by weigth
try "no domains" score "$sample" --domain code
try "two questions" score "$sample" --keep 3 --groups 4
try "more than there are" score "$sample" --keep 9
try "nothing to be like" score "$sample" --like "$sample"
try "no average" bits "$sample" -w 2
try "no width" bits "$sample" --average 2
try "no number" bits "$sample" -w 2 --average two
try "not a number" bits "$sample" -w 2 --average nan
try "no such floor" score "$sample" --floor low
try "no such width" bits "$sample" -w 17 --average 2
try "falling widths" bits "$sample" -w 3 -w 2 --average 2
try "too few bits" bits "$sample" -w 2 -w 3 --average 1.9
try "fewer bits than the least" bits "$sample" -w 2 -w 3 --average 0.5
try "like nothing" score "$sample" --like none.safetensors
try "more of each than there are" bits "$sample" -w 2 -w 3 --average 2 --each 3
try "no table" bits "$sample" -w 2:none.csv --average 2
try "half a table" bits "$sample" -w 2:some.csv --average 2
try "a negative error" bits "$sample" -w 2:negative.csv --average 2
rm some.csv negative.csv
