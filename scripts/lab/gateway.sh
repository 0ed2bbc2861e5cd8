# The lab's gateway: its keys, its configurations, and the engine's start and end.  Read by lab.sh.
# Processes are ended by their own pid file only.

gateway_state=$lab_folder/state
gateway_log=$lab_folder/gateway.log
gateway_pid_file=$lab_folder/gateway.pid
gateway_public_key=$lab_folder/keys/log.pub
gateway_extra_rules=$lab_folder/extra-rules.yaml

gateway_pid() { pid_of "$gateway_pid_file" weir; }

# The configuration in use; the default one before the first start.
gateway_config() { cat "$lab_folder/gateway.config" 2>/dev/null || echo "$lab_folder/gateway.yaml"; }

# Keys, the extra rule file, and the three configurations:
#   gateway.yaml        the client leg shows a leaf minted for the target's name; the gateway logs in itself (inject)
#   gateway-relay.yaml  the client leg shows the target's own pair, so that channel binding holds; the login is relayed
#   gateway-plain.yaml  no TLS on either leg; the login is relayed
gateway_prepare() {
  gateway_user_up
  mkdir -p "$gateway_state"
  chmod 700 "$gateway_state"
  openssl genpkey -algorithm ed25519 2>/dev/null | secret_file "$lab_folder/keys/log.key"
  openssl pkey -in "$lab_folder/keys/log.key" -pubout -out "$gateway_public_key"
  openssl rand -hex 32 | secret_file "$lab_folder/keys/mask.key"
  { printf 'weir-key-1 '; openssl rand -hex 32; } | secret_file "$lab_folder/keys/kek.key"
  openssl genpkey -algorithm X25519 2>/dev/null | secret_file "$lab_folder/keys/auditor.key"
  openssl pkey -in "$lab_folder/keys/auditor.key" -pubout -out "$lab_folder/keys/auditor.pub"
  printf '# Rules that a check puts in; loaded by every configuration of the lab.\nrules: []\n' >"$gateway_extra_rules"
  gateway_yaml inject minted offer verify-full >"$lab_folder/gateway.yaml"
  gateway_yaml relay own-pair offer verify-full >"$lab_folder/gateway-relay.yaml"
  gateway_yaml relay none none none >"$lab_folder/gateway-plain.yaml"
}

# The system users that the engine and its signer drop to.  Made here if they are not there; taken away by the lab that made them.
gateway_user_up() {
  local user
  for user in weir weir-signer; do
    getent passwd "$user" >/dev/null && continue
    useradd --system --no-create-home --shell /usr/sbin/nologin "$user"
    echo "$user" >>"$lab_folder/made-user"
  done
}
gateway_user_down() {
  local user
  [ -f "$lab_folder/made-user" ] || return 0
  while read -r user; do userdel "$user" 2>/dev/null || true; done <"$lab_folder/made-user"
}

# Two cores where there are two, whatever `auto` would take: what goes from one to the other is tried too.
lab_cores() { if [ "$(nproc)" -gt 1 ]; then echo "[0, 1]"; else echo "[0]"; fi; }

