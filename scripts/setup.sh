#!/usr/bin/env bash
# setup.sh [PACKAGE…]: makes sure the machine has what build, demo and tests need, and the Debian packages named: installs
# it as root, names it otherwise. A package of Debian's PostgreSQL is named postgresql-*-NAME, whatever its version.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

packages=(gcc libc6-dev clang libclang-dev)
if [[ $PG_CONFIG =~ ^/usr/lib/postgresql/([0-9]+)/bin/pg_config$ ]]; then
    packages+=("postgresql-${BASH_REMATCH[1]}" "postgresql-server-dev-${BASH_REMATCH[1]}")
    packages+=("${@/#postgresql-\*-/postgresql-${BASH_REMATCH[1]}-}")
else
    for package; do [[ $package == postgresql-\*-* ]] || packages+=("$package"); done
fi

missing_packages() {
    comm -23 <(printf '%s\n' "${packages[@]}" | sort) \
        <({ dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "${packages[@]}" 2>/dev/null || true; } |
            sed -n 's/^.i. //p' | sort -u)
}

# A freshly installed server package creates and starts a cluster. Nobody here needs one, so that is switched off
# while we install; clusters that exist are left alone.
install_packages() {
    local switch=/etc/postgresql-common/createcluster.d/erp_toolkit.conf rc=0
    mkdir -p "${switch%/*}"
    echo "create_main_cluster = false" >"$switch"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q &&
        apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 \
            -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" || rc=$?
    rm -f "$switch"
    return $rc
}

command -v cargo >/dev/null || die "cargo is not on the PATH: install Rust 1.95 or newer (https://rustup.rs)"
if [ -e target ] && [ ! -w target ]; then
    die "target/ belongs to $(stat -c %U target): remove it, or build as that user"
fi

# Where there is no dpkg, the compiler's own words have to do.
command -v dpkg-query >/dev/null || exit 0
mapfile -t missing < <(missing_packages)
[ ${#missing[@]} -gt 0 ] || exit 0

get="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
[ "$(id -u)" = 0 ] || die "Debian packages are missing; run as root: $get"
stage "set-up: installing ${missing[*]}"
quiet setup install_packages "${missing[@]}" || die "could not install: $get"
