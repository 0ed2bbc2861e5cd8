#!/usr/bin/env bash
# Shows the main job on real input, as a story that a person can follow: an unmodified psql talks to a real PostgreSQL through
# Weir.  Each claim is checked; the exit code is 0 only if all that was shown is true.
# Usage: scripts/demo.sh [--keep]     --keep leaves lab and gateway running, to try things by hand
set -uo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
lab=$repository/scripts/lab.sh
keep=
case ${1:-} in
  '') ;;
  --keep) keep=1 ;;
  *) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac

bold= dim= green= red= plain=
if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'; fi
claims=0 untrue=0
chapter() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
say() { printf '%s\n' "$*"; }
shown() { printf '%s  $ %s%s\n' "$dim" "$*" "$plain"; }
output() { sed 's/^/    /'; }

# claim TEXT COMMAND...: true if the command succeeds.
claim() {
  local text=$1
  shift
  claims=$((claims + 1))
  if "$@"; then
    printf '  %s[true]%s  %s\n' "$green" "$plain" "$text"
  else
    untrue=$((untrue + 1))
    printf '  %s[FALSE]%s %s\n' "$red" "$plain" "$text"
  fi
}
holds() { [[ $1 == *"$2"* ]]; }
lacks() { [[ $1 != *"$2"* ]]; }
equal() { [ "$1" = "$2" ]; }
# is NUMBER OPERATOR NUMBER
is() { [ "$1" "$2" "$3" ]; }

was_up= finished=
finish() {
  local code=$?
  trap - EXIT
  if [ -z "$finished" ]; then
    printf '\n%sThe demonstration did not reach its end.%s\n' "$red" "$plain"
    [ "$code" -ne 0 ] || code=1
  fi
  if [ -n "$keep" ]; then
    say "Left running (--keep). Names: $lab env; take it away: $lab down"
  elif [ -n "$was_up" ]; then
    bash "$lab" gateway stop >/dev/null 2>&1
  else
    bash "$lab" down >/dev/null 2>&1
  fi
  exit "$code"
}
trap finish EXIT
need() { "$@" || exit 1; }

client() { PGPASSFILE=$PGPASS_FILE bash "$lab" in client "$@" 2>&1; }
psql_client() { client psql -X -h "$TARGET_IP" -U "$PGUSER" "$PGDATABASE" "$@"; }
# Straight at the target, as its superuser: what is really there.
psql_target() { PGPASSFILE=$PGSUPERPASS_FILE bash "$lab" in target psql -X -A -t -h "$TARGET_IP" -U "$PGSUPER" "$PGDATABASE" "$@"; }
weir() { bash "$lab" in gateway "$WEIR" "$@" --config "$WEIR_CONFIG"; }
log_size() { stat -c %s "$TARGET_LOG"; }
log_since() { sleep 0.2; tail -c "+$(($1 + 1))" "$TARGET_LOG"; }
names() { eval "$(bash "$lab" env)"; }
issuer() {
  client sh -c "openssl s_client -starttls postgres -connect $TARGET_IP:$TARGET_PORT -showcerts </dev/null 2>/dev/null | openssl x509 -noout -issuer -subject"
}

chapter "Setting up: packages, release build, and a lab of three network namespaces"
need bash "$repository/scripts/setup.sh"
mkdir -p "$repository/build"
if ! (cd "$repository" && cmake --preset release && cmake --build build/release --target weir) >"$repository/build/demo-build.log" 2>&1; then
  tail -n 20 "$repository/build/demo-build.log"
  exit 1
fi
bash "$lab" status >/dev/null 2>&1 && was_up=1
need bash "$lab" up
[ -z "$was_up" ] || bash "$lab" gateway stop >/dev/null
need bash "$lab" gateway start
names
say "  client $CLIENT_IP  ->  gateway  ->  PostgreSQL at $TARGET_IP:$TARGET_PORT (TLS, SCRAM, every statement in its log)"

chapter "1. An unmodified psql with its default settings, at the target's own address"
shown psql -h "$TARGET_IP" -U "$PGUSER" "$PGDATABASE"
answer=$(psql_client -A -t -c '\conninfo' -c "select current_user, host(inet_client_addr()), inet_client_port()" -c "select count(*) from orders")
code=$?
output <<<"$answer"
claim "psql connects and is answered" equal "$code" 0
claim "over TLS" holds "$answer" "SSL connection"
claim "the target sees the client's own address, not the gateway's" holds "$answer" "|$CLIENT_IP|"
port=$(sed -nE "s/^$PGUSER\|$CLIENT_IP\|([0-9]+)$/\1/p" <<<"$answer")
claim "and the client's own port: the target's log names $CLIENT_IP($port)" grep -qF "$CLIENT_IP($port)" "$TARGET_LOG"
claim "the certificate was minted by the gateway for the target's name" holds "$(issuer)" "orders-db.lab.example"

chapter "2. Results are masked: the client does not see who the customer is"
statement="select id, name, email, card from people order by id limit 3"
shown "psql -c \"$statement\""
truth=$(psql_target -c "$statement")
answer=$(psql_client -A -t -c "$statement")
say "  what the target holds:"; output <<<"$truth"
say "  what the client gets:"; output <<<"$answer"
claim "the client gets three rows" equal "$(grep -c '|' <<<"$answer")" 3
while IFS='|' read -r id name email card; do
  row=$(grep "^$id|" <<<"$answer")
  claim "row $id: the name is there, neither address nor card number is" eval 'holds "$row" "$name" && lacks "$row" "$email" && lacks "$row" "$card"'
  claim "row $id: the mask keeps length and last four" eval '[ "${#row}" -eq "$((${#id} + ${#name} + ${#email} + ${#card} + 3))" ] && [ "${row: -4}" = "${card: -4}" ]'
