#!/usr/bin/env bash
# Runs demo.sql in a new database `demo` of the server that PGHOST names. --psql stays in that database afterwards.
set -euo pipefail

createdb -T template0 demo
PAGER='' psql -X -q -v ON_ERROR_STOP=1 -d demo -f "$(dirname "$0")/demo.sql"
if [ "${1:-}" = --psql ]; then
    echo "This is psql in the demo's database. It is thrown away when you leave: \q"
    psql -d demo
fi
