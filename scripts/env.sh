# What the scripts share; sourced, after `cd` to the root.
# shellcheck shell=bash

target=${CARGO_TARGET_DIR:-target}
tools=$target/tools
PATH=$(realpath -m "$tools")/bin:$PATH
export PATH

# Incremental state only costs a clean clone time and disk.
if [ -n "${CI:-}" ]; then
    export CARGO_INCREMENTAL=0 NO_COLOR=1
fi

die() {
    echo "$0: $*" >&2
    exit 1
}
