#!/usr/bin/env bash
# Removes everything that was built, and the private server.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

if command -v cargo >/dev/null; then cargo clean -q; fi
rm -rf "$SERVER" "$SERVER.new" "$PACKAGE" "$LOGS" target/regress benches/node/node_modules
# As root, the folder in /var/tmp existed for the server alone.
[ "$STATE" = "$ROOT/target" ] || rm -rf "$STATE"
