#!/usr/bin/env bash
# Fuzzes each target for so many seconds: scripts/fuzz.sh SECONDS [target …]
#
# The stable compiler does: only the sanitizers need another, and code without `unsafe` gains little
# from them. Overflow checks and debug assertions are on. What is found lies in fuzz/artifacts; put
# it, made small by `cargo fuzz tmin -s none TARGET FILE`, into fuzz/corpus/TARGET with the fix, where
# the tests replay it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

seconds=${1:?usage: $0 SECONDS [target …]}
shift
cd fuzz
targets=${*:-$(cargo fuzz list)}
cargo fuzz build --sanitizer none
failed=()
for target in $targets; do
    printf '\n== %s for %d s\n' "$target" "$seconds"
    # What is found on the way goes into the first folder; the committed seeds stay as they are.
    mkdir -p "target/corpus/$target"
    cargo fuzz run --sanitizer none "$target" "target/corpus/$target" "corpus/$target" -- \
        -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=2048 -verbosity=0 \
        -print_final_stats=1 2>&1 | grep -vE 'DICTIONARY|dictionary|# Uses:' || failed+=("$target")
done
[ ${#failed[@]} -eq 0 ] || die "findings in: ${failed[*]}"
