# A byte that no UTF-8 text holds, and a text cut in the middle of a character.
printf 'name: one\nmodel: mix\377tral\n' >bytes.yaml
"$moesim" check bytes.yaml
echo "exit $?"
printf 'name: one\nmodel: caf\303' >cut.yaml
"$moesim" check cut.yaml
status=$?
rm bytes.yaml cut.yaml
exit $status
