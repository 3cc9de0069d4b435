#!/usr/bin/env bash
# test.sh [PART…]: runs the parts lint, engine, regress, isolation, sql and statements (all of them without arguments).
#
# NAME='…' chooses tests: files for regress and isolation, a filter for engine and sql. The last line is "N passed, N failed", the sum of
# what the runners say themselves; a part that breaks or runs no test at all counts as one failure, so that line
# is never better than the exit code.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

results=$LOGS/results # a line per part: name, passed, failed
regress=$ROOT/tests/pg_regress
regress_out=$ROOT/target/regress
isolation=$ROOT/tests/isolation
isolation_out=$ROOT/target/isolation

# Reads "passed failed" from the summary lines of cargo test and of pg_regress (up to 15, and since 16).
count() {
    awk '
        function number_before(word,   i) { for (i = 2; i <= NF; i++) if ($i ~ "^" word) return $(i - 1); return 0 }
        /^test result:/                       { passed += number_before("passed"); failed += number_before("failed") }
        /^(#| ) ?All [0-9]+ tests passed/     { passed += number_before("tests") }
        /^(#| ) ?[0-9]+ of [0-9]+ tests failed/ { n = number_before("of"); failed += n; passed += number_before("tests") - n }
        END { print passed + 0, failed + 0 }' "$1"
}

# part NAME CMD…: runs one part, shows its summary, or what went wrong, and notes the result.
part() {
    local name=$1 log=$LOGS/$1.log rc=0 passed failed
    keep "$@" || rc=$?
    read -r passed failed < <(count "$log")
    if [ $rc = 0 ] && [ $((passed + failed)) = 0 ] && [ "$name" != lint ]; then
        echo "no test ran"
        rc=1
    fi
    if [ -z "${VERBOSE:-}" ]; then
        if [ $rc = 0 ]; then
            grep -E '^test result:|tests passed' "$log" | grep -v ' 0 passed; 0 failed' || true
        else
            grep -vE '^test .*\.\.\. ok|^ok |^ *(Compiling|Checking) |^$' "$log" || true
        fi
    fi
    if [ $rc != 0 ]; then
        echo "failed: $name (log: $log)"
        [ "$failed" -gt 0 ] || failed=1
    fi
    echo "$name $passed $failed" >>"$results"
}

# The one that came with the server's development files; PG_REGRESS names another where those have none that works.
pg_regress() {
    "${PG_REGRESS:-$(dirname "$("$PG_CONFIG" --pgxs)")/../test/regress/pg_regress}" "$@"
}

# Its sibling for several sessions step by step; PG_ISOLATION_REGRESS names another.
pg_isolation_regress() {
    "${PG_ISOLATION_REGRESS:-$(dirname "$("$PG_CONFIG" --pgxs)")/../test/isolation/pg_isolation_regress}" "$@"
}

# compare PROGRAM FOLDER SUBFOLDER:SUFFIX OUT NAMES…: runs PROGRAM on those files of FOLDER, in a database named like
# OUT. It gives up at a test without an expected file; an empty one makes it show the whole output as a difference, and
# go on.
compare() {
    local program=$1 folder=$2 kind=$3 out=$4 unwritten=() name rc=0
    shift 4
    [ $# -gt 0 ] || { echo "$folder/${kind%:*} is empty"; return 1; }
    for name; do
        [ -e "$folder/${kind%:*}/$name.${kind#*:}" ] || { echo "there is no $folder/${kind%:*}/$name.${kind#*:}"; return 1; }
        [ -e "$folder/expected/$name.out" ] || unwritten+=("$folder/expected/$name.out")
    done
    rm -rf "$out"
    mkdir -p "$out"
    [ ${#unwritten[@]} = 0 ] || touch "${unwritten[@]}"
    "$program" --use-existing --dbname="${out##*/}" --bindir="$PGBIN" --host="$PGHOST" --port="$PGPORT" --user="$PGUSER" \
        --inputdir="$folder" --outputdir="$out" "$@" || rc=$?
    [ ${#unwritten[@]} = 0 ] || rm -f "${unwritten[@]}"
    if [ $rc != 0 ]; then
        cat "$out/regression.diffs" 2>/dev/null || true
        echo "what the tests really said: *.out below $out"
        echo "if that is right, read it and copy it to $folder/expected/"
    fi
    return $rc
}

# Files in the order of their names, setup first.
run_regress() {
    local names=() name
    [ ! -e "$regress/sql/setup.sql" ] || names+=(setup)
    for name in ${NAME:-$(cd "$regress/sql" && ls)}; do
        name=${name%.sql}
        [ "$name" = setup ] || names+=("$name")
    done
    createdb -T template0 regress
    compare pg_regress "$regress" sql:sql "$regress_out" "${names[@]}"
}

run_isolation() {
    local names=() name
    for name in ${NAME:-$(cd "$isolation/specs" && ls)}; do names+=("${name%.spec}"); done
    createdb -T template0 isolation
    psql -qX -v ON_ERROR_STOP=1 -d isolation -f "$isolation/setup.sql" >/dev/null || return
    compare pg_isolation_regress "$isolation" specs:spec "$isolation_out" "${names[@]}"
}

run_engine() { cargo test -p erp_engine --no-fail-fast "${LOCKED[@]}" ${NAME:+"$NAME"}; }

run_sql() { cargo test -p erp_tests --no-fail-fast "${LOCKED[@]}" ${NAME:+"$NAME"}; }

# What is applied, once more by statements alone.
run_statements() {
    local PGOPTIONS="-c erp_toolkit.direct_access=off" rc=0 name
    export PGOPTIONS
    dropdb --if-exists regress && dropdb --if-exists isolation && run_regress && run_isolation || rc=$?
    for name in batches concurrency history model races references removals serial; do
        cargo test -p erp_tests --no-fail-fast "${LOCKED[@]}" --test "$name" || rc=$?
    done
    return $rc
}

# Within the throw-away cluster.
if [ "${1:-}" = --in-cluster ]; then
    case " $2 " in *" regress "*) stage "pg_regress" && part regress run_regress ;; esac
    case " $2 " in *" isolation "*) stage "isolation tests" && part isolation run_isolation ;; esac
    case " $2 " in *" sql "*) stage "integration tests" && part sql run_sql ;; esac
    case " $2 " in *" statements "*) stage "by statements alone" && part statements run_statements ;; esac
    exit 0
fi

# The parts that need a server share one cluster.
server_parts() {
    scripts/build.sh && scripts/private-server.sh || return
    case " $* " in *" sql "* | *" statements "*) quiet build-tests cargo test -p erp_tests --no-run "${LOCKED[@]}" || return ;; esac
    # One test reads the log to know what was written.
    PGEXTRA="wal_level = logical" CLUSTER_LOG=$LOGS/server.log scripts/with-cluster.sh scripts/test.sh --in-cluster "$*"
}

scripts/setup.sh 'postgresql-*-plpgsql-check' 'postgresql-*-cron'
[ $# -gt 0 ] || set -- lint engine regress isolation sql statements
mkdir -p "$LOGS"
: >"$results"
on_server=()
for name in "$@"; do
    case $name in
        lint) stage "format and clippy" && part lint scripts/lint.sh ;;
        engine) stage "engine tests" && part engine run_engine ;;
        regress | isolation | sql | statements) on_server+=("$name") ;;
        *) die "there is no part $name" ;;
    esac
done
if [ ${#on_server[@]} -gt 0 ]; then
    server_parts "${on_server[@]}" || { echo "failed: build or server (logs: $LOGS)" && echo "server 0 1" >>"$results"; }
fi
awk '{ passed += $2; failed += $3 } END { print passed " passed, " failed " failed"; exit (failed > 0) }' "$results"
