#!/usr/bin/env bash
# Installs into the PostgreSQL of PG_CONFIG, below DESTDIR if that is set. Builds first, but not in somebody else's
# target/ (`make build`, then `sudo make install`), where root would leave files that the owner cannot replace.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

if [ "${1:-}" != --no-build ] && { [ ! -e target ] || [ -O target ]; }; then
    scripts/setup.sh
    scripts/build.sh
fi
[ -e "$PACKAGE/erp_toolkit.so" ] || die "nothing is built yet: run make build as $(stat -c %U target)"

lib=${DESTDIR:-}$("$PG_CONFIG" --pkglibdir)
extension=${DESTDIR:-}$("$PG_CONFIG" --sharedir)/extension
install -d "$lib" "$extension"
install -m 755 "$PACKAGE/erp_toolkit.so" "$lib/"
install -m 644 "$PACKAGE/erp_toolkit.control" "$PACKAGE"/*.sql "$extension/"
[ "${1:-}" = --no-build ] || stage "installed into $lib and $extension"
