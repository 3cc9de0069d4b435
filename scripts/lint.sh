#!/usr/bin/env bash
# Formatting and clippy, warnings denied. --fix formats instead of complaining, and runs no clippy.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

# A minimal Rust lacks both; rustup knows where they are.
if ! { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1; then
    rustup component add rustfmt clippy
fi
# Not members of the workspace; clippy would build the engines that are compared, and the fuzzer. What the fuzzer runs
# is in the engine's tests too.
others=(benches/engines/Cargo.toml fuzz/Cargo.toml)
if [ "${1:-}" = --fix ]; then
    cargo fmt --all
    for crate in "${others[@]}"; do cargo fmt --manifest-path "$crate"; done
    exit
fi
choose_postgres
rc=0
cargo fmt --all --check || rc=$?
for crate in "${others[@]}"; do cargo fmt --manifest-path "$crate" --check || rc=$?; done
cargo clippy --workspace --all-targets "${FEATURES[@]}" "${LOCKED[@]}" -- -D warnings || rc=$?
exit $rc
