#!/usr/bin/env bash
# The lab: a client, a gateway and a target (a real PostgreSQL) in three network namespaces on one host, with fixed names
# and addresses, so that anybody can write a check against it.
# Must never touch: a network outside its namespaces, a process that it did not start itself, a folder of somebody else.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/lab.sh [--name N] VERB
  up                               make the namespaces and start the target; says so if they are there already
  down                             take everything away again
  status                           what is up
  env                              names and addresses as shell variables: eval "$(scripts/lab.sh env)"
  in client|gateway|target CMD...  run CMD in that namespace; standard input and the exit code pass through
  gateway start [--config FILE]    weir up, then weir run in the background; waits until it serves
  gateway stop                     end the engine, then weir down
  gateway kill                     kill -9 of the engine: what is target-bound must stay closed
  gateway reload                   weir reload
  --name N                         a lab of its own beside the first: weir-client-N, weir-gateway-N, weir-target-N

  client  198.18.1.2  fd57:1::2 -- 198.18.1.1 fd57:1::1  gateway  198.18.2.1 fd57:2::1 -- 198.18.2.2 fd57:2::2  target

Environment: WEIR (the binary, by default build/release/bin/weir), WEIR_LAB_ROOT (by default /var/lib; not a tmpfs).
Example: scripts/lab.sh up && scripts/lab.sh gateway start && eval "$(scripts/lab.sh env)" &&
         PGPASSFILE=$PGPASS_FILE scripts/lab.sh in client psql -h "$TARGET_IP" -U "$PGUSER" "$PGDATABASE"
TEXT
}

fail() { echo "lab: $*" >&2; exit 1; }

name=
if [ "${1:-}" = --name ]; then
  name=${2:-}
  [[ $name =~ ^[a-z0-9]{1,12}$ ]] || fail "--name needs 1 to 12 of a-z 0-9"
  shift 2
fi
suffix=${name:+-$name}
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
lab_folder=${WEIR_LAB_ROOT:-/var/lib}/weir-lab$suffix     # State, target, configuration: on a disk.
run_folder=/run/weir-lab$suffix                           # The bpffs that holds the pins.
client_namespace=weir-client$suffix
gateway_namespace=weir-gateway$suffix
target_namespace=weir-target$suffix
client_ip=198.18.1.2 client_ip6=fd57:1::2
target_ip=198.18.2.2 target_ip6=fd57:2::2
target_port=5432
weir=${WEIR:-$repository/build/release/bin/weir}

# Only the network namespace is changed: `ip netns exec` would hide /sys/fs/bpf behind a private /sys.
inside() {
  local namespace=$1
  shift
  nsenter --net="/run/netns/$namespace" -- "$@"
}

# The process of a pid file, if it lives and is the program that we started; else nothing.
pid_of() {
  local file=$1 program=$2 pid
  [ -f "$file" ] || return 0
  pid=$(head -n 1 "$file")
  if [[ $pid =~ ^[0-9]+$ ]] && [[ "$(cat "/proc/$pid/cmdline" 2>/dev/null | tr '\0' ' ')" == *"$program"* ]]; then echo "$pid"; fi
}

# Pre: nothing else ends that process for good.  True: gone within the seconds given.
wait_gone() {
  local pid=$1 tries=$(($2 * 10))
  while [ "$tries" -gt 0 ]; do
    # A zombie whose threads are still ending holds its files.
    [ -d "/proc/$pid" ] || return 0
    [ "$(awk '/^State/ {print $2}' "/proc/$pid/status" 2>/dev/null)" != Z ] || [ "$(ls "/proc/$pid/task" 2>/dev/null | wc -l)" -gt 1 ] || return 0
    sleep 0.1
    tries=$((tries - 1))
  done
  return 1
}

is_up() { [ -e "/run/netns/$target_namespace" ] && [ -f "$lab_folder/ready" ]; }
need_up() { is_up || fail "the lab is not up: scripts/lab.sh${name:+ --name $name} up"; }

for part in network target gateway; do
  # shellcheck source=/dev/null
  . "$repository/scripts/lab/$part.sh"
done

lab_up() {
  if is_up && [ -n "$(target_pid)" ]; then
    echo "lab: already up"
    return 0
  fi
  [ "$(id -u)" -eq 0 ] || fail "run as root: namespaces are made"
  lab_down >/dev/null 2>&1 || true
  mkdir -p "$lab_folder" "$run_folder"
  chmod 755 "$lab_folder"
  case $(stat -f -c %T "$lab_folder") in
    tmpfs | ramfs) fail "$lab_folder is on a tmpfs, where durable means nothing; set WEIR_LAB_ROOT to a folder on a disk" ;;
  esac
  network_up
  target_up
  gateway_prepare
  touch "$lab_folder/ready"
  echo "lab: up; target $target_ip:$target_port, state in $lab_folder"
}

lab_down() {
  [ "$(id -u)" -eq 0 ] || fail "run as root"
  if [ -e "/run/netns/$gateway_namespace" ]; then gateway_stop || true; fi
  target_down
  gateway_user_down
  network_down
  rm -rf "$lab_folder" "$run_folder"
  echo "lab: down"
}

lab_status() {
  local namespace pid
  for namespace in "$client_namespace" "$gateway_namespace" "$target_namespace"; do
    printf '%-24s %s\n' "$namespace" "$([ -e "/run/netns/$namespace" ] && echo present || echo absent)"
  done
  pid=$(target_pid)
  printf '%-24s %s\n' target "$([ -n "$pid" ] && echo "running, pid $pid, log $target_log" || echo 'not running')"
  pid=$(gateway_pid)
  printf '%-24s %s\n' gateway "$([ -n "$pid" ] && echo "running, pid $pid, configuration $(gateway_config)" || echo 'not running')"
  is_up
}

lab_env() {
  need_up
  cat <<TEXT
WEIR=$weir
WEIR_CONFIG=$(gateway_config)
WEIR_STATE=$gateway_state
WEIR_PUBKEY=$gateway_public_key
WEIR_PID=$(gateway_pid)
WEIR_LOG=$gateway_log
CLIENT_IP=$client_ip
TARGET_IP=$target_ip
CLIENT_IP6=$client_ip6
TARGET_IP6=$target_ip6
TARGET_PORT=$target_port
TARGET_LOG=$target_log
PGUSER=orders_app
PGDATABASE=shop
PGPASS_FILE=$lab_folder/pgpass
PGSUPER=postgres
PGSUPERPASS_FILE=$lab_folder/pgpass-super
EXTRA_RULES=$gateway_extra_rules
TEXT
}

lab_in() {
  local where=${1:-}
  case $where in
    client | gateway | target) shift ;;
    *) fail "in what? client, gateway or target" ;;
  esac
  [ $# -gt 0 ] || fail "in $where: which command?"
  [ -e "/run/netns/weir-$where$suffix" ] || fail "the lab is not up"
  exec nsenter --net="/run/netns/weir-$where$suffix" -- "$@"
}

verb=${1:-}
[ $# -gt 0 ] && shift
case $verb in
  up) lab_up ;;
  down) lab_down ;;
  status) lab_status ;;
  env) lab_env ;;
  in) lab_in "$@" ;;
  gateway) gateway_verb "$@" ;;
  -h | --help | help) usage ;;
  *) usage >&2; exit 2 ;;
esac
