#!/usr/bin/env bash
# fuzz.sh: lets libFuzzer look for inputs that make the engine break a promise, one target after the other.
#
#   TARGET='…'     targets, by default all: jsonb json_text mapping path merge map
#   TIME=60        seconds for each
#   SANITIZER=none or address, which is slower: the engine has no unsafe code, but what it is built on has
#   MINIMISE=1     afterwards put the smallest inputs that reach what was reached into fuzz/corpus
#
# What is found is left in target/fuzz-artifacts; as a file in fuzz/findings/TARGET it is replayed by every test run.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

TIME=${TIME:-60} SANITIZER=${SANITIZER:-none}
toolchain=nightly
logs=$ROOT/target/fuzz-logs artifacts=$ROOT/target/fuzz-artifacts found=$ROOT/target/fuzz-corpus
options=(--fuzz-dir fuzz --target-dir "$ROOT/target/fuzz-$SANITIZER" --sanitizer "$SANITIZER")
read -ra targets <<<"${TARGET:-$(cd fuzz/fuzz_targets && basename -s .rs -- *.rs | tr '\n' ' ')}"

# Longer inputs are slower; mappings are long.
max_len() { case $1 in mapping | map) echo 8192 ;; merge) echo 2048 ;; *) echo 1024 ;; esac; }

# What libFuzzer is to treat as a finding: 2 MiB of stack used up, an input that takes 5 seconds or 1 GiB.
fuzz() {
    ulimit -s 2048
    cargo "+$toolchain" fuzz "$1" "${options[@]}" "${@:2}" -max_len="$(max_len "$2")" -timeout=5 -rss_limit_mb=1024
}

run() {
    local target=$1 log rc=0 folder inputs=("$found/$1")
    log=$logs/$target-$(date +%Y-%m-%d-%H%M%S).log
    mkdir -p "$found/$target" "$artifacts/$target"
    for folder in corpus seeds findings; do
        [ ! -d "fuzz/$folder/$target" ] || inputs+=("fuzz/$folder/$target")
    done
    (fuzz run "$target" "${inputs[@]}" -- -dict=fuzz/mapping.dict -max_total_time="$TIME" -print_final_stats=1 \
        -artifact_prefix="$artifacts/$target/") >"$log" 2>&1 || rc=$?
    awk -v target="$target" '
        /^#[0-9]/ { for (i = 2; i < NF; i++) { if ($i == "cov:") cov = $(i + 1); if ($i == "corp:") corp = $(i + 1) } }
        /^stat::number_of_executed_units:/ { runs = $2 }
        END { printf "%-10s %12d executions, coverage %d edges, corpus %s\n", target, runs, cov, corp }' "$log"
    [ $rc = 0 ] || { echo "failed: $target (log: $log)"; sed -n 's/^.*Test unit written to /  input: /p' "$log"; return 1; }
}

# cargo fuzz cmin works in one folder, so what was found joins what is kept. What counts is which edges are reached, not
# how often, by as few and as short inputs as can be: that keeps the corpus small.
minimise() {
    find "$found/$1" -type f -size -301c -exec cp -n -t "fuzz/corpus/$1" {} +
    (fuzz cmin "$1" "fuzz/corpus/$1" -- -use_counters=0 -set_cover_merge=1) >"$logs/$1-cmin.log" 2>&1
}

RUSTUP_AUTO_INSTALL=0 cargo "+$toolchain" --version >/dev/null 2>&1 ||
    die "fuzzing needs Rust's nightly toolchain; install it with: rustup toolchain install $toolchain"
scripts/setup.sh g++
PATH=$ROOT/target/cargo-fuzz/bin:$PATH
if ! cargo fuzz --version >/dev/null 2>&1; then
    stage "installing cargo-fuzz"
    LOGS=$logs quiet install cargo install --locked --debug --version 0.13.2 --root target/cargo-fuzz cargo-fuzz
fi
stage "building the targets (the first time takes minutes)"
LOGS=$logs quiet build cargo "+$toolchain" fuzz build "${options[@]}"
rc=0
stage "$TIME s for each of: ${targets[*]}"
for target in "${targets[@]}"; do
    run "$target" || rc=1
    [ -z "${MINIMISE:-}" ] || minimise "$target"
done
exit $rc
