#!/bin/sh
# Prepares this folder: makes .env (never touching one that exists), checks the configuration, says how to start.
# Run it as often as you like: it starts nothing, installs nothing and overwrites nothing.
set -eu
cd "$(dirname "$0")"

say() { printf '%s\n' "$*"; }

if [ -e .env ]; then
    say "ok       .env exists and stays as it is"
else
    password=$(od -An -N18 -tx1 /dev/urandom | tr -d ' \n')
    (umask 077 && sed "s/^GRAFANA_ADMIN_PASSWORD=\$/GRAFANA_ADMIN_PASSWORD=$password/" .env.example > .env)
    say "made     .env with a random GRAFANA_ADMIN_PASSWORD; look at it there"
fi

for name in GRAFANA_ADMIN_PASSWORD SENDGRID_API_KEY SLACK_WEBHOOK_URL; do
    if grep -q "^$name=..*" .env; then
        say "ok       $name is set"
    elif [ "$name" = SLACK_WEBHOOK_URL ]; then
        say "note     $name is empty: no alerts in Slack"
    else
        say "missing  $name is empty: edit .env"
    fi
done

reba=
for candidate in ../target/dist/reba ../target/release/reba ../target/debug/reba; do
    [ -z "$reba" ] && [ -x "$candidate" ] && reba=$candidate
done
[ -n "$reba" ] || reba=$(command -v reba || true)

if [ -n "$reba" ]; then
    "$reba" check --config .
    say "start    $reba run --config $(pwd)"
elif docker compose version >/dev/null 2>&1; then
    docker compose -f docker-compose.monitoring.yml config --quiet
    say "start    docker compose -f docker-compose.monitoring.yml up -d --build"
else
    say "next     build Reba with: cargo build --release --bin reba    (or install Docker), then run this again"
fi
