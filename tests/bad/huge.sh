# A file of 1 GiB (sparse): refused by its size, at once.
truncate -s 1G huge.yaml || exit 77
timeout 10 "$moesim" check huge.yaml
status=$?
rm huge.yaml
exit $status