# gateway_yaml LOGIN PAIR TO_CLIENT TO_TARGET: a whole configuration on standard output.
gateway_yaml() {
  local login=$1 pair=$2 to_client=$3 to_target=$4 until
  until=$(date -u -d '+1 year' +%Y-%m-%dT00:00:00Z)
  cat <<TEXT
# Made by scripts/lab.sh: login: $login, certificate towards the client: $pair.
version: 1
name: gw-lab${suffix:-}
state: $gateway_state

engine:
  cores: $(lab_cores)
  user: weir
  timeouts: {connect: 5s, handshake: 10s, idle: 1h, drain: 3s}

steer:
  clients: [veth-client]
  targets: [veth-target]
  pin: $run_folder/bpf/weir

tls:
  ca: {certificate_file: keys/ca.crt, key_file: keys/ca.key}

identity:
  static:
    - {address: $client_ip, subject: "svc:report-agent", groups: [agents], reason: "lab client", until: $until}
    - {address: "$client_ip6", subject: "svc:report-agent", groups: [agents], reason: "lab client", until: $until}

targets:
  - name: orders-db
    protocol: postgres
    addresses: [$target_ip, "$target_ip6"]
    ports: [$target_port]
    unbound: explain
    tls:
      to_client: $to_client
$(gateway_yaml_pair "$pair")
      to_target: $to_target
$(gateway_yaml_trust "$to_target")
    login: $login
$(gateway_yaml_logins "$login")
    catalogue: {user: weir_catalogue, password_file: keys/weir_catalogue.password, databases: [shop], refresh: 5s}
    record: {durability: before-forward, responses: head, head_rows: 20, parameters: masked}

grants:
  - name: agents-read
    who: {groups: [agents]}
    targets: [orders-db]
    logins: [report_ro]
    databases: [shop]
    verbs: [read]
    objects: ["public.*", "pg_catalog.*", "information_schema.*", "!public.staff_pay", "!pg_catalog.pg_authid", "!pg_catalog.pg_shadow"]
    until: $until
    tags: [CC6.1, CC6.3]
  - name: agents-work
    who: {groups: [agents]}
    targets: [orders-db]
    logins: [orders_app]
    databases: [shop]
    verbs: [read, write]
    objects: ["public.*", "pg_catalog.*", "information_schema.*", "!public.staff_pay", "!pg_catalog.pg_authid", "!pg_catalog.pg_shadow"]
    until: $until
    tags: [CC6.1, CC6.3]

rule_files:
$(printf '  - %s\n' "$repository"/rules/*.yaml)
  - $gateway_extra_rules

$(gateway_yaml_rules)

masks: {hash_key_file: keys/mask.key, length: keep, fail: closed}

record:
  journal: {segment: 16MiB, commit_every: 2ms, reserve: 64MiB}
  on_failure: stop
  seal: {after_close: 200ms, every: 1h, chunk: 1MiB}
  encryption: {key_file: keys/kek.key, auditors: [keys/auditor.pub]}
  signing: {key_file: keys/log.key, algorithm: ed25519}
  log: {origin: weir.lab.example/gw-lab${suffix:-}}

control: {metrics: "127.0.0.1:9464"}
log: {level: info, format: text}
TEXT
}

gateway_yaml_pair() { [ "$1" != own-pair ] || printf '      certificate_file: keys/target.crt\n      key_file: keys/target.key\n'; }
gateway_yaml_trust() {
  [ "$1" = none ] || printf '      ca_file: keys/target-ca.crt\n      server_name: orders-db.lab.example\n'
}
gateway_yaml_logins() {
  [ "$1" = inject ] || return 0
  cat <<'TEXT'
    logins:
      - {client: report_ro, user: report_ro, password_file: keys/report_ro.password}
      - {client: orders_app, user: orders_app, password_file: keys/orders_app.password}
TEXT
}

# The rules that the demonstration shows: take one out, and the demonstration must fail.
gateway_yaml_rules() {
  cat <<'TEXT'
rules:
  - id: whole-table-change
    why: "an UPDATE or DELETE of a whole table is nearly always a slip"
    severity: high
    tags: [CC6.1, CC8.1]
    where: {targets: [orders-db], protocol: postgres, direction: to_target}
    what: {facts: [update-without-where, delete-without-where]}
    then: block
    message: "a change of a whole table is closed here"
    examples:
      match: ["delete from orders", "delete from orders where true"]
      no_match: ["delete from orders where id = 1", "select 'delete from orders'"]
  - id: no-server-programs
    why: "COPY PROGRAM and server file functions run or read on the database host"
    severity: critical
    where: {targets: [orders-db], protocol: postgres}
    what: {facts: [copy-program, copy-file], functions: [pg_read_file, pg_read_binary_file, lo_import, lo_export, "dblink*"]}
    then: block
    message: "server-side files and programs are closed here"
    examples: {match: ["copy people to program 'x'"], no_match: ["copy people to stdout"]}
  - id: mask-people
    why: "agents do not need to see who the customer is"
    severity: high
    tags: [CC6.7]
    where: {targets: [orders-db], who: {groups: [agents]}, direction: to_client}
    what: {columns: ["public.people.email", "public.people.card", "public.people.tax_id"]}
    then: mask
    mask: {as: partial, keep_last: 4, in_filters: block, write_back: block, unsure: strict}
    examples: {match: ["select email as e from people", "copy people to stdout"], no_match: ["select id from people"]}
TEXT
}

need_weir() { [ -x "$weir" ] || fail "no gateway at $weir: build it (scripts/test.sh, or cmake --preset release) or set WEIR"; }

gateway_verb() {
  local verb=${1:-}
  [ $# -gt 0 ] && shift
  need_up
  case $verb in
    start) gateway_start "$@" ;;
    stop) gateway_stop ;;
    kill) gateway_kill ;;
    reload) gateway_reload ;;
    *) fail "gateway what? start, stop, kill or reload" ;;
  esac
}

gateway_start() {
  local config=$lab_folder/gateway.yaml
  if [ "${1:-}" = --config ]; then config=$(realpath "${2:?--config needs a file}"); fi
  [ -f "$config" ] || fail "no such configuration: $config"
  need_weir
  if [ -n "$(gateway_pid)" ]; then
    [ "$(gateway_config)" = "$config" ] || fail "the gateway runs with $(gateway_config); stop it first"
    echo "lab: the gateway is already running"
    return 0
  fi
  [ -f "$lab_folder/keys/ca.crt" ] || inside "$gateway_namespace" "$weir" ca init --config "$config" >/dev/null
  # The engine reads its secrets as its own user, also at a reload.  The superuser's password is none of its business.
  chown -R weir: "$lab_folder/keys"
  chown root: "$lab_folder/keys/postgres.password"
  # What the signer alone holds, and what is the auditor's.
  chown root: "$lab_folder"/keys "$lab_folder"/keys/{log.key,kek.key,ca.key,auditor.key}
  echo "$config" >"$lab_folder/gateway.config"
  inside "$gateway_namespace" "$weir" up --config "$config" >>"$gateway_log" 2>&1 || gateway_explain "weir up failed"
  (cd / && exec nsenter --net="/run/netns/$gateway_namespace" -- setsid "$weir" run --config "$config") \
    >>"$gateway_log" 2>&1 </dev/null &
  echo $! >"$gateway_pid_file"
  gateway_await $! || gateway_explain "the engine does not serve"
  echo "lab: the gateway serves, pid $(gateway_pid), configuration $config"
}

gateway_explain() {
  echo "lab: $1; the end of $gateway_log:" >&2
  tail -n 20 "$gateway_log" >&2
  exit 1
}

# Until `weir status` names this process as the engine.
gateway_await() {
  local pid=$1 tries=150 answer
  while [ "$tries" -gt 0 ]; do
    [ -d "/proc/$pid" ] || return 1
    answer=$(inside "$gateway_namespace" "$weir" status --json --config "$(gateway_config)" 2>/dev/null | jq -r '.engine.pid // empty' 2>/dev/null) || true
    [ "$answer" != "$pid" ] || return 0
    sleep 0.1
    tries=$((tries - 1))
  done
  return 1
}

gateway_stop() {
  local pid
  pid=$(gateway_pid)
  if [ -n "$pid" ]; then
    kill -TERM "$pid" 2>/dev/null || true
    wait_gone "$pid" 15 || { kill -KILL "$pid" 2>/dev/null; echo "lab: the engine did not end on SIGTERM and was killed" >&2; }
  fi
  rm -f "$gateway_pid_file"
  [ -f "$lab_folder/gateway.config" ] || return 0
  # Exit 1: something that others changed meanwhile was left as it is.
  inside "$gateway_namespace" "$weir" down --config "$(gateway_config)" >>"$gateway_log" 2>&1 || [ $? -eq 1 ] || gateway_explain "weir down failed"
  echo "lab: the gateway is stopped"
}

gateway_kill() {
  local pid
  pid=$(gateway_pid)
  [ -n "$pid" ] || fail "the gateway is not running"
  kill -KILL "$pid"
  wait_gone "$pid" 5 || fail "pid $pid does not end"
  rm -f "$gateway_pid_file"
  echo "lab: the engine is killed"
}

gateway_reload() {
  [ -n "$(gateway_pid)" ] || fail "the gateway is not running"
  inside "$gateway_namespace" "$weir" reload --config "$(gateway_config)" --reason "lab reload"
}
