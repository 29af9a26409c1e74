#!/usr/bin/env bash
# The demo: clients on every transport read what is published while nodes of the cluster are killed
# and started again, and each client counts what it lost and what came twice.
#
# With Docker it runs docker-compose.yml under a project name of its own; without, on Debian 12 or
# 13, real processes: redis-server, three nodes and HAProxy. It leaves nothing running.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
# shellcheck source=deploy/packages.sh
. "$here/packages.sh"
# shellcheck source=deploy/processes.sh
. "$here/processes.sh"

usage() {
    cat <<'EOT'
usage: deploy/demo.sh [option...]

  --seconds N    how long messages are published, 5 to 86400               [until Ctrl-C]
  --every N      a node is killed each so many seconds, 3 to 3600          [6]
  --drain        nodes are drained (SIGTERM) instead: a rolling restart
  --clients N    clients, a fifth of them on each of poll, long poll, SSE,
                 stream and WebSocket, 5 to 10000                          [200]
  --rate N       messages a second, over 20 channels, 1 to 10000           [200]
  --nodes N      how many nodes, 2 to 16                                   [3]
  --port P       where the page is                                         [8080]
  --compose      with Docker, or not at all
  --processes    without Docker
  --help         this text

exit: 0 nothing was lost and nothing came twice, 1 not so, 2 the demo could not be made
EOT
}

fail() {
    echo "demo.sh: $*" >&2
    exit 2
}

seconds=0 # until a signal
every=6
is_drain=false
clients=200
rate=200
nodes=3
port=8080
mode=

# number OPTION VALUE MIN MAX
number() {
    if [[ ! $2 =~ ^[0-9]{1,5}$ ]] || ((10#$2 < $3 || 10#$2 > $4)); then
        fail "$1 takes a number from $3 to $4, not '$2'"
    fi
}

parse_options() {
    while [[ $# -gt 0 ]]; do
        case $1 in
        --help | -h)
            usage
            exit 0
            ;;
        --drain) is_drain=true ;;
        --compose | --processes) mode=${1#--} ;;
        --seconds | --every | --clients | --rate | --nodes | --port)
            [[ $# -ge 2 ]] || fail "$1 needs a value; see --help"
            case $1 in
            --seconds) number "$1" "$2" 5 86400 && seconds=$2 ;;
            --every) number "$1" "$2" 3 3600 && every=$2 ;;
            --clients) number "$1" "$2" 5 10000 && clients=$2 ;;
            --rate) number "$1" "$2" 1 10000 && rate=$2 ;;
            --nodes) number "$1" "$2" 2 16 && nodes=$2 ;;
            --port) number "$1" "$2" 1 64000 && port=$2 ;;
            esac
            shift
            ;;
        *) fail "what is '$1'? see --help" ;;
        esac
        shift
    done
}

directory=
load_pid=

# ---- The cluster in containers -----------------------------------------------------------------

compose=()
containers=()

# The project's name keeps the demo apart from a cluster that runs already.
compose() {
    FRESHET_PORT=$port "${compose[@]}" -p freshet-demo -f "$root/docker-compose.yml" "$@"
}

has_compose() {
    docker info >/dev/null 2>&1 || return 1
    if docker compose version >/dev/null 2>&1; then
        compose=(docker compose)
    elif command -v docker-compose >/dev/null; then
        compose=(docker-compose)
    else
        return 1
    fi
}

