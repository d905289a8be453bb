#!/usr/bin/env bash
# Makes what the Debian package takes along besides the program: manual pages and completions, in target/assets.
#   packaging/assets.sh [PROGRAM] [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
reba=${1:-target/dist/reba}
assets=${2:-target/assets}
mkdir -p "$assets/man"
# The same package comes out of the same commit.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)} "$reba" man "$assets/man"
gzip -9nf "$assets"/man/*.1
"$reba" completions bash >"$assets/reba.bash"
"$reba" completions zsh >"$assets/_reba"
"$reba" completions fish >"$assets/reba.fish"
