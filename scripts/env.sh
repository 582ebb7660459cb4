# What the scripts share; sourced, after `cd` to the root.

target=${CARGO_TARGET_DIR:-target}
tools=$target/tools
PATH=$(realpath -m "$tools")/bin:$PATH
export PATH

# As the build of a clean clone gains nothing from it.
if [ -n "${CI:-}" ]; then
    export CARGO_INCREMENTAL=0
fi

die() {
    echo "$0: $*" >&2
    exit 1
}
