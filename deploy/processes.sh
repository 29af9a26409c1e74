# shellcheck shell=bash
# Starting, awaiting and stopping processes, for the scripts here and in tests/. Source it, and
# call stop_children on EXIT. It ends only what it started, by pid, newest first.

deploy=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

children=()       # pids, oldest first
children_names=() # what to call them
children_logs=()

# start_child NAME LOG COMMAND...: in a session of its own, so that Ctrl-C in the terminal reaches
# the script alone, and the script decides who stops first. The pid is the last of `children`.
start_child() {
    local name=$1 log=$2
    shift 2
    setsid "$@" >"$log" 2>&1 </dev/null &
    children+=("$!")
    children_names+=("$name")
    children_logs+=("$log")
}

# wait_until SECONDS COMMAND...: until it succeeds; fails when it does not in time.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS >= deadline)); then return 1; fi
        sleep 0.1
    done
}

is_gone() {
    ! kill -0 "$1" 2>/dev/null
}

# SIGTERM, ten seconds, SIGKILL.
stop_child() {
    local pid=$1
    kill -TERM "$pid" 2>/dev/null || true
    wait_until 10 is_gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
}

# forget_child PID: it has ended, was waited for, and its number may be another's by now.
forget_child() {
    local i
    for i in "${!children[@]}"; do
        if [[ ${children[i]} == "$1" ]]; then
            unset "children[$i]" "children_names[$i]" "children_logs[$i]"
        fi
    done
    children=("${children[@]}")
    children_names=("${children_names[@]}")
    children_logs=("${children_logs[@]}")
}

stop_children() {
    local i
    for ((i = ${#children[@]} - 1; i >= 0; i--)); do stop_child "${children[i]}"; done
    children=()
    children_names=()
    children_logs=()
}

port_is_taken() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# first_free_port FROM TO
first_free_port() {
    local port
    for ((port = $1; port <= $2; port++)); do
        if ! port_is_taken "$port"; then
            echo "$port"
            return
        fi
    done
    echo "all ports from $1 to $2 are taken" >&2
    return 1
}

# start_redis PORT DIRECTORY: with what a node needs of Redis; its data is in DIRECTORY.
start_redis() {
    local port=$1 directory=$2
    start_child redis-server "$directory/redis.log" redis-server \
        --bind 127.0.0.1 --port "$port" --dir "$directory" --appendonly yes --save '' \
        --maxmemory-policy noeviction --client-output-buffer-limit 'pubsub 256mb 64mb 60'
    if ! wait_until 10 redis-cli -p "$port" PING; then
        echo "redis-server does not answer on port $port: $(tail -n 1 "$directory/redis.log")" >&2
        return 1
    fi
}

# start_node BINARY REDIS-URL PORT ADMIN-PORT LOG [OPTION...]: open to everybody on this machine.
start_node() {
    local binary=$1 redis=$2 port=$3 admin=$4 log=$5
    shift 5
    start_child "node on port $port" "$log" "$binary" --redis "$redis" \
        --listen "127.0.0.1:$port" --admin "127.0.0.1:$admin" \
        --anonymous '*' --anonymous-publish '*' --drain-grace 0s --drain-window 1s "$@"
}

node_is_ready() {
    curl -fsS -o /dev/null --max-time 2 "http://127.0.0.1:$1/readyz"
}

node_is_ready_or_gone() { # PORT PID
    node_is_ready "$1" || is_gone "$2"
}

# await_node PORT LOG: until the node started last is ready.
await_node() {
    local port=$1 log=$2 pid=${children[-1]}
    if wait_until 30 node_is_ready_or_gone "$port" "$pid" && ! is_gone "$pid"; then return; fi
    echo "the node on port $port is not ready: $(tail -n 1 "$log")" >&2
    return 1
}

print_servers() { # NODE-PORT...
    local port
    for port in "$@"; do echo "    server node$port 127.0.0.1:$port"; done
}

# start_balancer PORT DIRECTORY NODE-PORT...: HAProxy, with the configuration that docker-compose.yml
# uses too, and the list of nodes beside it.
start_balancer() {
    local port=$1 directory=$2 haproxy
    shift 2
    haproxy=$(command -v haproxy || echo /usr/sbin/haproxy)
    {
        echo "backend nodes"
        print_servers "$@"
        echo "backend living"
        echo "    http-check send meth GET uri /healthz ver HTTP/1.1 hdr Host freshet"
        print_servers "$@"
    } >"$directory/nodes.cfg"
    BALANCER_LISTEN=127.0.0.1:$port start_child "HAProxy on port $port" "$directory/haproxy.log" \
        "$haproxy" -db -f "$deploy/haproxy/haproxy.cfg" -f "$directory/nodes.cfg"
    if ! wait_until 10 node_is_ready "$port"; then
        echo "HAProxy on port $port finds no node: $(tail -n 1 "$directory/haproxy.log")" >&2
        return 1
    fi
}