done <<<"$truth"
email=$(cut -d'|' -f3 <<<"$truth" | head -n 1)
answer=$(psql_client -A -t -c "select reverse(upper(email)) from people where id = 1" -c "copy (select email from people) to stdout" \
  -c "select row_to_json(p) from people p where id = 1" -c "with x as (select email as y from people) select y || '!' from x")
claim "nor by way of an expression, COPY, a row as JSON or a CTE" eval 'lacks "${answer,,}" "$email" && lacks "${answer,,}" "$(rev <<<"$email")"'

chapter "3. A command that no one should run is refused before the target hears of it"
before=$(psql_target -c "select count(*) from orders")
mark=$(log_size)
shown 'psql -c "delete from orders"'
answer=$(psql_client -v VERBOSITY=verbose -c "delete from orders")
code=$?
output <<<"$answer"
claim "psql reports an error" is "$code" -ne 0
claim "SQLSTATE 42501, with the rule's message" holds "$answer" "42501: a change of a whole table is closed here"
claim "the target's log has no such statement" lacks "$(log_since "$mark")" "delete from orders"
claim "all $before orders are still there" equal "$(psql_target -c "select count(*) from orders")" "$before"
mark=$(log_size)
say "  The session stays in step, as if the target itself had raised the error:"
answer=$(psql_client -A -t <<'SQL'
begin;
update orders set note = 'seen' where id = 1;
savepoint here;
delete from orders;
rollback to here;
select 'still here: ' || note from orders where id = 1;
rollback;
SQL
)
output <<<"$answer"
claim "after ROLLBACK TO a savepoint the transaction goes on, with its earlier work" holds "$answer" "still here: seen"
claim "the target's log has the update, and not the delete" eval 'seen=$(log_since "$mark"); holds "$seen" "update orders set note" && lacks "$seen" "delete from orders"'

chapter "4. With the target's own certificate and key, the client's SCRAM login is relayed, channel binding and all"
need bash "$lab" gateway stop
need bash "$lab" gateway start --config "$(dirname "$WEIR_STATE")/gateway-relay.yaml"
names
answer=$(psql_client -A -t -c "select 'logged in as ' || current_user")
output <<<"$answer"
claim "psql logs in at the target itself, with its own password" equal "$answer" "logged in as $PGUSER"
claim "and is shown the target's own certificate" holds "$(issuer)" "Lab target CA"
need bash "$lab" gateway stop
need bash "$lab" gateway start
names

chapter "5. Everything is on a signed record"
sleep 1.5
shown weir sessions
weir sessions | tail -n 6 | output
sessions=$(weir sessions --json)
session=$(jq -r '[.[] | select(.blocked > 0)][0].id' <<<"$sessions")
shown "weir replay $session"
weir replay "$session" | output
replay=$(weir replay "$session" --json)
claim "the blocked command is on the record, with the rule that blocked it" \
  eval 'jq -e '\''any(.[]; .kind == "command" and .verdict == "block" and .rule == "whole-table-change" and (.text | contains("delete from orders")))'\'' <<<"$replay" >/dev/null'
claim "the events of the session are numbered without a gap" eval 'jq -e '\''[.[].seq] == [range(1; length + 1)]'\'' <<<"$replay" >/dev/null'
claim "every byte is accounted for: kernel = handshake + parsed + opaque + refused, in all sessions" \
  eval 'jq -e '\''all(.[] | select(.closed) | .bytes.to_target, .bytes.to_client; .kernel == .handshake + .parsed + .opaque + .refused)'\'' <<<"$sessions" >/dev/null'
claim "no masked address stands in anything that was kept" eval '! grep -rqaF "$email" "$WEIR_STATE" "$WEIR_LOG"'
shown "weir verify state --key $(basename "$WEIR_PUBKEY")"
bash "$lab" in gateway "$WEIR" verify "$WEIR_STATE" --key "$WEIR_PUBKEY" | tail -n 4 | output
claim "the record verifies, with its files and the public key alone" eval 'bash "$lab" in gateway "$WEIR" verify "$WEIR_STATE" --key "$WEIR_PUBKEY" >/dev/null'
copy=$(mktemp -d)
cp -a "$WEIR_STATE/." "$copy/" 2>/dev/null
archive=$(find "$copy/archive" -name '*.weir' | sort | head -n 1)
claim "there is an archive to spoil" test -n "$archive"
python3 - "$archive" <<'PY'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[len(data) // 2] ^= 1
open(sys.argv[1], "wb").write(data)
PY
claim "one flipped bit in a copy of it is found" eval '! bash "$lab" in gateway "$WEIR" verify "$copy" --key "$WEIR_PUBKEY" >/dev/null 2>&1'
rm -rf "$copy"

chapter "6. The engine is killed: the wall stays closed"
need bash "$lab" gateway kill
mark=$(log_size)
answer=$(psql_client -A -t -c "select 'passed while the engine was dead'")
code=$?
output <<<"$answer"
claim "psql is refused at once" equal "$code" 2
claim "the target saw nothing from $CLIENT_IP" lacks "$(log_since "$mark")" "$CLIENT_IP"
need bash "$lab" gateway start
names
claim "a new engine serves again" equal "$(psql_client -A -t -c 'select 1')" 1
claim "and the record still verifies" eval 'bash "$lab" in gateway "$WEIR" verify "$WEIR_STATE" --key "$WEIR_PUBKEY" >/dev/null'

finished=1
printf '\n%d claims, %d of them not true\n' "$claims" "$untrue"
[ "$untrue" -eq 0 ]
