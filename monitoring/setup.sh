#!/bin/sh
# Prepares this folder: makes .env (never touching one that exists), checks the configuration, says how to start.
#   ./setup.sh          asks for what .env needs
#   ./setup.sh --yes    asks nothing: a random password, the rest to be filled in later
# Run it as often as you like: it starts nothing, installs nothing and overwrites nothing.
set -eu

say() { printf '%s\n' "$*"; }
fail() { say "setup.sh: $*" >&2; exit 2; }

ask=yes
for argument in "$@"; do
    case $argument in
        --yes | -y) ask=no ;;
        --help | -h) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) fail "unknown argument $argument (--yes asks nothing)" ;;
    esac
done
cd "$(dirname "$0")"

# answer NAME WHAT [secret]: sets $reply to what is typed, or to nothing.
answer() {
    reply=
    [ "$ask" = yes ] || return 0
    printf '%s (%s): ' "$2" "$1"
    if [ "${3:-}" = secret ] && [ -t 0 ]; then
        stty -echo
        trap 'stty echo; exit 130' INT TERM
    fi
    # The end of the input is an empty answer to all that follows.
    IFS= read -r reply || ask=no
    if [ "${3:-}" = secret ] && [ -t 0 ]; then
        stty echo
        trap - INT TERM
        say
    fi
    case $reply in *["'\"\\"]*) fail "$1: quotes and backslashes cannot stand in .env; nothing was written" ;; esac
}

# put NAME VALUE: replaces the line of .env.new that gives NAME a value, whatever characters the value has.
put() {
    [ -n "$2" ] || return 0
    name=$1 value=$2 awk 'BEGIN { n = ENVIRON["name"]; v = ENVIRON["value"] }
        index($0, n "=") == 1 { if (v ~ /^[A-Za-z0-9_.,:\/@%+=-]*$/) print n "=" v; else print n "=\047" v "\047"; next } { print }' \
        .env.new >.env.newer
    mv .env.newer .env.new
}

if [ -e .env ]; then
    say "ok       .env exists and stays as it is"
else
    umask 077
    trap 'rm -f .env.new .env.newer' EXIT
    cp .env.example .env.new
    [ "$ask" = no ] || say "Press Enter for what you do not have; .env can be edited at any time."
    answer GRAFANA_ADMIN_PASSWORD "Password of the web app's user admin, Enter for a random one" secret
    password=$reply
    [ -n "$password" ] || password=$(od -An -N18 -tx1 /dev/urandom | tr -d ' \n')
    answer SENDGRID_API_KEY "Key of SendGrid, for alerts by e-mail" secret; sendgrid=$reply
    answer ALERT_EMAIL_TO "Who gets these e-mails"; to=$reply
    answer ALERT_EMAIL_FROM "Who they come from"; from=$reply
    answer SLACK_WEBHOOK_URL "Webhook of Slack, for critical alerts" secret; slack=$reply
    put GRAFANA_ADMIN_PASSWORD "$password"
    put SENDGRID_API_KEY "$sendgrid"
    put ALERT_EMAIL_TO "$to"
    put ALERT_EMAIL_FROM "$from"
    put SLACK_WEBHOOK_URL "$slack"
    chmod 600 .env.new
    # Does not replace one that has come meanwhile.
    ln .env.new .env
    say "made     .env, with GRAFANA_ADMIN_PASSWORD; look at it there"
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

reba=${REBA_BIN:-}
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
    say "next     build Reba with: make build    (or install Docker), then run this again"
fi
