#!/usr/bin/env bash
# Installs what a task needs and is not there: Debian's packages, cargo's tools into target/tools.
#
#   scripts/install.sh test|lint|fuzz|bench|web
#
# Elsewhere than on Debian it names the programs that are missing.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/env.sh

nextest=0.9.151
deny=0.20.2
fuzz=0.13.2
sabctools=9.7.2
icalendar=7.3.0
dateutil=2.9.0.post0

# Program and Debian's package, for each task.
compiler="cc:gcc cc:libc6-dev"
page="node:nodejs npm:npm"
python="python3:python3 :python3-venv"
gear="ffmpeg:ffmpeg nginx:nginx-light chromium:chromium initdb:postgresql cvlc:vlc-bin :vlc-plugin-base fc-list:fontconfig :fonts-dejavu-core"
posts="7z:p7zip-full par2:par2 zip:zip openssl:openssl rclone:rclone fusermount3:fuse3"
case ${1:-} in
test) wanted="$compiler $page $python $gear $posts" cargo_tools="nextest@$nextest deny@$deny" ;;
lint) wanted="$compiler" cargo_tools="deny@$deny" ;;
fuzz) wanted="$compiler c++:g++" cargo_tools="fuzz@$fuzz" ;;
bench) wanted="$compiler $python $gear $posts wrk:wrk" cargo_tools="" ;;
web) wanted="$page" cargo_tools="" ;;
*) die "usage: $0 test|lint|fuzz|bench|web" ;;
esac

# A program may lie outside an ordinary user's path, and another source than Debian's may have brought it.
has() {
    case $1 in
    "") return 1 ;;
    initdb) compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null ;;
    *) PATH=$PATH:/usr/sbin command -v "$1" >/dev/null ;;
    esac
}

installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=()
for pair in $wanted; do
    program=${pair%%:*} package=${pair#*:}
    if command -v dpkg-query >/dev/null; then
        has "$program" || installed "$package" || missing+=("$package")
    elif [ -n "$program" ]; then
        has "$program" || missing+=("$program")
    fi
done
echo "packages to install: ${missing[*]:-none}"

root=()
if [ "$(id -u)" -ne 0 ]; then
    root=(sudo)
fi

# Debian starts a server when it installs it, unless this file says no; the tests run their own.
policy=/usr/sbin/policy-rc.d
keep_servers_off() {
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee $policy >/dev/null
        "${root[@]}" chmod +x $policy
        trap '"${root[@]}" rm -f $policy' EXIT
    fi
}

apt() {
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 \
        -o Dpkg::Use-Pty=0 "$@" </dev/null
}

if [ ${#missing[@]} -gt 0 ]; then
    command -v apt-get >/dev/null || die "install these first: ${missing[*]}"
    command -v "${root[0]:-env}" >/dev/null || die "needs root or sudo to install ${missing[*]}"
    keep_servers_off
    log=$(mktemp)
    for attempt in 1 2; do
        if { apt update && apt install --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
            break
        elif [ $attempt -eq 2 ]; then
            tail -n 40 "$log" >&2
            die "apt-get could not install ${missing[*]}"
        fi
    done
    rm -f "$log"
fi

# INN, an NNTP server, is unpacked and not installed: its package insists on a mail server and on a name
# for the host, and starts a daemon. The tests write its configuration and run it on loopback.
inn() {
    local folder=$tools/inn2 libraries
    if [ -x "$folder/usr/lib/news/bin/innd" ]; then
        return
    elif ! command -v apt-get >/dev/null; then
        echo "skipped: INN comes from Debian's packages, and the tests against it will be skipped too"
        return
    fi
    echo "unpacking inn2"
    rm -rf "$folder" && mkdir -p "$folder/packages"
    (
        cd "$folder/packages"
        apt-get -qq download inn2 inn2-inews 2>/dev/null ||
            { apt update && apt-get -qq download inn2 inn2-inews 2>/dev/null; } || die "apt-get has no inn2"
        for package in *.deb; do
            dpkg-deb -x "$package" ..
        done
    )
    libraries=$(dpkg-deb -f "$folder"/packages/inn2_*.deb Depends | tr ',' '\n' |
        grep -oE '^ *lib(canlock|db|perl|python|sasl2|sqlite)[a-z0-9.-]*' | tr -d ' ')
    # shellcheck disable=SC2086
    apt install --no-install-recommends $libraries >/dev/null ||
        { apt update && apt install --no-install-recommends $libraries >/dev/null; }
    rm -rf "$folder/packages"
}

# Python's packages in an environment of their own; what is there already is not asked for.
python() {
    [ -x "$tools/python/bin/pip" ] || python3 -m venv "$tools/python"
    "$tools/python/bin/pip" install --quiet --disable-pip-version-check "$@"
}

case $1 in
test)
    inn
    # Calendars are held against these two.
    python "icalendar==$icalendar" "python-dateutil==$dateutil"
    ;;
bench)
    inn
    # SABnzbd's yEnc decoder is a yardstick.
    python "sabctools==$sabctools"
    ;;
esac

# Unoptimised and without debug information: they are built in a quarter of the time and run rarely.
for tool in $cargo_tools; do
    name=cargo-${tool%@*}
    if ! command -v "$name" >/dev/null; then
        echo "building $name"
        cargo install --quiet --locked --debug --config profile.dev.debug=false --no-default-features \
            --root "$tools" --target-dir "$tools/build" "$name@${tool#*@}"
        rm -rf "$tools/build"
    fi
done
