#!/bin/sh
# Builds moesim and runs all its tests.
#
#   sh tests/run.sh [--preset release|asan|tsan|dev] [-- OPTIONS OF CTEST]
#
# Installs the packages that are missing when it may (root, or sudo without a password);
# otherwise says the one line to type.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
. "$source/scenarios/setup.sh"

preset=release
while [ $# -gt 0 ]; do
    case $1 in
    --preset)
        preset=${2:?--preset wants release, asan, tsan or dev}
        shift 2
        ;;
    --preset=*)
        preset=${1#*=}
        shift
        ;;
    --)
        shift
        break
        ;;
    -h | --help)
        sed -n '2,7s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *)
        echo "$0: unknown option '$1'; see --help" >&2
        exit 2
        ;;
    esac
done
case $preset in
release | asan | tsan | dev) ;;
*)
    echo "$0: unknown preset '$preset'; one of release, asan, tsan, dev" >&2
    exit 2
    ;;
esac

moe_setup "$moe_needs_build$moe_needs_tests" "$moe_needs_faster$moe_needs_optional"
echo "Building moesim (preset $preset)"
moe_build "$preset"

cd "$source"
export CTEST_PARALLEL_LEVEL="${CTEST_PARALLEL_LEVEL:-$(nproc)}"
exec ctest --preset "$preset" --no-tests=error "$@" </dev/null
