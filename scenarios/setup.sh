# Sourced by scenarios/quickstart.sh and tests/run.sh: what moesim needs on a machine, and how to
# get it there. POSIX sh; the caller has set `source` to the root of the source tree.

# One line per need: Debian's package, then a command that succeeds when the need is met already,
# from whatever origin.
moe_needs_build='
gcc|command -v cc || command -v gcc || command -v clang
libc6-dev|test -e /usr/include/stdio.h
cmake|cmake --version | grep -Eq "version (3[.](2[5-9]|[3-9][0-9])|[4-9])"
ninja-build|command -v ninja
pkg-config|command -v pkg-config
libglib2.0-dev|pkg-config --exists "glib-2.0 >= 2.74" gio-2.0
libyaml-dev|pkg-config --exists yaml-0.1
libsqlite3-dev|pkg-config --exists sqlite3
libcjson-dev|pkg-config --exists libcjson
libzstd-dev|pkg-config --exists libzstd
zlib1g-dev|pkg-config --exists zlib
gnuplot-nox|command -v gnuplot
'
moe_needs_tests='
libcunit1-dev|pkg-config --exists cunit
python3|command -v python3
sqlite3|command -v sqlite3
git|command -v git
'
# Without it the execution core computes everything itself, more slowly.
moe_needs_faster='
libopenblas-dev|pkg-config --exists openblas
'
# Tests that need these skip themselves where a distribution no longer has them.
moe_needs_optional='
clang-format-14|command -v clang-format-14
'

# moe_missing LIST: the packages of the needs that are not met.
moe_missing()
{
    printf '%s\n' "$1" | while IFS='|' read -r package probe; do
        [ -z "$package" ] || sh -c "$probe" </dev/null >/dev/null 2>&1 || printf ' %s' "$package"
    done
}

# The prefix that makes apt-get run with the rights it needs; fails when there is no such way.
moe_as_root()
{
    if [ "$(id -u)" = 0 ]; then
        echo env
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        echo sudo -n env
    else
        return 1
    fi
}

moe_apt_get()
{
    $moe_root DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

# moe_setup LIST [OPTIONAL]: installs what is missing when it may; otherwise says the one line to
# type and fails.
moe_setup()
{
    missing=$(moe_missing "$1")
    optional=$(moe_missing "${2:-}")
    if [ -n "$missing" ] && ! command -v apt-get >/dev/null 2>&1; then
        echo "Please install what Debian calls:$missing" >&2
        return 1
    fi
    if [ -n "$missing$optional" ] && command -v apt-get >/dev/null 2>&1; then
        if moe_root=$(moe_as_root); then
            echo "Installing$missing$optional"
            moe_apt_get update >/dev/null || echo "apt-get update failed; going on without it" >&2
            # shellcheck disable=SC2086
            [ -z "$missing" ] || moe_apt_get install -y --no-install-recommends $missing >/dev/null ||
                return 1
            for package in $optional; do
                moe_apt_get install -y --no-install-recommends "$package" >/dev/null 2>&1 ||
                    echo "$package is not to be had here; going on without it"
            done
        elif [ -n "$missing" ]; then
            echo "Some packages are missing. Please type:" >&2
            echo "  sudo apt-get install -y --no-install-recommends$missing" >&2
            return 1
        fi
    fi
    missing=$(moe_missing "$1")
    if [ -n "$missing" ]; then
        echo "Still missing or too old after the installation:$missing" >&2
        echo "(Debian 12 or Ubuntu 24.04 and later have all that moesim needs.)" >&2
        return 1
    fi
}

# moe_build PRESET [TARGET]: configures and builds. Progress is shown on a terminal only.
moe_build()
{
    (
        cd "$source" || exit 1
        if ! text=$(cmake --preset "$1" 2>&1 </dev/null); then
            printf '%s\n' "$text" >&2
            exit 1
        fi
        if [ -t 1 ]; then
            cmake --build --preset "$1" --target "${2:-all}"
        elif ! text=$(cmake --build --preset "$1" --target "${2:-all}" 2>&1 </dev/null); then
            printf '%s\n' "$text" >&2
            exit 1
        fi
    )
}
