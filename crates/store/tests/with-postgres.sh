#!/bin/sh
# Runs a command beside a temporary Postgres and sets PERENNIAL_TEST_POSTGRES to its URL:
#
#   crates/store/tests/with-postgres.sh cargo test -p store
#
# The cluster lies in a directory of its own, listens on a Unix socket in it only, and is gone afterwards.
# Needs the server's programs (Debian: apt-get install postgresql). As root it runs them as `postgres`.
set -eu

if [ $# -eq 0 ]; then
    echo "usage: $0 command [argument …]" >&2
    exit 2
fi
if initdb=$(command -v initdb); then
    bin=$(dirname "$initdb")
else
    bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
fi
if [ -z "$bin" ]; then
    echo "$0: no initdb found; install postgresql" >&2
    exit 1
fi

dir=$(mktemp -d)
as=
if [ "$(id -u)" -eq 0 ]; then
    as="runuser -u postgres --"
    chown postgres "$dir"
fi
cleanup() {
    # Without a server there is nothing to stop.
    (cd / && $as "$bin/pg_ctl" -D "$dir/data" -m immediate -s stop) 2>/dev/null || true
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if ! (
    cd /
    $as "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --no-locale --no-sync
    $as "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -s -w \
        -o "-c listen_addresses= -c unix_socket_directories=$dir -c fsync=off" start
) >"$dir/out" 2>&1; then
    cat "$dir/out" "$dir/log" >&2 || true
    exit 1
fi

PERENNIAL_TEST_POSTGRES="postgres://postgres@localhost/postgres?host=$dir" "$@"
