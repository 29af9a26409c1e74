# shellcheck shell=bash
# A Docker engine for tests/compose/run.sh: the one that answers, or one of our own, started by hand
# in a directory that goes with it. Source it after deploy/processes.sh.

engine_answers() {
    docker version >/dev/null 2>&1
}

engine_started=false
engine_made_bridge=false

engine_answers_or_is_gone() { # PID
    engine_answers || is_gone "$1"
}

# What an engine that did not start gave as its reason.
reason_in() { # LOG
    { grep -E 'level=(fatal|error)|^failed' "$1" || tail -n 1 "$1"; } | tail -n 1 |
        sed -E 's/.*msg="?([^"]*).*/\1/'
}

# start_engine DIRECTORY: its own data, socket and pid, so that no other engine is touched. Prints why
# when it cannot.
start_engine() {
    local log=$1/dockerd.log
    if ! command -v dockerd >/dev/null; then
        echo "there is no dockerd"
        return 1
    fi
    if [[ $(id -u) -ne 0 ]]; then
        echo "none answers, and only root can start one"
        return 1
    fi
    [[ -e /sys/class/net/docker0 ]] || engine_made_bridge=true
    export DOCKER_HOST=unix://$1/docker.sock
    start_child dockerd "$log" dockerd --data-root "$1/data" --exec-root "$1/exec" \
        --pidfile "$1/docker.pid" --host "$DOCKER_HOST"
    engine_started=true
    # shellcheck disable=SC2154 # of processes.sh
    if ! wait_until 60 engine_answers_or_is_gone "${children[-1]}" || ! engine_answers; then
        reason_in "$log"
        return 1
    fi
}

# Its chains in iptables stay, empty; the bridge goes if it was not there before.
stop_engine() {
    stop_children
    if $engine_started && $engine_made_bridge; then ip link delete docker0 2>/dev/null || true; fi
}
