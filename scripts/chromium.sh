#!/usr/bin/env bash
# Finds the Chromium in which the web app is tested, and prints its path: the one that CHROMIUM names, else the system's. CI gets Debian's if
# there is none; a person's machine is left as it is, and the tests say that they are skipped.
set -euo pipefail
for program in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
  if [ -n "$program" ] && path=$(command -v "$program"); then
    echo "$path"
    exit 0
  fi
done
if [ "${CI:-}" != true ] || ! command -v apt-get >/dev/null; then
  echo "there is no Chromium: apt-get install chromium, or name one in CHROMIUM" >&2
  exit 1
fi
sudo=$([ "$(id -u)" = 0 ] || echo sudo)
$sudo apt-get update -qq >&2
$sudo apt-get install -y -qq --no-install-recommends chromium fonts-liberation >&2
command -v chromium
