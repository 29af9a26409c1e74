#!/usr/bin/env bash
# Runs the load generator against real nodes: starts a private redis-server and the nodes of
# build/release (FRESHET_BUILD names another), gives all other options to freshet-load, and says
# what the nodes used. It leaves nothing behind. See README.md for the runs that count.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${FRESHET_BUILD:-$root/build/release}
# shellcheck source=deploy/processes.sh
. "$root/deploy/processes.sh"

if [[ ${1:-} == --help ]]; then
    echo "usage: tests/bench/run.sh [--nodes N] [option of freshet-load...]"
    exec "$build/freshet-load" --help
fi
node_count=1
if [[ ${1:-} == --nodes ]]; then
    node_count=${2:?--nodes needs a number}
    shift 2
fi
for binary in freshet-node freshet-load; do
    if [[ ! -x $build/$binary ]]; then
        echo "run.sh: no $build/$binary: build it first, as README.md says" >&2
        exit 2
    fi
done

directory=$(mktemp -d)
trap 'stop_children; rm -rf "$directory"' EXIT
trap 'exit 130' INT TERM
ulimit -n "$(ulimit -Hn)"

redis_port=$(first_free_port 16380 16479)
start_redis "$redis_port" "$directory"
arguments=(--redis "127.0.0.1:$redis_port")
node_pids=()
for ((i = 0; i < node_count; i++)); do
    port=$(first_free_port 18080 18279)
    log=$directory/node-$port.log
    start_node "$build/freshet-node" "redis://127.0.0.1:$redis_port" "$port" $((port + 1000)) "$log"
    node_pids+=("${children[-1]}")
    await_node "$port" "$log"
    arguments+=(--node "127.0.0.1:$port")
done

status=0
"$build/freshet-load" "${arguments[@]}" "$@" || status=$?

for pid in "${node_pids[@]}"; do
    if is_gone "$pid"; then
        echo "a node has ended: $(tail -n 5 "$directory"/node-*.log)" >&2
        status=1
        continue
    fi
    # Fields 14 and 15: user and system time; the name in field 2 holds no space.
    read -r -a stat <"/proc/$pid/stat"
    ticks=$((stat[13] + stat[14]))
    awk -v ticks="$ticks" -v hz="$(getconf CLK_TCK)" '
        $1 == "Pss:" { printf "node: %.1f s of CPU, PSS %d KB\n", ticks / hz, $2 }
    ' "/proc/$pid/smaps_rollup" >&2
done
exit "$status"
