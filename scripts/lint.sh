#!/usr/bin/env bash
# Formatting and clippy, warnings denied. --fix formats instead of complaining, and runs no clippy.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

# A minimal Rust lacks both; rustup knows where they are.
if ! { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1; then
    rustup component add rustfmt clippy
fi
if [ "${1:-}" = --fix ]; then
    exec cargo fmt --all
fi
choose_postgres
rc=0
cargo fmt --all --check || rc=$?
cargo clippy --workspace --all-targets "${FEATURES[@]}" "${LOCKED[@]}" -- -D warnings || rc=$?
exit $rc
