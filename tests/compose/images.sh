#!/usr/bin/env bash
# Makes stand-ins for the images that docker-compose.yml and deploy/Dockerfile begin with, for
# machines that cannot pull them: debian:trixie-slim by debootstrap, redis:8 and haproxy:3.0 from
# Debian 13's packages on it, with the paths, users and entrypoints of the official ones.
#
# An image of such a name that is no stand-in is used as it is. It leaves the images in the engine,
# and a copy in build/compose/, from which the next run takes them; debootstrap needs root.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=deploy/packages.sh
. "$root/deploy/packages.sh"

label=freshet.stand-in
recipe=$(sha256sum "${BASH_SOURCE[0]}" | cut -c 1-12) # stand-ins of another recipe are made anew
cache=$root/build/compose
archive=$cache/images-$recipe.tar
images=(debian:trixie-slim redis:8 haproxy:3.0)
scratch=

case ${1:-} in
--help | -h)
    echo "usage: tests/compose/images.sh"
    echo "  makes debian:trixie-slim, redis:8 and haproxy:3.0 where the engine has none"
    exit 0
    ;;
'') ;;
*)
    echo "images.sh: what is '$1'? see --help" >&2
    exit 2
    ;;
esac

clean_up() {
    [[ -z $scratch ]] || as_root rm -rf "$scratch"
}

# kind IMAGE: "real", the recipe of a stand-in, or nothing when there is no such image.
kind() {
    docker image inspect -f "{{or (index .Config.Labels \"$label\") \"real\"}}" "$1" 2>/dev/null || true
}

is_there() {
    [[ $(kind "$1") == real || $(kind "$1") == "$recipe" ]]
}

all_are_there() {
    local image
    for image in "${images[@]}"; do is_there "$image" || return 1; done
}

# Where this machine gets its packages; elsewhere than on Debian, debootstrap's default.
mirror() {
    # shellcheck disable=SC2016 # apt-get's variable
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
        'Label: Debian' 2>/dev/null | head -n 1
}

# What the official slim image has beside packages, as a tar file: apt keeps no caches, dpkg unpacks
# no documentation, and no service starts when it is installed.
slim_down() {
    local extra=$scratch/extra
    mkdir -p "$extra"/etc/apt/apt.conf.d "$extra"/etc/dpkg/dpkg.cfg.d "$extra"/usr/sbin
    cat >"$extra/etc/apt/apt.conf.d/docker-clean" <<'EOD'
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
EOD
    printf 'path-exclude /usr/share/%s/*\n' doc locale man >"$extra/etc/dpkg/dpkg.cfg.d/docker"
    printf '#!/bin/sh\nexit 101\n' >"$extra/usr/sbin/policy-rc.d"
    chmod 755 "$extra/usr/sbin/policy-rc.d"
    tar -C "$extra" --owner 0 --group 0 -c etc usr/sbin/policy-rc.d
}

make_debian() {
    local tree log
    scratch=$(mktemp -d)
    tree=$scratch/tree
    log=$scratch/debootstrap.log
    # shellcheck disable=SC2046 # no mirror: no argument
    if ! as_root debootstrap --variant=minbase trixie "$tree" $(mirror) >"$log" 2>&1; then
        tail -n 5 "$log" >&2
        echo "images.sh: debootstrap failed; its last lines are above" >&2
        exit 1
    fi
    as_root rm -rf "$tree"/var/cache/apt/* "$tree"/var/lib/apt/lists/* "$tree"/usr/share/doc/* \
        "$tree"/usr/share/locale/* "$tree"/usr/share/man/* "$tree"/dev/*
    slim_down | as_root tar -C "$tree" -x
    as_root tar -C "$tree" -c . |
        docker import -c "LABEL $label=$recipe" -c 'CMD ["bash"]' - debian:trixie-slim >/dev/null
}

# make IMAGE: of the Dockerfile on standard input; what is built shows only when it fails.
make() {
    local output
    if ! output=$(docker build --label "$label=$recipe" -t "$1" - 2>&1); then
        printf '%s\n' "$output" | tail -n 20 >&2
        echo "images.sh: $1 was not built; the last lines are above" >&2
        exit 1
    fi
}

make_redis() {
    make redis:8 <<'EOD'
FROM debian:trixie-slim
RUN apt-get update && apt-get install -y --no-install-recommends redis-server redis-tools \
    && rm -rf /var/lib/apt/lists/* && install -d -o redis -g redis /data
VOLUME /data
WORKDIR /data
USER redis
EXPOSE 6379
CMD ["redis-server"]
EOD
}

# The official entrypoint puts master-worker mode in front of what it is told.
make_haproxy() {
    make haproxy:3.0 <<'EOD'
FROM debian:trixie-slim
RUN apt-get update && apt-get install -y --no-install-recommends haproxy \
    && rm -rf /var/lib/apt/lists/* \
    && printf '#!/bin/sh\nshift\nexec haproxy -W -db "$@"\n' >/usr/local/bin/docker-entrypoint.sh \
    && chmod 755 /usr/local/bin/docker-entrypoint.sh
WORKDIR /var/lib/haproxy
USER haproxy
STOPSIGNAL SIGUSR1
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
EOD
}

# Only stand-ins are copied, and a copy is loaded only where it replaces nothing real.
keep_copy() {
    local image
    for image in "${images[@]}"; do
        [[ $(kind "$image") == "$recipe" ]] || return 0
    done
    mkdir -p "$cache"
    rm -f "$cache"/images-*.tar
    docker save -o "$archive.part" "${images[@]}"
    mv "$archive.part" "$archive"
}

load_copy() {
    local image
    [[ -f $archive ]] || return 1
    for image in "${images[@]}"; do
        [[ $(kind "$image") != real ]] || return 1
    done
    docker load -q -i "$archive" >/dev/null && all_are_there
}

main() {
    if all_are_there; then return; fi
    trap clean_up EXIT
    local start=$SECONDS
    if load_copy; then
        echo "stand-in images: loaded in $((SECONDS - start)) s"
        return
    fi
    is_there debian:trixie-slim || make_debian
    is_there redis:8 || make_redis
    is_there haproxy:3.0 || make_haproxy
    echo "stand-in images: made in $((SECONDS - start)) s"
    keep_copy
}

main
