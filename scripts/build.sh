#!/usr/bin/env bash
# Builds the library and collects everything that is installed in target/package.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
choose_postgres

version=$(sed -n '/^\[workspace\.package\]/,/^\[/ s/^version *= *"\(.*\)".*/\1/p' Cargo.toml)
[ -n "$version" ] || die "no version in [workspace.package] of Cargo.toml"

# The install script: its parts in the order of their names.
install_script() {
    printf '%s\n' '\echo Use "CREATE EXTENSION erp_toolkit" to load this file. \quit'
    local part
    for part in sql/install/*.sql; do
        [ -e "$part" ] || die "sql/install has no parts"
        printf '\n'
        awk 1 "$part" # ends with a newline even if the file does not
    done
}

first=
[ -e "$PACKAGE/erp_toolkit.so" ] || first=", some minutes the first time"
stage "build for PostgreSQL $(pg_major)$first"
quiet build cargo build --release -p erp_toolkit "${FEATURES[@]}" "${LOCKED[@]}"
target=$(cargo metadata --no-deps --format-version 1 "${LOCKED[@]}" | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')

rm -rf "$PACKAGE"
mkdir -p "$PACKAGE"
sed "s/@CARGO_VERSION@/$version/" erp_toolkit.control >"$PACKAGE/erp_toolkit.control"
for update in sql/erp_toolkit--*--*.sql; do
    [ ! -e "$update" ] || cp "$update" "$PACKAGE/"
done
install_script >"$PACKAGE/erp_toolkit--$version.sql"
# Last: with it the package counts as complete.
cp "$target/release/liberp_toolkit.so" "$PACKAGE/erp_toolkit.so"
