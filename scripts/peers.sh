#!/usr/bin/env bash
# Unpacks Debian's real programs into target/peers (used by tests and by bench/). Prints the folder's programs.
set -euo pipefail
cd "$(dirname "$0")/.."

peers=target/peers
mkdir -p "$peers"

missing=()
[ -x "$peers/usr/bin/promtool" ] || missing+=(prometheus)
[ -x "$peers/usr/bin/amtool" ] || missing+=(prometheus-alertmanager)
[ -x "$peers/usr/bin/victoria-metrics" ] || missing+=(victoria-metrics)

if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || { echo "apt-get is needed to fetch ${missing[*]}" >&2; exit 1; }
  if ! (cd "$peers" && apt-get download -qq "${missing[@]}" 2>/dev/null); then
    # The package lists may be absent or old on a new machine.
    if [ "$(id -u)" = 0 ]; then apt-get update -qq; else sudo apt-get update -qq; fi
    (cd "$peers" && apt-get download -qq "${missing[@]}")
  fi
  for deb in "$peers"/*.deb; do dpkg -x "$deb" "$peers"; done
fi

# Debian's Alertmanager reads its default templates from a fixed place.
templates=/usr/share/prometheus/alertmanager
if [ -d "$peers$templates" ] && [ ! -d "$templates" ]; then
  copy=(cp -r "$PWD/$peers$templates" "$templates")
  if [ "$(id -u)" = 0 ]; then mkdir -p "$(dirname "$templates")" && "${copy[@]}"; else sudo mkdir -p "$(dirname "$templates")" && sudo "${copy[@]}"; fi
fi
