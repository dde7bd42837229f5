#!/bin/sh
# exports.sh LIBRARY SOURCE: the injector shows its entry points and the routing ABI, all of it, and
# nothing else, and wants no library but libc's.
set -eu
command -v nm >/dev/null && command -v readelf >/dev/null || exit 77
nm -D --defined-only "$1" | awk '{ print $3 }' | sort >shown
sed -n 's/^int \(moesim_[a-z_]*\)(.*/\1/p' "$2/profiler/inject/moesim_route.h" >wanted
echo InitializeInjection >>wanted
grep Nvtx shown >>wanted || true # built where NVTX's headers are
sort -o wanted wanted
if ! cmp -s shown wanted; then
    diff wanted shown
    exit 1
fi
[ -z "$(grep Nvtx shown | grep -vx 'InitializeInjectionNvtx2\|InitializeInjectionNvtxExtension')" ]
readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
    grep -vE '^(libc|libpthread|libdl|ld-linux.*)\.so\.[0-9]+$' >needed || true
if [ -s needed ]; then
    echo "needs:"
    cat needed
    exit 1
fi
