#!/usr/bin/env bash
# The fault kit: three real nodes, Redis, HAProxy and 120 clients; faults; and a checker that reads
# what happened. Needs redis-server, haproxy, cc and Node 18; listens on loopback only, ends all
# that it started, and leaves its histories in build/fault (without --keep: those that failed).
set -euo pipefail

usage() {
    cat <<'END'
usage: tests/fault/run.sh [--fault NAME]... [--all] [--pairs] [--short] [option]...

  --fault NAME     this fault; repeatable; A+B is both at once
  --all            every fault, one after the other
  --pairs          faults two at a time, by chance, for as long as --minutes says
  --short          eight faults, 40 s each
  --list           the names of the faults
  --minutes N      how long each fault goes on and off (default 2)
  --cycle SECONDS  how long it is on, and then off (default 20)
  --seed N         the same choices again (default: by chance, and printed)
  --keep           keep the histories of runs that passed, too
  --out FOLDER     where histories go (default build/fault)

It uses the binaries of build/release, or of the folder FRESHET_BUILD. It exits 1 when a promise
was broken, 2 when it could not run.
END
}

fail() {
    echo "run.sh: $1" >&2
    exit 2
}

for argument in "$@"; do
    if [[ $argument == --help || $argument == -h ]]; then
        usage
        exit 0
    fi
done

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
build=${FRESHET_BUILD:-build/release}
for program in node redis-server haproxy cc setpriv; do
    command -v "$program" >/dev/null || fail "$program is not installed; see deploy/packages.sh"
done
[[ -x $build/freshet-node ]] ||
    fail "no $build/freshet-node: build it (cmake --preset release && cmake --build --preset release)"
[[ -d tests/node_modules ]] || fail "no tests/node_modules: (cd tests && npm ci)"

FRESHET_NODE="$build/freshet-node" exec node tests/fault/run.js "$@"
