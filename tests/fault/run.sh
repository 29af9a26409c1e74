#!/usr/bin/env bash
# The fault kit: three real nodes, Redis, HAProxy and 120 clients; faults; and a checker that reads
# what happened. Processes of this machine, on loopback only (it needs redis-server, haproxy, cc), or
# with --compose the cluster of docker-compose.yml (it needs a Docker engine, or root to start one).
# It ends all that it started and leaves its histories in build/fault (without --keep: those that
# failed); with --compose also images, and the packages that it installed.
set -euo pipefail

usage() {
    cat <<'END'
usage: tests/fault/run.sh [--compose] [--fault NAME]... [--all] [--pairs] [--short] [option]...

  --fault NAME     this fault; repeatable; A+B is both at once
  --all            every fault, one after the other
  --pairs          faults two at a time, by chance, for as long as --minutes says
  --short          eight faults, 40 s each
  --compose        on the cluster of docker-compose.yml, built from these sources
  --list           the names of the faults, and where each can be had
  --minutes N      how long each fault goes on and off (default 2)
  --cycle SECONDS  how long it is on, and then off (default 20)
  --seed N         the same choices again (default: by chance, and printed)
  --keep           keep the histories of runs that passed, too
  --out FOLDER     where histories go (default build/fault)

Without --compose it uses the binaries of build/release, or of the folder FRESHET_BUILD. It exits 1
when a promise was broken, 2 when it could not run.
END
}

fail() {
    echo "run.sh: $1" >&2
    exit 2
}

skip() { # of tests/compose/cluster.sh
    fail "no Docker engine can be started here: $1"
}

mode=processes
for argument in "$@"; do
    case $argument in
    --help | -h)
        usage
        exit 0
        ;;
    --compose) mode=compose ;;
    --list) mode=list && break ;;
    esac
done

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"

need() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || fail "$program is not installed; see deploy/packages.sh"
    done
    [[ -d tests/node_modules ]] || fail "no tests/node_modules: (cd tests && npm ci)"
}

run_on_processes() {
    local build=${FRESHET_BUILD:-build/release}
    need node redis-server haproxy cc setpriv
    [[ -x $build/freshet-node ]] ||
        fail "no $build/freshet-node: build it (cmake --preset release && cmake --build --preset release)"
    FRESHET_NODE="$build/freshet-node" exec node tests/fault/run.js "$@"
}

experiment= # its pid

stop_all() {
    trap '' INT TERM HUP
    if [[ -n $experiment ]]; then
        kill "$experiment" 2>/dev/null || true
        wait "$experiment" 2>/dev/null || true
    fi
    take_down
}

run_on_compose() {
    local status=0
    # shellcheck source=deploy/packages.sh
    . deploy/packages.sh
    # shellcheck source=deploy/processes.sh
    . deploy/processes.sh
    # shellcheck source=tests/compose/engine.sh
    . tests/compose/engine.sh
    # shellcheck source=tests/compose/cluster.sh
    . tests/compose/cluster.sh
    project=freshet-fault
    need node setpriv
    node tests/fault/run.js "$@" --check || exit 2
    trap stop_all EXIT
    trap 'exit 2' INT TERM HUP
    find_engine
    find_compose
    refuse_second
    FRESHET_PORT=$(first_free_port 18100 18119)
    export FRESHET_PORT
    compose_to build build node
    # In the background, because a shell hears no signal while it waits for what is in front.
    is_up=true
    FRESHET_COMPOSE="${compose[*]}" FRESHET_PROJECT=$project node tests/fault/run.js "$@" &
    experiment=$!
    wait "$experiment" || status=$?
    experiment=
    exit "$status"
}

case $mode in
list) exec node tests/fault/run.js --list ;;
compose) run_on_compose "$@" ;;
processes) run_on_processes "$@" ;;
esac
