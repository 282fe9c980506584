#!/usr/bin/env bash
# Redis 7.0.15's own test suite with $RUNNEL_SERVER where it expects redis-server: fetches what is needed, then hands over to suites.py.
#
#   run.sh native [options] [suite ...]      the suite starts, configures, kills and restarts the server itself
#   run.sh external [options] [suite ...]    the server is started once and the suite only talks to it
#
# $REDIS_CLI and $REDIS_BENCHMARK are Debian's tools. Options and suites: suites.py --help.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$here/../.cache
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
. "$here/../oracles.sh"

# The source package, by apt with lists of its own: the machine's need not name deb-src, and root is not needed.
source_tree() {
    local tree=$cache/tcl/redis-7.0.15 apt=$cache/tcl/apt
    [ -f "$tree/runtest" ] && return
    mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/etc"
    printf 'deb-src %s bookworm main\ndeb-src %s-security bookworm-security main\n' "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$apt/etc/sources.list"
    local options=(-o "Dir::Etc::SourceList=$apt/etc/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache::Archives=$apt/archives" -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache=")
    apt-get "${options[@]}" update
    mkdir -p "$cache/tcl"
    (cd "$cache/tcl" && apt-get "${options[@]}" source --download-only redis && tar -xzf redis_7.0.15.orig.tar.gz)
    [ -f "$tree/runtest" ]
}

command -v tclsh >/dev/null || packages tcl
source_tree >&2
exec python3 "$here/suites.py" --tree "$cache/tcl/redis-7.0.15" --work "$cache/tcl" --readme "$here/../README.md" --skip "$here/skip.txt" --steady "$here/steady.txt" "$@"
