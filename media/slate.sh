#!/bin/sh
# Makes slate.ts, the card that players see while no source brings anything: a 4.8 s loop of H.264 and
# silent AAC in Perennial's colours (web/src/style.css). Needs Debian's ffmpeg and fonts-dejavu-core.
# Run it in this folder; the result is committed and built into the program.
#
# 4.8 s at 48 kHz are exactly 225 AAC frames and 120 pictures, so the end meets the beginning when the next
# round's timestamps are shifted. Key frames come every 1.2 s, which rounds to one: a piece fits every
# target duration. The dots breathe twice a round.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ff() { ffmpeg -hide_banner -loglevel error -nostdin -y -bitexact "$@"; }

text="font=DejaVu Sans"
# Light from above left, the same in each colour: a change of hue would show in bands.
glow="20*pow(max(0\,1-hypot((X-280)/1060\,(Y+160)/700))\,2)"
ff -f lavfi -i color=c=0x0a1210:size=1280x720:rate=1 -frames:v 1 -vf "format=gbrp,
    geq=r='10+$glow':g='18+$glow':b='16+$glow',
    drawtext=$text:text='P E R E N N I A L':fontsize=18:fontcolor=0x34d0a6:x=(w-tw)/2:y=266,
    drawtext=$text:text='We’ll be right back':fontsize=64:fontcolor=0xe8f1ed:x=(w-tw)/2:y=312,
    drawtext=$text:text='This channel is looking for its picture.':fontsize=24:fontcolor=0x9bb0a8:x=(w-tw)/2:y=410" \
    "$work/card.png"

# dot X PHASE
dot() { echo "drawtext=$text:text='●':fontsize=18:fontcolor=0x34d0a6:x=$1:y=478:alpha='0.55-0.45*cos(2*PI*(t/2.4-$2))'"; }
ff -loop 1 -framerate 25 -t 4.8 -i "$work/card.png" -f lavfi -t 5 -i anullsrc=r=48000:cl=mono \
    -vf "$(dot 606 0),$(dot 632 0.12),$(dot 658 0.24),format=yuv420p" \
    -c:v libx264 -preset veryslow -tune stillimage -profile:v main -crf 24 -threads 1 \
    -x264-params "keyint=30:min-keyint=30:scenecut=0:open-gop=0:bframes=2" \
    -c:a aac -b:a 32k -frames:a 225 -f mpegts -pat_period 3600 -sdt_period 3600 slate.ts