start_containers() {
    echo "building the images and starting $nodes nodes (docker compose); the first time takes minutes"
    if ! compose --profile demo build >"$directory/build.log" 2>&1 ||
        ! compose up -d --scale "node=$nodes" >"$directory/up.log" 2>&1; then
        tail -n 20 "$directory"/*.log >&2
        fail "docker compose failed; its last lines are above"
    fi
    mapfile -t containers < <(compose ps -q node)
    wait_until 60 node_is_ready "$port" || fail "no node is ready behind port $port"
}

start_load_in_container() {
    compose run --rm -T --name freshet-demo-load load \
        --node haproxy:8080 --redis redis:6379 "$@" <"$directory/notes" &
    load_pid=$!
}

# ---- The cluster in processes ------------------------------------------------------------------

node_ports=()
node_pids=()
redis_port=
binary=$root/build/release/freshet-node

start_one() { # INDEX
    local node_port=${node_ports[$1]}
    start_node "$binary" "redis://127.0.0.1:$redis_port" "$node_port" $((node_port + 1000)) \
        "$directory/node-$node_port.log" --drain-grace 2s --drain-window 2s
    node_pids[$1]=${children[-1]}
}

build() {
    echo "building build/release/freshet-node and freshet-load"
    if ! (cd "$root" && cmake --preset release -DFRESHET_LOAD=ON &&
        cmake --build --preset release) >"$directory/build.log" 2>&1; then
        tail -n 30 "$directory/build.log" >&2
        fail "the build failed; its last lines are above"
    fi
}

start_processes() {
    local i
    install_missing packages_to_build packages_to_run
    build
    if port_is_taken "$port"; then fail "port $port is taken: choose another with --port"; fi
    redis_port=$(first_free_port 6380 6399)
    start_redis "$redis_port" "$directory" || exit 2
    for ((i = 0; i < nodes; i++)); do
        node_ports[i]=$(first_free_port $((port + 1 + i * 10)) $((port + 10 + i * 10)))
        start_one "$i"
        await_node "${node_ports[i]}" "$directory/node-${node_ports[i]}.log" || exit 2
    done
    start_balancer "$port" "$directory" "${node_ports[@]}" || exit 2
}

# In a session of its own: Ctrl-C is for this script to pass on, once.
start_load_in_process() {
    setsid "$root/build/release/freshet-load" \
        --node "127.0.0.1:$port" --redis "127.0.0.1:$redis_port" "$@" <"$directory/notes" &
    load_pid=$!
}

# ---- What is done to it ------------------------------------------------------------------------

# Shown by the load, at its next look.
note() {
    echo "$*" >&4 2>/dev/null || true
}

# shellcheck disable=SC2317 # called by the trap
# It publishes no more, waits for what is under way, and judges.
end_load() {
    if [[ $mode == compose ]]; then
        docker kill -s INT freshet-demo-load >/dev/null 2>&1 || true
    else
        kill -INT "$load_pid" 2>/dev/null || true
    fi
}

stop_node() { # INDEX: kill -9, or the whole drain
    local pid
    if [[ $mode == compose ]]; then
        if $is_drain; then
            docker stop -t 45 "${containers[$1]}" >/dev/null
        else
            docker kill -s KILL "${containers[$1]}" >/dev/null
        fi
        return
    fi
    pid=${node_pids[$1]}
    if $is_drain; then kill -TERM "$pid"; else kill -KILL "$pid"; fi
    wait "$pid" 2>/dev/null || true
    forget_child "$pid"
}

start_node_again() { # INDEX
    if [[ $mode == compose ]]; then
        docker start "${containers[$1]}" >/dev/null
    else
        start_one "$1"
    fi
}

load_runs_until() { # SECONDS, as $SECONDS counts
    while ((SECONDS < $1)); do
        if is_gone "$load_pid"; then return 1; fi
        sleep 0.2
    done
}

# One node after the other, until the load is over. The last seconds are left in peace, so that
# what is verified at the end is what everybody has, and not how fast one reconnects.
stopped=0
torment() {
    local node=0 due=$((SECONDS + every)) last=$((SECONDS + seconds - 3)) what="killed (-9)"
    if ((seconds == 0)); then last=$((SECONDS + 365 * 86400)); fi
    if $is_drain; then what="drains (SIGTERM)"; fi
    while load_runs_until "$due" && ((SECONDS < last)); do
        due=$((SECONDS + every))
        note "node $((node + 1)) $what"
        stop_node "$node"
        load_runs_until $((SECONDS + 1)) || true
        start_node_again "$node"
        note "node $((node + 1)) started again"
        node=$(((node + 1) % nodes))
        stopped=$((stopped + 1))
    done
}

# shellcheck disable=SC2317 # called by the trap
stop_all() {
    trap '' INT TERM HUP
    exec 4>&- || true
    if [[ -n $load_pid ]] && ! is_gone "$load_pid"; then kill -KILL "$load_pid" 2>/dev/null || true; fi
    stop_children
    if [[ ${#compose[@]} -gt 0 && $mode == compose ]]; then
        compose --profile demo down -v --remove-orphans >/dev/null 2>&1 || true
    fi
    [[ -z $directory ]] || rm -rf "$directory"
}

main() {
    parse_options "$@"
    if [[ $mode == compose ]]; then
        has_compose || fail "no Docker engine with compose answers: start it, or leave --compose away"
    elif [[ -z $mode ]]; then
        if has_compose; then mode=compose; else mode=processes; fi
    fi
    trap stop_all EXIT
    trap 'exit 130' INT TERM HUP
    directory=$(mktemp -d)
    if [[ $mode == compose ]]; then start_containers; else start_processes; fi

    local view=lines each=$((clients / 5)) how=killed status=0
    if [[ -t 1 ]]; then view=live; fi
    if $is_drain; then how=drained; fi
    echo
    echo "$((each * 5)) clients behind one HAProxy, $nodes nodes, one of them $how every $every s"
    echo "the page: http://localhost:$port/#demo      Ctrl-C: the verdict"
    echo
    mkfifo "$directory/notes"
    local options=(--poll "$each" --long-poll "$each" --sse "$each" --stream "$each" --ws "$each"
        --channels 20 --rate "$rate" --seconds "$seconds" --reconnects --notes --view "$view"
        --tally demo)
    if [[ $mode == compose ]]; then
        start_load_in_container "${options[@]}"
    else
        start_load_in_process "${options[@]}"
    fi
    exec 4>"$directory/notes"
    trap end_load INT TERM HUP
    torment
    # A signal ends a wait before the load has ended.
    until wait "$load_pid"; do
        status=$?
        if ((status <= 128)) || is_gone "$load_pid"; then break; fi
        status=0
    done
    echo "times that a node was $how: $stopped"
    exit "$status"
}

main "$@"
