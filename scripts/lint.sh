#!/usr/bin/env bash
# Formatting and clippy, warnings denied. --fix formats instead of complaining, and runs no clippy.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

# A minimal Rust lacks both; rustup knows where they are.
if ! { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1; then
    rustup component add rustfmt clippy
fi
# Not a member of the workspace; clippy would build the engines that it compares.
engines=benches/engines/Cargo.toml
if [ "${1:-}" = --fix ]; then
    cargo fmt --all
    exec cargo fmt --manifest-path "$engines"
fi
choose_postgres
rc=0
cargo fmt --all --check || rc=$?
cargo fmt --manifest-path "$engines" --check || rc=$?
cargo clippy --workspace --all-targets "${FEATURES[@]}" "${LOCKED[@]}" -- -D warnings || rc=$?
exit $rc
