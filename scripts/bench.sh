#!/usr/bin/env bash
# Measures and writes the results into docs/BENCHMARKS.md, between its markers.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

document=docs/BENCHMARKS.md
results=$(mktemp)
trap 'rm -f "$results"' EXIT

cargo bench --locked -p perennial -p hls -p usenet --bench serving --bench playlist --bench streaming --no-run
{
    echo
    cargo bench --locked --quiet -p perennial --bench serving
    cargo bench --locked --quiet -p usenet --bench streaming
    printf '### Without I/O\n\n```\n'
    cargo bench --locked --quiet -p hls --bench playlist | sed 's/ *$//' | sed '/^$/d;/^Timer/d'
    printf '```\n\n'
} | tee "$results"
sed -i -e "/<!-- results -->/,/<!-- end of results -->/{/<!-- results -->/r $results
/<!--/!d}" "$document"
echo "written to $document"
