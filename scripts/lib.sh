# shellcheck shell=bash disable=SC2034
# What every script shares: where things are, and how to run a stage quietly. Sourced, never run.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$ROOT" || exit

# One order of file names and one language of messages, wherever this runs.
export LC_ALL=C.UTF-8
# With it, pgrx puts a backtrace into the DETAIL of every error.
unset RUST_BACKTRACE

# The major version of Debian's PostgreSQL: one that is installed, or else the one that this Debian has.
debian_postgres() {
    local major
    for major in 15 16 17 18; do
        [ ! -x "/usr/lib/postgresql/$major/bin/postgres" ] || { echo "$major"; return; }
    done
    case $(cat /etc/debian_version 2>/dev/null) in 13*) echo 17 ;; *) echo 15 ;; esac
}

PG_CONFIG=${PG_CONFIG:-/usr/lib/postgresql/$(debian_postgres)/bin/pg_config}
LOGS=$ROOT/target/test-logs
PACKAGE=$ROOT/target/package

# The private server goes below target/. Root is the exception: there the server runs as user postgres, and a
# checkout may lie below a directory that postgres cannot enter (/root), so root's copy is always in /var/tmp.
if [ "$(id -u)" = 0 ]; then
    STATE=/var/tmp/erp_toolkit-$(printf '%s' "$ROOT" | sha256sum | cut -c1-8)
else
    STATE=$ROOT/target
fi
SERVER=$STATE/server

# rustup's folder is on the PATH of login shells only.
if ! command -v cargo >/dev/null && [ -x "${CARGO_HOME:-${HOME:-/root}/.cargo}/bin/cargo" ]; then
    PATH=${CARGO_HOME:-${HOME:-/root}/.cargo}/bin:$PATH
fi
# A build server must not repair a stale Cargo.lock silently.
LOCKED=(${CI:+--locked})

die() { printf 'erp_toolkit: %s\n' "$*" >&2; exit 1; }

stage() { printf '== %s\n' "$*"; }

# keep NAME CMD…: output goes to LOGS/NAME.log, and to the terminal as well with VERBOSE=1.
keep() {
    local log=$LOGS/$1.log
    shift
    mkdir -p "$LOGS"
    if [ -n "${VERBOSE:-}" ]; then
        "$@" </dev/null 2>&1 | tee "$log"
    else
        "$@" >"$log" 2>&1 </dev/null
    fi
}

# quiet NAME CMD…: like keep, and shows what was kept when CMD fails.
quiet() {
    local rc=0
    keep "$@" || rc=$?
    if [ $rc != 0 ] && [ -z "${VERBOSE:-}" ]; then cat "$LOGS/$1.log" >&2; fi
    return $rc
}

pg_major() { "$PG_CONFIG" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/'; }

# Tells cargo which PostgreSQL to build for, in FEATURES and in pgrx's own variable.
choose_postgres() {
    [ -x "$PG_CONFIG" ] || die "PG_CONFIG=$PG_CONFIG is not a program"
    export PGRX_PG_CONFIG_PATH=$PG_CONFIG
    FEATURES=(--no-default-features --features "erp_toolkit/pg$(pg_major)")
}

# Where the private server keeps its programs. A PostgreSQL finds its files relative to its own programs, so the
# copy has the layout of the original below the folder that programs and shared files have in common.
server_layout() {
    local share
    BINDIR=$("$PG_CONFIG" --bindir)
    share=$("$PG_CONFIG" --sharedir)
    PREFIX=$BINDIR
    while [[ $share != "$PREFIX"/* ]]; do PREFIX=${PREFIX%/*}; done
    SERVER_BIN=$SERVER/${BINDIR#"$PREFIX"/}
}
