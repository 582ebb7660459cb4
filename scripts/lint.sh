#!/usr/bin/env bash
# What can be said about the sources without running them.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

cargo fmt --all --check
cargo deny --log-level error check licenses bans sources
cargo clippy --workspace --all-targets --locked -- -D warnings
