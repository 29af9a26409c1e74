# shellcheck shell=bash
# What a test of the cluster of docker-compose.yml begins and ends with: an engine, the images, the
# compose command. Source it after deploy/packages.sh, deploy/processes.sh and engine.sh. The caller
# sets `root` and `project`, and says what `fail WHY` (something is wrong) and `skip WHY` (there is no
# engine, and none can be started) do.
# shellcheck disable=SC2154 # those of the caller and of what it has sourced

scratch_directory= # gone in the end
compose=()         # the command, its project and its file
is_up=false

# Only what is not there in another form. Debian 13 has docker's command in a package of its own.
packages_for_compose() {
    echo debootstrap
    command -v dockerd >/dev/null || echo docker.io iptables
    command -v docker >/dev/null || apt-cache search --names-only '^docker-cli$' | cut -d ' ' -f 1
    has_compose || echo docker-compose
}

has_compose() {
    command -v docker-compose >/dev/null || docker compose version >/dev/null 2>&1
}

find_engine() {
    local why has_images=true
    scratch_directory=$(mktemp -d)
    install_missing packages_for_compose || skip "the packages cannot be installed"
    if ! engine_answers; then
        echo "no Docker engine answers: starting one"
        start_engine "$scratch_directory" >"$scratch_directory/why" ||
            skip "$(<"$scratch_directory/why")"
    fi
    "$root/tests/compose/images.sh" || has_images=false
    if docker image inspect debian:trixie-slim >/dev/null 2>&1; then
        why=$(docker run --rm debian:trixie-slim true 2>&1) || skip "it runs no container: $why"
    fi
    $has_images || fail "there are no images to begin with"
}

# One run at a time in an engine; what --keep left up is somebody's.
refuse_second() {
    if [[ -n $(docker ps -aq --filter "label=com.docker.compose.project=$project") ]]; then
        fail "$project is up already; take it down with: ${compose[*]} --profile demo down -v"
    fi
}

find_compose() {
    if command -v docker-compose >/dev/null; then
        compose=(docker-compose)
    else
        compose=(docker compose)
    fi
    compose+=(-p "$project" -f "$root/docker-compose.yml")
}

# compose_to LOG ARGUMENT...
compose_to() {
    local log=$scratch_directory/$1.log
    shift
    "${compose[@]}" "$@" >"$log" 2>&1 </dev/null && return
    tail -n 30 "$log" >&2
    fail "'$*' failed; its last lines are above"
}

take_down() {
    if $is_up; then
        "${compose[@]}" --profile demo down -v --remove-orphans -t 5 >/dev/null 2>&1 || true
    fi
    stop_engine
    [[ -z $scratch_directory ]] || rm -rf "$scratch_directory"
}
