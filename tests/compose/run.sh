#!/usr/bin/env bash
# Takes the cluster of docker-compose.yml up, three nodes behind HAProxy, and tells its stories
# (cluster.test.js): clients on every transport, while nodes are killed, stopped and scaled, and
# Redis is restarted. Where the base images cannot be pulled, images.sh makes stand-ins.
#
# Where no Docker engine answers it starts one and stops it again. It leaves: the packages it
# installed; in an engine that was there before, the images; a copy of the stand-ins in build/.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=deploy/packages.sh
. "$root/deploy/packages.sh"
# shellcheck source=deploy/processes.sh
. "$root/deploy/processes.sh"
# shellcheck source=tests/compose/engine.sh
. "$here/engine.sh"
# shellcheck source=tests/compose/cluster.sh
. "$here/cluster.sh"

usage() {
    cat <<'EOD'
usage: tests/compose/run.sh [--keep]

  --keep   leave the cluster up, and say how to take it down
  --help   this text

Where no Docker engine can be started it says why, and succeeds.
EOD
}

fail() {
    echo "compose test: $*" >&2
    exit 1
}

skip() {
    echo "compose test: skipped: no Docker engine can be started here: $*"
    exit 0
}

keep=false
project=freshet-test
stories= # their pid
summary=()

parse_options() {
    while [[ $# -gt 0 ]]; do
        case $1 in
        --help | -h)
            usage
            exit 0
            ;;
        --keep) keep=true ;;
        *) fail "what is '$1'? see --help" ;;
        esac
        shift
    done
}

page_is_there() {
    curl -fsS --max-time 2 "$1" | grep -q '<title>Freshet'
}

now_ms() {
    date +%s%3N
}

# Bytes of the image that the nodes run.
image_size() {
    docker ps -q --filter "label=com.docker.compose.project=$project" \
        --filter label=com.docker.compose.service=node |
        head -n 1 | xargs docker inspect -f '{{.Image}}' | xargs docker image inspect -f '{{.Size}}'
}

start_cluster() {
    local start
    FRESHET_PORT=$(first_free_port 18080 18099)
    export FRESHET_PORT
    start=$SECONDS
    compose_to build --profile demo build
    summary+=("build $((SECONDS - start)) s")
    is_up=true
    start=$(now_ms)
    compose_to up up --build -d --scale node=3
    wait_until 30 page_is_there "http://127.0.0.1:$FRESHET_PORT/" ||
        fail "the page does not come through HAProxy within 30 s of 'up'"
    summary+=("from 'up' to the page $(($(now_ms) - start)) ms")
    summary+=("image of a node $(($(image_size) / 1000000)) MB")
}

show_logs() {
    "${compose[@]}" logs --no-color --tail 60 node haproxy redis >&2 || true
}

tell_stories() {
    local start=$SECONDS status=0
    # In the background, because a shell hears no signal while it waits for what is in front.
    (cd "$root/tests" && FRESHET_COMPOSE="${compose[*]}" FRESHET_PROJECT=$project \
        FRESHET_URL="http://127.0.0.1:$FRESHET_PORT" \
        exec timeout -k 10 400 node --test compose/cluster.test.js) &
    stories=$!
    wait "$stories" || status=$?
    summary+=("stories $((SECONDS - start)) s")
    if [[ $status -ne 0 ]]; then show_logs; fi
    return "$status"
}

stop_all() {
    trap '' INT TERM HUP
    [[ -z $stories ]] || kill "$stories" 2>/dev/null || true
    if $is_up && $keep; then
        echo "left up at http://127.0.0.1:$FRESHET_PORT/; take it down with"
        $engine_started && echo "  export DOCKER_HOST=$DOCKER_HOST"
        echo "  ${compose[*]} --profile demo down -v"
        return
    fi
    take_down
}

main() {
    local status=0
    parse_options "$@"
    trap stop_all EXIT
    trap 'exit 1' INT TERM HUP
    find_engine
    find_compose
    refuse_second
    start_cluster
    tell_stories || status=$?
    printf 'compose test: %s\n' "${summary[@]}"
    return "$status"
}

main "$@"
