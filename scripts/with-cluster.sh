#!/usr/bin/env bash
# with-cluster.sh CMD…: runs CMD with PGHOST, PGPORT, PGUSER and PGDATABASE of a throw-away PostgreSQL cluster.
#
# The cluster listens on a unix socket that only its owner and root can reach, and is gone when CMD ends. The exit
# code is CMD's, except that a crash of the server is always an error.
#   PGBIN=DIR        programs of another server (default: the private copy)
#   PGEXTRA=LINES    added to postgresql.conf
#   DURABLE=1        keep fsync and full_page_writes on
#   CLUSTER_LOG=FILE where to leave the server's log
set -euo pipefail
here=$PWD
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$here"

if [ -z "${PGBIN:-}" ]; then
    server_layout
    PGBIN=$SERVER_BIN
    [ -x "$PGBIN/postgres" ] || die "there is no private server yet: run scripts/private-server.sh"
fi
# Settings for the caller's own databases must not reach ours.
unset PGSERVICE PGHOSTADDR PGPASSWORD PGOPTIONS PGTZ PGDATESTYLE PGCLIENTENCODING PGAPPNAME PGSSLMODE

# initdb and postgres refuse to run as root. The folder changes because postgres may be unable to enter this one.
as_owner() {
    if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi
}

# A folder that the server can enter, short enough for a socket's path (107 bytes).
make_home() {
    local base
    for base in "${TMPDIR:-/tmp}" /tmp /var/tmp; do
        [ ${#base} -le 70 ] || continue
        home=$(mktemp -d "$base/erp.XXXXXX" 2>/dev/null) || continue
        [ "$(id -u)" != 0 ] || chown postgres: "$home"
        if as_owner test -w "$home"; then return; fi
        rmdir "$home"
    done
    die "no folder for a cluster: neither TMPDIR, /tmp nor /var/tmp will do"
}

settings() {
    cat <<CONF
listen_addresses = ''
port = 5432
unix_socket_directories = '$home'
timezone = 'UTC'
log_timezone = 'UTC'
shared_buffers = '256MB'
work_mem = '64MB'
max_wal_size = '4GB'
log_checkpoints = off
log_min_messages = 'warning'
CONF
    if [ "${DURABLE:-0}" != 1 ]; then printf '%s = off\n' fsync synchronous_commit full_page_writes; fi
    printf '%s\n' "${PGEXTRA:-}"
}

# shellcheck disable=SC2317 # the trap calls it
remove() {
    if [ -e "$home/data/postmaster.pid" ]; then
        as_owner "$PGBIN/pg_ctl" -D "$home/data" -m immediate -w stop >/dev/null 2>&1 || true
    fi
    if [ -n "${CLUSTER_LOG:-}" ] && [ -e "$home/log" ]; then cat "$home/log" >"$CLUSTER_LOG" || true; fi
    rm -rf "$home"
}

make_home
trap remove EXIT
as_owner "$PGBIN/initdb" -D "$home/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync \
    >"$home/initdb.log" 2>&1 || { cat "$home/initdb.log" >&2; exit 1; }
settings >"$home/settings.conf"
chmod 644 "$home/settings.conf"
echo "include '$home/settings.conf'" >>"$home/data/postgresql.conf"
as_owner "$PGBIN/pg_ctl" -D "$home/data" -l "$home/log" -w -t 60 start >/dev/null 2>&1 </dev/null ||
    { cat "$home/log" >&2; die "the server did not start"; }

export PGBIN PATH=$PGBIN:$PATH PGHOST=$home PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
rc=0
"$@" || rc=$?

# The last phrase is there for a backend that leaves by _exit(): no signal, but every session dies all the same.
crashed() {
    grep -qE 'PANIC:  |LOG:  (.* was terminated by signal|terminating any other active server processes)' "$home/log"
}
fail() {
    echo "$1; the end of the server's log:" >&2
    tail -n 30 "$home/log" >&2
    exit 1
}

# Looked at twice: a server that is recovering may not stop in time, and only after a polite stop the log is complete
# (an immediate one can hide a crash of the last moment).
if crashed; then fail "the server crashed"; fi
stopped=1
as_owner "$PGBIN/pg_ctl" -D "$home/data" -m fast -w -t 30 stop >/dev/null 2>&1 || stopped=0
if crashed; then fail "the server crashed"; fi
[ $stopped = 1 ] || fail "the server did not stop within 30 seconds"
exit $rc
