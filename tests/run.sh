#!/usr/bin/env bash
# Installs what the tests need (Debian 12 or 13, root or sudo) and runs all of them: unit tests as
# released, under ASan + UBSan and under TSan; a second compiler; integration tests against the
# release and the ASan binary; a short load; the demo; the fault kit; the cluster in containers. It
# goes on after a failure, closes with the runners' own summaries and exits 1 if anything failed. It
# leaves the packages, build/ and node_modules.
# With --fuzz: the fuzz targets instead, and what they found in build/test-logs.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
# shellcheck source=deploy/packages.sh
. deploy/packages.sh

fast=false
fuzz=false
case ${1:-} in
--help | -h)
    echo "usage: tests/run.sh [--fast | --fuzz]"
    echo "  --fast   the release build only: no sanitizers, no second compiler"
    echo "  --fuzz   nothing but the fuzz targets, 60 s each"
    exit 0
    ;;
--fast) fast=true ;;
--fuzz) fuzz=true ;;
'') ;;
*)
    echo "run.sh: what is '$1'? see --help" >&2
    exit 2
    ;;
esac

logs=$root/build/test-logs
rm -rf "$logs"
mkdir -p "$logs"
results=()
failed=false

# step NAME COMMAND...: runs it, keeps its output and remembers how it ended.
step() {
    local name=$1 start=$SECONDS result=ok
    shift
    echo "=== $name"
    if ! "$@" </dev/null 2>&1 | tee "$logs/$name.log"; then
        result=FAILED
        failed=true
    fi
    results+=("$(printf '%-22s %-6s %4d s' "$name" "$result" $((SECONDS - start)))")
}

# Steps that need the program of a build that failed would only repeat it, slowly.
built() {
    if [[ -f build/$1/built ]]; then return; fi
    echo "not run: build/$1 was not built"
    return 1
}

# build FOLDER COMPILER PRESET. Fresh, because deploy/run.sh may have configured the folder with
# another name for the compiler: cmake would take the new one and forget the other options.
build() {
    rm -f "build/$1/built"
    cmake --fresh --preset "$3" -B "build/$1" -DCMAKE_C_COMPILER="$2" \
        -DFRESHET_TESTS=ON -DFRESHET_WERROR=ON &&
        timeout 900 cmake --build "build/$1" && touch "build/$1/built"
}

# unit_tests FOLDER [WRAPPER...]
unit_tests() {
    local folder=$1
    shift
    built "$folder" || return 1
    "$@" ctest --test-dir "build/$folder" --parallel 2 --output-on-failure --no-tests=error \
        --timeout 240
}

# A kernel that randomises many bits of an address leaves TSan of gcc 12 no room for its shadow.
unit_tests_without_randomised_addresses() {
    if setarch -R true 2>/dev/null; then
        unit_tests "$1" setarch -R
    else
        unit_tests "$1"
    fi
}

# integration_tests FOLDER FILE...
integration_tests() {
    local folder=$1
    shift
    built "$folder" || return 1
    cd tests && FRESHET_NODE="build/$folder/freshet-node" FRESHET_TOOL="build/$folder/freshet" \
        timeout -k 10 1200 node --test "$@"
}

# What balancers do is a matter of their configuration: told once.
integration_tests_without_balancers() {
    local file files=()
    for file in tests/integration/*.test.js; do
        [[ $file == */balancer-* ]] || files+=("${file#tests/}")
    done
    integration_tests "$1" "${files[@]}"
}

