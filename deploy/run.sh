#!/usr/bin/env bash
# Runs Freshet here, on Debian 12 or 13: installs with apt-get what is missing, builds, starts a
# private redis-server, some nodes and HAProxy in front of them, and prints commands to try it with.
#
# Ctrl-C stops all of it. It leaves behind the packages it installed and build/; Redis data and
# logs are in a temporary directory that goes with it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
# shellcheck source=deploy/packages.sh
. "$here/packages.sh"
# shellcheck source=deploy/processes.sh
. "$here/processes.sh"

usage() {
    cat <<'EOF'
usage: deploy/run.sh [--nodes N] [--port P] [--redis URL]

  --nodes N    how many nodes, 1 to 16                                     [3]
  --port P     HAProxy's port; the nodes' ports follow, and each node's
               admin port is 1000 above its own                            [8080]
  --redis URL  use this Redis (7 or later) instead of a private one:
               redis://user:password@host:port/db, unix:/path
  --help       this text

Ctrl-C stops everything it started.
EOF
}

fail() {
    echo "run.sh: $*" >&2
    exit 1
}

nodes=3
balancer_port=8080
first_port= # of the nodes
redis_url=
directory=

is_number_in() { # VALUE MIN MAX
    [[ $1 =~ ^[0-9]{1,5}$ ]] && ((10#$1 >= $2 && 10#$1 <= $3))
}

parse_options() {
    while [[ $# -gt 0 ]]; do
        case $1 in
        --help | -h)
            usage
            exit 0
            ;;
        --nodes | --port | --redis)
            [[ $# -ge 2 ]] || fail "$1 needs a value; see --help"
            ;;
        *) fail "what is '$1'? see --help" ;;
        esac
        case $1 in
        --nodes) nodes=$2 ;;
        --port) balancer_port=$2 ;;
        --redis) redis_url=$2 ;;
        esac
        shift 2
    done
    is_number_in "$nodes" 1 16 || fail "--nodes takes a number from 1 to 16, not '$nodes'"
    is_number_in "$balancer_port" 1 64000 ||
        fail "--port takes a number from 1 to 64000, not '$balancer_port'"
    first_port=$((balancer_port + 1))
    case $redis_url in
    '' | redis://* | unix:*) ;;
    *) fail "--redis takes redis://host:port or unix:/path, not '$redis_url'" ;;
    esac
}

check_ports() {
    local i port ports=("$balancer_port")
    for ((i = 0; i < nodes; i++)); do ports+=($((first_port + i)) $((first_port + 1000 + i))); done
    for port in "${ports[@]}"; do
        if port_is_taken "$port"; then
            fail "port $port is taken: stop what listens there, or choose others with --port"
        fi
    done
}

redis_cli=(redis-cli)

# How redis-cli is told of the Redis in use.
set_redis_cli() {
    case $redis_url in
    unix:*) redis_cli=(redis-cli -s "${redis_url#unix:}") ;;
    *) redis_cli=(redis-cli -u "$redis_url") ;;
    esac
}

check_redis() {
    local answer
    answer=$(timeout 5 "${redis_cli[@]}" --no-auth-warning PING 2>&1 </dev/null) || true
    [[ $answer == PONG ]] ||
        fail "Redis does not answer (${answer:-nothing within 5 s}): start it, or correct --redis"
    answer=$(timeout 5 "${redis_cli[@]}" --no-auth-warning FUNCTION STATS 2>&1 </dev/null) || true
    [[ $answer != *"nknown command"* ]] ||
        fail "this Redis has no functions: it must be Redis 7 or later, or leave --redis away"
}

build() {
    local log=$directory/build.log
    echo "building build/release/freshet-node"
    if ! (cd "$root" && cmake --preset release && cmake --build --preset release) >"$log" 2>&1; then
        tail -n 30 "$log" >&2
        fail "the build failed; its last lines are above"
    fi
}

start_nodes() {
    local i port log ports=()
    for ((i = 0; i < nodes; i++)); do
        port=$((first_port + i))
        log=$directory/node-$port.log
        start_node "$root/build/release/freshet-node" "$redis_url" "$port" $((port + 1000)) "$log"
        await_node "$port" "$log" || exit 1
        ports+=("$port")
    done
    start_balancer "$balancer_port" "$directory" "${ports[@]}"
}

# A node's port by number; with few nodes the same one comes again.
url_of() {
    echo "http://127.0.0.1:$((first_port + $1 % nodes))"
}

print_commands() {
    local last=$((first_port + nodes - 1)) cli
    local first_admin=$((first_port + 1000))
    printf -v cli '%q ' "${redis_cli[@]}"
    cat <<EOF

Freshet runs: $nodes nodes on ports $first_port to $last, admin ports $first_admin to $((last + 1000)),
and HAProxy in front of them on $balancer_port (logs in $directory)

The page, through HAProxy:
  http://localhost:$balancer_port/

Read channel news, each way on another node:
  server-sent events  curl -N '$(url_of 0)/sse?channel=news'
  long poll           curl '$(url_of 1)/poll?channel=news&wait=25'
  HTTP stream         curl -N '$(url_of 2)/stream?channel=news'
  poll (the last 10)  curl 'http://127.0.0.1:$balancer_port/poll?channel=news&rewind=10'

Publish, in another terminal:
  ${cli}FCALL freshet_publish 1 news '{"hello":"world"}'

Ctrl-C stops everything.
EOF
}

# Sleeps until a signal, or until one of the children ends, which none should.
watch_children() {
    local i
    wait -n || true
    for i in "${!children[@]}"; do
        if is_gone "${children[i]}"; then
            tail -n 5 "${children_logs[i]}" >&2
            fail "${children_names[i]} has ended; the last lines of its log are above"
        fi
    done
}

stop_all() {
    trap '' INT TERM HUP
    stop_children
    [[ -z $directory ]] || rm -rf "$directory"
}

stopped_by_user() {
    echo
    echo "stopping"
    exit 0
}

main() {
    parse_options "$@"
    check_ports
    trap stop_all EXIT
    trap stopped_by_user INT TERM HUP
    install_missing packages_to_build packages_to_run
    directory=$(mktemp -d)
    if [[ -n $redis_url ]]; then
        set_redis_cli
        check_redis
    fi
    build
    if [[ -z $redis_url ]]; then
        local redis_port
        redis_port=$(first_free_port 6380 6399)
        start_redis "$redis_port" "$directory"
        redis_url=redis://127.0.0.1:$redis_port
        redis_cli=(redis-cli -p "$redis_port")
    fi
    start_nodes
    print_commands
    watch_children
}

main "$@"
