#!/usr/bin/env bash
# bench.sh [ARGS]: runs the benchmarks of benches/ in a throw-away cluster. PGEXTRA replaces the settings given here.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

stage "benchmarks"
quiet build-bench cargo build --release -p erp_bench "${LOCKED[@]}"
# Large enough that what is measured stays in memory.
export PGEXTRA=${PGEXTRA:-shared_buffers = '1GB'}
scripts/with-cluster.sh cargo run --release -q -p erp_bench "${LOCKED[@]}" -- "$@"
