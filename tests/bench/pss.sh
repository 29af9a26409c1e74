#!/usr/bin/env bash
# Measures what an idle SSE connection, or with --ws an idle WebSocket, costs a node: its PSS
# (/proc/PID/smaps_rollup) without connections and with N of them, all silent but for pings. Memory of the kernel's sockets is not in it; the
# channels' share of the node is. It starts a private redis-server and one node, and leaves nothing.
#
#   tests/bench/pss.sh [--ws] [N [CHANNELS]]     defaults 9000 and 1000
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${FRESHET_BUILD:-$root/build/release}
# shellcheck source=deploy/processes.sh
. "$root/deploy/processes.sh"

transport=sse
if [[ ${1:-} == --ws ]]; then
    transport=ws
    shift
fi
connections=${1:-9000}
channels=${2:-1000}

directory=$(mktemp -d)
trap 'stop_children; rm -rf "$directory"' EXIT
trap 'exit 130' INT TERM
ulimit -n "$(ulimit -Hn)"

redis_port=$(first_free_port 16380 16479)
port=$(first_free_port 18080 18279)
start_redis "$redis_port" "$directory"
start_node "$build/freshet-node" "redis://127.0.0.1:$redis_port" "$port" $((port + 1000)) \
    "$directory/node.log" --heartbeat 10m
node=${children[-1]}
await_node "$port" "$directory/node.log"

pss_kb() {
    awk '$1 == "Pss:" { print $2 }' "/proc/$node/smaps_rollup"
}

open_connections() {
    curl -fsS "http://127.0.0.1:$((port + 1000))/metrics" |
        awk -v transport="transport=\"$transport\"" '
            /^freshet_connections\{/ && index($0, transport) { sum += $2 } END { print sum + 0 }'
}

all_are_open() {
    [[ $(open_connections) -eq $connections ]]
}

sleep 2 # what the start allocated for a moment has been given back
before=$(pss_kb)
start_child freshet-load "$directory/load.log" "$build/freshet-load" \
    --node "127.0.0.1:$port" --redis "127.0.0.1:$redis_port" \
    --sse 0 --long-poll 0 "--$transport" "$connections" --channels "$channels" --rate 0 --seconds 3600
if ! wait_until 120 all_are_open; then
    echo "only $(open_connections) of $connections connections: $(tail -n 1 "$directory/load.log")" >&2
    exit 1
fi
sleep 5 # idle
after=$(pss_kb)

echo "PSS with 0 connections: $before KB"
echo "PSS with $connections idle connections by $transport on $channels channels: $after KB"
echo "bytes per connection: $(((after - before) * 1024 / connections))"