all_integration_tests() {
    local files=(tests/integration/*.test.js)
    integration_tests "$1" "${files[@]#tests/}"
}

# freshet-client is for Node 20 or later, and browsers.
client_tests() {
    built release || return 1
    if [[ $(node -p 'process.versions.node.split(".")[0]') -lt 20 ]]; then
        echo "not run: freshet-client needs Node 20 or later, here is $(node --version)"
        return
    fi
    (cd client-js && npm run check) && cd tests && FRESHET_NODE=build/release/freshet-node \
        timeout -k 10 600 node --test client/*.test.js
}

npm_packages() {
    (cd tests && npm ci --no-audit --no-fund) && (cd client-js && npm ci --no-audit --no-fund)
}

shell_scripts() {
    shellcheck -x .ci/run deploy/*.sh tests/*.sh tests/bench/*.sh tests/compose/*.sh \
        tests/fault/*.sh
}

# Quiet, and with the pub/sub link cut each second: nothing lost, nothing double, nobody cut off.
short_load() {
    built release || return 1
    local load=(--sse 300 --long-poll 300 --ws 300 --channels 100 --rate 200 --seconds 5)
    timeout 120 tests/bench/run.sh "${load[@]}" &&
        timeout 120 tests/bench/run.sh --nodes 2 "${load[@]}" --kill-pubsub 1
}

# Three nodes behind HAProxy, one after the other killed (-9), then drained: nothing lost, nothing
# double, no 5xx.
short_demo() {
    built release || return 1
    timeout 180 deploy/demo.sh --processes --seconds 20 --every 4 --port 18300 &&
        timeout 180 deploy/demo.sh --processes --seconds 20 --every 5 --port 18300 --drain
}

# The checker's own tests, then eight faults: nothing lost, double, out of order or needlessly reset.
fault_kit() {
    built release || return 1
    (cd tests && node --test fault/*.test.js) && timeout -k 10 900 tests/fault/run.sh --short
}

packages_to_fuzz() {
    echo libcmocka-dev clang libclang-rt-dev
}

# fuzz_target SUBJECT: an input that breaks it is written to $logs. New inputs that reach new code
# stay in build/fuzz/found, where the next run begins; the corpus is only read.
fuzz_target() {
    built fuzz || return 1
    mkdir -p "build/fuzz/found/$1"
    "build/fuzz/tests/fuzz/fuzz-$1" -max_total_time=60 -timeout=5 -max_len=16384 \
        -rss_limit_mb=1024 -malloc_limit_mb=64 -verbosity=0 -print_final_stats=1 \
        -artifact_prefix="$logs/fuzz-$1-" "build/fuzz/found/$1" "tests/fuzz/corpus/$1"
}

fuzz_targets() {
    local file subject
    install_missing packages_to_build packages_to_fuzz
    step build-fuzz build fuzz clang fuzz
    for file in tests/fuzz/fuzz_*.c; do
        subject=${file#tests/fuzz/fuzz_}
        step "fuzz-${subject%.c}" fuzz_target "${subject%.c}"
    done
}

all_tests() {
    install_missing packages_to_build packages_to_run packages_to_test
    step npm-ci npm_packages
    step shellcheck shell_scripts
    step build-release build release gcc release
    step unit-release unit_tests release
    if ! $fast; then
        step build-clang build clang clang release
        step build-asan build asan gcc asan
        step unit-asan unit_tests asan
        step build-tsan build tsan gcc tsan
        step unit-tsan unit_tests_without_randomised_addresses tsan
    fi
    step load short_load
    step demo short_demo
    if ! $fast; then step fault fault_kit; fi
    step client client_tests
    step integration-release all_integration_tests release
    if ! $fast; then
        step integration-asan integration_tests_without_balancers asan
        step compose timeout 1500 tests/compose/run.sh
    fi
}

# What failed, and the lines with which ctest and node's test runner close.
summaries() {
    local log name verdicts='^(CLEAN|FAILED)$|^[0-9]+% tests passed|^Total Test time|\*\*\*|^not ok'
    verdicts+='|^not run: |^compose test: skipped|^\| [a-z+-]+ \| [0-9]'
    verdicts+='|^(# |ℹ )(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) '
    for name in load demo fault compose unit-release unit-asan unit-tsan client integration-release \
        integration-asan; do
        log=$logs/$name.log
        [[ -f $log ]] || continue
        echo "--- $name"
        grep -E "$verdicts" "$log" || echo "it did not run to its end"
    done
}

if $fuzz; then fuzz_targets; else all_tests; fi

echo
echo "=== all steps"
printf '%s\n' "${results[@]}"
echo "all that was printed: build/test-logs/"
echo
if ! $fuzz; then summaries; fi
if $failed; then exit 1; fi
