#!/usr/bin/env bash
# soak.sh [PART…]: runs the long forms of the tests, one after the other, and sums them up: how long each took, and its
# figures. All together take about eight hours, six of them the fuzzing.
#
#   fuzz        inputs that libFuzzer makes up, TIME seconds (an hour) for each target
#   properties  PROPTEST_CASES random cases (20,000) for each property of the engine
#   model       ERP_TEST_ROUNDS random sequences of events (500) a test, beside a naive store
#   serial      eight sessions that do everything at once, a hundred seconds a test
#   crashes     50 crashes of a server at work
#   fidelity    a million events in one transaction, every tenth failing
#   history     sessions at once, purges too: what the history tells of them
#   lookups     keys that stay, looked up while an index is split and emptied, a hundred seconds
#
# Random numbers are others in each run. What failed is in target/test-logs/soak-PART.log.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

summary=$LOGS/soak

# part NAME CMD…: runs a part, shows its figures, and notes the result.
part() {
    local name=$1 start=$SECONDS rc=0 result=passed
    shift
    stage "$name"
    keep "soak-$name" "$@" || rc=$?
    [ -n "${VERBOSE:-}" ] || figures "$LOGS/soak-$name.log"
    if [ $rc != 0 ]; then
        result=failed
        [ -n "${VERBOSE:-}" ] || tail -n 40 "$LOGS/soak-$name.log"
    fi
    printf '%-10s %s after %d min\n' "$name" "$result" $(((SECONDS - start + 30) / 60)) >>"$summary"
    figures "$LOGS/soak-$name.log" | sed 's/^/    /' >>"$summary"
}

# What tests say in figures, and what fuzz.sh and cargo sum up.
figures() {
    sed -n -e 's/^figures: //p' -e '/^[a-z_]* *[0-9]* executions, /p' \
        -e '/^test result:.* 0 passed; 0 failed/d' -e 's/^test result: [A-Za-z]*\. //p' "$1"
}

# with_server TEST: a file of tests/sql, within a throw-away cluster.
with_server() {
    scripts/build.sh && scripts/private-server.sh || return
    PGEXTRA="wal_level = logical" CLUSTER_LOG=$LOGS/soak-server.log scripts/with-cluster.sh \
        cargo test -p erp_tests "${LOCKED[@]}" --test "$1" -- --include-ignored --nocapture --test-threads 1
}

run() {
    export ERP_LONG=1
    case $1 in
        fuzz) TIME=${TIME:-3600} part fuzz scripts/fuzz.sh ;;
        properties) PROPTEST_CASES=${PROPTEST_CASES:-20000} part properties cargo test -p erp_engine "${LOCKED[@]}" ;;
        model) ERP_TEST_ROUNDS=${ERP_TEST_ROUNDS:-500} part model with_server model ;;
        serial | crashes | fidelity | history | lookups) part "$1" with_server "$1" ;;
        *) die "there is no part $1" ;;
    esac
}

scripts/setup.sh
mkdir -p "$LOGS"
: >"$summary"
[ $# -gt 0 ] || set -- fuzz properties model serial crashes fidelity history lookups
for name; do run "$name"; done
stage "summary"
cat "$summary"
! grep -q '^[a-z]* *failed' "$summary"
