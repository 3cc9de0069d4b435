#!/usr/bin/env bash
# bench.sh [ARGS]: runs the benchmarks of benches/ in a throw-away cluster. PGEXTRA replaces the settings given here.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

has_node() { command -v node >/dev/null && command -v npm >/dev/null; }

# Whether the Node.js worker takes part.
with_node() {
    case " $* " in *" --without-node "* | *" --scale "* | *" --connections "* | *" --memory "* | *" --inbox "* | *" --help "*) return 1 ;; esac
}

# The contender outside the database, and the packages it is made of.
prepare_node() {
    has_node || scripts/setup.sh nodejs npm || die "--without-node leaves the Node.js worker out"
    has_node || die "node and npm are not on the PATH; --without-node leaves the Node.js worker out"
    local lock=benches/node/package-lock.json installed=benches/node/node_modules/.package-lock.json
    [ "$installed" -nt "$lock" ] || quiet npm npm ci --prefix benches/node --no-audit --no-fund
}

stage "benchmarks"
if with_node "$@"; then prepare_node; fi
quiet build-bench cargo build --release -p erp_bench "${LOCKED[@]}"
# Large enough that what is measured stays in memory.
export PGEXTRA=${PGEXTRA:-shared_buffers = '1GB'}
scripts/with-cluster.sh cargo run --release -q -p erp_bench "${LOCKED[@]}" -- "$@"
