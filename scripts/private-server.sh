#!/usr/bin/env bash
# Installs what was built into a private copy of the server. Demo and tests use that copy: they need no rights on
# the machine's own server and leave no trace in it.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
umask 022 # as root, user postgres must be able to read the copy
server_layout

# Copies a folder to the same place below the new prefix, once.
copy() {
    local to=$new/${1#"$PREFIX"}
    [ ! -e "$to" ] || return 0
    mkdir -p "$(dirname "$to")"
    cp -a "$1" "$to"
}

copy_server() {
    local home=${BINDIR%/*} new=$SERVER.new include
    case $home in
        / | /usr | /usr/local) die "$BINDIR holds more than PostgreSQL; choose another PG_CONFIG" ;;
    esac
    stage "private copy of the server in $SERVER"
    rm -rf "$SERVER" "$new"
    copy "$home"
    copy "$("$PG_CONFIG" --sharedir)"
    copy "$("$PG_CONFIG" --pkglibdir)"
    include=$("$PG_CONFIG" --includedir-server)
    if [ ! -e "$new/${include#"$PREFIX"}" ]; then
        mkdir -p "$(dirname "$new/${include#"$PREFIX"}")"
        ln -s "$include" "$new/${include#"$PREFIX"}"
    fi
    echo "$stamp" >"$new/stamp"
    mv "$new" "$SERVER"
}

# /var/tmp is everybody's: a folder that somebody else put there is not to be trusted.
mkdir -p "$STATE"
if [ ! -O "$STATE" ] || [ -L "$STATE" ]; then die "$STATE belongs to somebody else"; fi

# Extensions that came since count as another server.
stamp="$PG_CONFIG $("$PG_CONFIG" --version) $(ls "$("$PG_CONFIG" --sharedir)/extension" | grep -v '^erp_toolkit' | cksum)"
[ "$(cat "$SERVER/stamp" 2>/dev/null)" = "$stamp" ] || copy_server

export PG_CONFIG=$SERVER_BIN/pg_config
unset DESTDIR
# Nothing of an earlier version, or of one installed on the machine, may answer for what was built now.
rm -f "$("$PG_CONFIG" --sharedir)"/extension/erp_toolkit* "$("$PG_CONFIG" --pkglibdir)/erp_toolkit.so"
exec scripts/install.sh --no-build
