#!/usr/bin/env bash
# bench-engines.sh [PART…]: compares engines for JSONata; the parts are speed, memory and hostile, all without arguments.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

# No member of the workspace: it has a Cargo.lock of its own, and nothing else waits for its build.
crate=(--manifest-path benches/engines/Cargo.toml)
export CARGO_TARGET_DIR=$ROOT/target/engines

stage "engines for JSONata, some minutes to build the first time"
quiet build-engines cargo build --release "${crate[@]}" "${LOCKED[@]}"
exec "$CARGO_TARGET_DIR/release/erp_bench_engines" "$@"
