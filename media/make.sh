#!/bin/sh
# Makes a.ts and b.ts: 24 s loops of real H.264 and AAC for the test kit and `perennial demo`.
# Needs Debian's ffmpeg and fonts-dejavu-core. Run it in this folder; the result is committed.
#
# 24 s at 48 kHz are exactly 1125 AAC frames and 600 pictures, so the end meets the beginning when the
# second round's timestamps are shifted by 24 s. The tone is cut from a longer one, so that neither
# the encoder's priming nor its end is heard at the seam. Tables are sent only before key frames: a
# loader cuts the two-second segments at the PATs.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ff() { ffmpeg -hide_banner -loglevel error -nostdin -y -bitexact "$@"; }

# make NAME LETTER TONE_HZ PICTURE
make() {
    text="font=DejaVu Sans Mono:fontcolor=white:borderw=3"
    ff -f lavfi -i "sine=frequency=$3:sample_rate=48000:duration=30,volume=-12dB" \
        -c:a aac -b:a 48k -ac 1 "$work/$1.m4a"
    ff -f lavfi -i "$4" -vf "
        drawtext=$text:fontsize=200:text='$2':x=(w-tw)/2:y=40,
        drawtext=$text:fontsize=56:text='%{pts\:hms}':x=(w-tw)/2:y=270" \
        -frames:v 600 -c:v libx264 -preset veryslow -profile:v main -pix_fmt yuv420p -threads 1 \
        -x264-params "keyint=50:min-keyint=50:scenecut=0:open-gop=0:bframes=2" -b:v "${5}k" -maxrate 200k -bufsize 400k \
        "$work/$1.mp4"
    ff -i "$work/$1.mp4" -ss 3 -i "$work/$1.m4a" -map 0:v -map 1:a -c copy \
        -frames:a 1125 -f mpegts -pat_period 3600 -sdt_period 3600 "$1.ts"
}

make a A 440 "gradients=size=640x360:rate=25:speed=0.02:c0=0x102a6b:c1=0x2f7fd1:n=2:seed=1" 130
make b B 880 "color=c=0x7a1f2b:size=640x360:rate=25,drawgrid=w=80:h=60:t=4:c=0xd98c3f" 130
