#!/usr/bin/env bash
# Everything that must hold before a change lands, the cheap checks first. Steps share what they
# build: the same profile, and the features of the whole workspace.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

timings=()
# Bash does not stop at errors inside a step, since the step's end is looked at: join with &&.
step() {
    local name=$1 began=$SECONDS took
    shift
    printf '\n== %s\n' "$name"
    if ! "$@"; then
        printf '\n== %s failed after %d s\n' "$name" $((SECONDS - began)) >&2
        exit 1
    fi
    took=$((SECONDS - began))
    printf '== %s: %d s\n' "$name" $took
    timings+=("$(printf '%5d s  %s' $took "$name")")
}

licences() {
    cargo deny check licenses bans sources
}

# The database of advisories is a repository that must be fetched; a machine may not reach it.
advisories() {
    if timeout 60 cargo deny fetch db >/dev/null 2>&1; then
        cargo deny check advisories
    else
        echo "skipped: the advisory database cannot be fetched from here"
    fi
}

npm_ci() {
    npm ci --prefix web --no-audit --no-fund &&
        npm ci --prefix e2e --no-audit --no-fund
}

# web/dist is committed, so that nobody needs Node.js to build the binary: it has to be what the
# sources build.
page() {
    local built=$target/page
    npm test --prefix web &&
        npm run build --prefix web -- --outDir "$(realpath -m "$built")" --emptyOutDir || return
    diff -r "$built" web/dist || die "web/dist is stale: make web"
}

documentation() {
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
}

step "install what is missing" scripts/install.sh test
step "rustfmt" cargo fmt --all --check
step "licences, bans, sources" licences
step "advisories" advisories
step "duplicate dependencies" cargo tree --workspace --locked --duplicates --depth 0
step "npm ci" npm_ci
step "watch page equals web/dist" page
step "clippy" cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
step "rustdoc" documentation
step "build tests" cargo test --workspace --locked --no-run --quiet
step "doc tests" cargo test --workspace --locked --doc --quiet
step "tests" scripts/nextest.sh

printf '\n%5d s in all, of which\n' $SECONDS
printf '%s\n' "${timings[@]}"
