#!/bin/sh
# The whole way with the command line and curl only: tenant, launch, verification, message, log.
# Usage: whole_way.sh BASE_URL NEWEST_MAIL, where NEWEST_MAIL is a command that prints the newest mail's text once it came.
# FLASK names the flask command, if it is not .venv/bin/flask.
set -eu
base=$1 newest_mail=$2 flask=${FLASK:-.venv/bin/flask}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say() { printf '%s\n' "$*"; }

# The platform's side: a tenant and a key.
"$flask" tenant create whole-way --name 'Whole Way' --plan pro
key=$("$flask" api-key create --name whole-way | awk '{print $NF}')

# A merchant comes in by a launch; a form of the page carries the CSRF token.
curl -sS -f -L -c "$work/cookies" -o "$work/page" "$("$flask" launch-link --tenant whole-way)"
csrf=$(sed -n 's/.*name="csrf_token"[^>]*value="\([^"]*\)".*/\1/p' "$work/page" | head -n 1)
curl -sS -f -b "$work/cookies" -c "$work/cookies" -o "$work/page" -L "$base/settings/email/verification" \
  --data-urlencode "csrf_token=$csrf" --data-urlencode 'address=hello@whole-way.example' \
  --data-urlencode 'display_name=Whole Way'
say "asked to verify hello@whole-way.example"

# The mail's link opens a page; only its button, a POST, verifies.
link=$($newest_mail | grep -o "$base/verify/[A-Za-z0-9._-]*" | head -n 1)
curl -sS -f "$link" | grep -q 'hello@whole-way.example'
curl -sS -f -X POST "$link" >"$work/page"
say "confirmed by $link"

# The address is told, with the way back.
$newest_mail | grep -q "$link"

# From now on the tenant's mail comes from there.
id=$(curl -sS -f "$base/api/v1/messages" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' \
  -H 'Idempotency-Key: 1' -d '{"tenant": "whole-way", "kind": "customer_message", "to": "jane@customer.example",
  "subject": "Hello", "text": "Thank you for your order."}' | sed 's/.*"id":"\([^"]*\)".*/\1/')
$newest_mail | grep '^From: '
for _ in $(seq 300); do
  curl -sS -f "$base/api/v1/messages/$id" -H "Authorization: Bearer $key" >"$work/message"
  grep -q '"state":"sent"' "$work/message" && break
  sleep 0.2
done
grep -o '"state":"[a-z]*"' "$work/message"
curl -sS -f -b "$work/cookies" "$base/settings/email/logs" | grep -q 'jane@customer.example'
say "and the log shows it"
