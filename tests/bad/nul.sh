# A NUL byte in the middle.
printf 'name: one\nmodel: mix\000tral\n' >nul.yaml
"$moesim" check nul.yaml
status=$?
rm nul.yaml
exit $status
