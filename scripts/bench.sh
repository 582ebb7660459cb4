#!/usr/bin/env bash
# Measures and writes the results into docs/BENCHMARKS.md, between its markers.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

document=docs/BENCHMARKS.md
results=$(mktemp)
trap 'rm -f "$results"' EXIT

cargo bench --locked -p perennial -p hls -p usenet -p vod -p grant -p nzb --no-run \
    --bench serving --bench playlist --bench streaming --bench rewrite --bench check --bench yenc
{
    echo
    cargo bench --locked --quiet -p perennial --bench serving
    cargo bench --locked --quiet -p usenet --bench streaming
    printf '### Without I/O\n\n```\n'
    for bench in hls:playlist vod:rewrite grant:check nzb:yenc; do
        cargo bench --locked --quiet -p "${bench%:*}" --bench "${bench#*:}" | sed 's/ *$//' | sed '/^$/d;/^Timer/d'
    done
    "$tools/python/bin/python" crates/nzb/benches/yardstick.py
    printf '```\n\n'
} | tee "$results"
sed -i -e "/<!-- results -->/,/<!-- end of results -->/{/<!-- results -->/r $results
/<!--/!d}" "$document"
echo "written to $document"
