#!/usr/bin/env bash
# Client libraries from their registries, each driving real scenarios through $RUNNEL_SERVER, which each starts, kills and restarts itself.
#
#   run.sh [redis-py] [redis-py-cluster] [node-redis] [ioredis] [ioredis-cluster] [rust] [bullmq] [node-frameworks] [python-frameworks]     all of them by default
#
# bullmq; redlock, bottleneck and socket.io's streams adapter; rq and celery: work goes on over a kill -9 and a restart, and nothing is lost.
#
# What they need goes to ../.cache/clients; the versions are pinned in this folder. The last line is "N passed, N failed" over all of them.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$here/../.cache
mkdir -p "$cache/clients"
. "$here/../oracles.sh"
: "${RUNNEL_SERVER:?the server under test}"

python_scenarios() {
    local target=$cache/clients/python
    need_pip
    cmp -s "$here/python/requirements.txt" "$target/requirements.txt" || {
        rm -rf "$target"
        python3 -m pip install --quiet --target "$target" -r "$here/python/requirements.txt" && cp "$here/python/requirements.txt" "$target/"
    } || return 1
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$target python3 "$here/python/$1"
}

node_modules() {
    command -v npm >/dev/null || packages nodejs npm
    local target=$cache/clients/node
    mkdir -p "$target"
    cmp -s "$here/node/package-lock.json" "$target/package-lock.json" && [ -d "$target/node_modules" ] && return
    cp "$here/node/package.json" "$here/node/package-lock.json" "$target/"
    # Not `npm ci`: that wants the optional packages of all platforms in the lock file.
    (cd "$target" && npm install --silent --no-save --omit=optional --no-audit --no-fund) >&2 && cp "$here/node/package-lock.json" "$target/"
}

node_client() {
    node_modules || return 1
    cp "$here"/node/*.mjs "$cache/clients/node/"
    node "$cache/clients/node/$1"
}

rust_client() {
    CARGO_TARGET_DIR=$cache/clients/rust nice cargo run --quiet --locked --manifest-path "$here/rust/Cargo.toml"
}

passed=0 failed=0
one() {
    local output status=0 count
    echo "== $1"
    output=$("${@:2}" 2>&1) || status=$?
    printf '%s\n' "$output"
    count=$(printf '%s\n' "$output" | tail -1 | sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p')
    if [ -z "$count" ]; then
        echo "$1 did not come to its end (status $status)"
        failed=$((failed + 1))
    else
        passed=$((passed + ${count% *})) failed=$((failed + ${count#* }))
    fi
}

[ $# -gt 0 ] || set -- redis-py redis-py-cluster node-redis ioredis ioredis-cluster rust bullmq node-frameworks python-frameworks
for client in "$@"; do
    case $client in
        redis-py) one "$client" python_scenarios scenarios.py ;;
        redis-py-cluster) one "$client" python_scenarios cluster.py ;;
        python-frameworks) one "$client" python_scenarios frameworks.py ;;
        bullmq) one "$client" node_client bullmq.mjs ;;
        node-frameworks) one "$client" node_client frameworks.mjs ;;
        node-redis) one "$client" node_client node-redis.mjs ;;
        ioredis) one "$client" node_client ioredis.mjs ;;
        ioredis-cluster) one "$client" node_client ioredis-cluster.mjs ;;
        rust) one "$client" rust_client ;;
        *) echo "no such client: $client"; failed=$((failed + 1)) ;;
    esac
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
