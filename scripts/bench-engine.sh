#!/usr/bin/env bash
# bench-engine.sh [ARGS]: measures the engine alone, without a server. ARGS are criterion's: a filter, --save-baseline …
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

stage "benchmarks of the engine"
quiet build-bench-engine cargo bench -p erp_engine --bench engine --no-run "${LOCKED[@]}"
exec cargo bench -q -p erp_engine --bench engine "${LOCKED[@]}" -- "$@"
