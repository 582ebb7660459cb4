#!/usr/bin/env bash
# Runs the tests of the workspace beside a temporary Postgres; arguments go to nextest.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

# Playlists that others wrote, where they are at hand.
corpus=$(realpath -m ../shared/corpus/hls)
if [ -z "${PERENNIAL_CORPUS:-}" ] && [ -d "$corpus" ]; then
    export PERENNIAL_CORPUS=$corpus
fi
exec crates/store/tests/with-postgres.sh cargo nextest run --workspace --locked "$@"
