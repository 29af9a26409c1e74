# shellcheck shell=bash
# The Debian packages that Freshet needs, and how scripts get those that are missing. For Debian 12
# and 13. Source it; alone it does nothing. What it installs stays installed.

# llhttp is a library on 13; on 12 its C sources come with node-llhttp and are compiled in.
llhttp_package() {
    if [[ -n $(apt-cache search --names-only '^libllhttp-dev$' 2>/dev/null) ]]; then
        echo libllhttp-dev
    else
        echo node-llhttp
    fi
}

packages_to_build() {
    echo gcc libc6-dev cmake ninja-build pkg-config \
        libuv1-dev libhiredis-dev libmsgpack-dev libssl-dev zlib1g-dev libjansson-dev
    llhttp_package
}

packages_to_run() {
    echo redis-server redis-tools haproxy curl ca-certificates
}

# clang compiles all of it a second time; chromium is one of the clients nobody here wrote; patch
# sows the bugs that the fault kit must find.
packages_to_test() {
    echo libcmocka-dev clang nginx-light caddy openssl chromium python3-websockets shellcheck patch
    if ! has_node; then echo nodejs npm; fi
}

# Node 18 or later with npm, from wherever.
has_node() {
    command -v npm >/dev/null && command -v node >/dev/null &&
        node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 18 ? 0 : 1)'
}

is_installed() {
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

as_root() {
    if [[ $(id -u) -eq 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo -- "$@"
    else
        echo "this needs root: run it as root, or install sudo: $*" >&2
        return 1
    fi
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -y -qq -o DPkg::Lock::Timeout=300 "$@" </dev/null >/dev/null
}

# install_missing LIST_FUNCTION...: installs what of these lists is not there yet, and says so.
install_missing() {
    if ! command -v apt-get >/dev/null; then
        echo "no apt-get here: Freshet's scripts install on Debian 12 and 13 only" >&2
        return 1
    fi
    # Which package is right is read from the package lists, and a fresh machine may have none.
    if [[ -z $(apt-cache search --names-only '^libuv1-dev$' 2>/dev/null) ]]; then
        echo "reading the package lists (apt-get update)"
        apt_get update
    fi
    local list package missing=()
    for list in "$@"; do
        for package in $($list); do
            is_installed "$package" || missing+=("$package")
        done
    done
    if [[ ${#missing[@]} -eq 0 ]]; then return; fi
    echo "installing with apt-get, which may take a minute or two: ${missing[*]}"
    apt_get update
    apt_get install --no-install-recommends "${missing[@]}"
}
