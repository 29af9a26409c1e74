#!/usr/bin/env bash
# Checks the checker: builds the product with one bug after the other (mutants/*.patch), runs the
# fault kit on each, and says which promise was seen to be broken. First the product as it is, in
# which nothing may be found. It works in a copy of the sources, build/mutants, and leaves it there.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
patches=$root/tests/fault/mutants
work=$root/build/mutants
minutes=5
names=()
options=()

# What each is put through, in this order, until something is found.
faults=(pubsub-away failover failover-twice-old-master pubsub-black-hole redis-flushed redis-stop
    channels-deleted)

usage() {
    cat <<END
usage: tests/fault/mutants.sh [NAME...] [--minutes N] [--seed N] [--check]

  NAME         a mutant, as 07 or 07-reuse-epoch, or 00 for the product as it is (default: all)
  --minutes N  the longest that one is run, all faults together (default 5)
  --seed N     handed to run.sh
  --check      only say whether each patch still applies

Faults, one after the other until something is found: ${faults[*]}
END
}

fail() {
    echo "mutants.sh: $1" >&2
    exit 2
}

check=false
while (($# > 0)); do
    case $1 in
    --help | -h)
        usage
        exit 0
        ;;
    --minutes | --seed)
        (($# > 1)) || fail "$1 needs a number"
        if [[ $1 == --minutes ]]; then minutes=$2; else options+=(--seed "$2"); fi
        shift
        ;;
    --check) check=true ;;
    -*) fail "what is '$1'? see --help" ;;
    *) names+=("$1") ;;
    esac
    shift
done

# The sources of the product alone: neither tests nor packages.
copy_sources() {
    mkdir -p "$1"
    tar -C "$root" -cf - --exclude=node_modules \
        CMakeLists.txt CMakePresets.json cluster node client-js | tar -C "$1" -xf -
}

# apply TREE PATCH OPTION...
apply() {
    local tree=$1 patch=$2
    shift 2
    patch -d "$tree" -p1 --silent --force --no-backup-if-mismatch "$@" <"$patch"
}

# All patches, or those that were named.
wanted() {
    if ((${#names[@]} == 0)); then
        printf '%s\n' original
        find "$patches" -name '*.patch' | sort
        return
    fi
    local name found
    for name in "${names[@]}"; do
        if [[ $name == 00 || $name == original ]]; then
            echo original
            continue
        fi
        found=$(find "$patches" -name "$name*.patch" | head -1)
        [[ -n $found ]] || fail "no mutant $name"
        echo "$found"
    done
}

check_patches() {
    local tree patch bad=0
    tree=$(mktemp -d)
    copy_sources "$tree"
    while read -r patch; do
        if [[ $patch == original ]]; then continue; fi
        if apply "$tree" "$patch" --dry-run >/dev/null; then
            echo "applies: $(basename "$patch")"
        else
            echo "DOES NOT APPLY: $(basename "$patch")"
            bad=1
        fi
    done < <(wanted)
    rm -rf "$tree"
    return "$bad"
}

# build NAME PATCH|original: in one tree, so that only what the patch touches is compiled. The patch
# is taken back at once: files get a new time by that, and are compiled again.
build() {
    local name=$1 patch=$2
    touch "$work/tree/patched"
    if [[ $patch != original ]]; then apply "$work/tree" "$patch"; fi
    (cd "$work/tree" && cmake --preset release -B "$work/tree/build" && nice cmake --build build) \
        >"$work/$name.build.log" 2>&1 || fail "$name does not build: see $work/$name.build.log"
    if [[ $patch != original ]]; then apply "$work/tree" "$patch" --reverse; fi
    rm "$work/tree/patched"
    mkdir -p "$work/$name"
    cp "$work/tree/build/freshet-node" "$work/$name/"
}

# put_through NAME: what was found, by which fault; empty when nothing was.
put_through() {
    local name=$1 fault broken each
    each=$(awk -v minutes="$minutes" -v n="${#faults[@]}" 'BEGIN { print minutes / n }')
    for fault in "${faults[@]}"; do
        if ! FRESHET_BUILD="$work/$name" "$root/tests/fault/run.sh" --fault "$fault" \
            --minutes "$each" --cycle 12 --out "$work/$name" "${options[@]}" \
            >"$work/$name/$fault.log" 2>&1 </dev/null; then
            broken=$(sed -n 's/^| .* | FAILED \(.*\) |$/\1/p' "$work/$name/$fault.log" | head -1)
            echo "$fault: ${broken:-it did not run; see $work/$name/$fault.log}"
            return
        fi
    done
}

if $check; then
    check_patches
    exit
fi

# One that was left half-way may hold objects of another mutant.
if [[ -e $work/tree/patched ]]; then rm -rf "$work/tree"; fi
copy_sources "$work/tree"
found=0
total=0
status=0
while read -r patch; do
    name=$(basename "$patch" .patch)
    build "$name" "$patch"
    result=$(put_through "$name")
    if [[ $patch == original ]]; then
        if [[ -n $result ]]; then status=1; fi
        printf '%-28s %s\n' "$name" "${result:-nothing found, as it should be}"
        continue
    fi
    total=$((total + 1))
    if [[ -n $result && $result != *'did not run'* ]]; then
        found=$((found + 1))
        printf '%-28s found by %s\n' "$name" "$result"
    else
        status=1
        printf '%-28s NOT FOUND %s\n' "$name" "$result"
    fi
done < <(wanted)
echo "found: $found of $total"
exit "$status"
