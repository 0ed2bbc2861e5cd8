# The lab's target: a real PostgreSQL 15 with TLS, SCRAM for everybody, and every statement in its log.  Read by lab.sh.
# Nothing makes the login easier than at a real site: no trust line, no channel_binding=disable.

target_folder=$lab_folder/target
target_log=$target_folder/log/postgresql.log
target_bin=/usr/lib/postgresql/15/bin

target_pid() { pid_of "$target_folder/data/postmaster.pid" "$target_folder/data"; }

as_postgres() { inside "$target_namespace" setpriv --reuid=postgres --regid=postgres --init-groups --no-new-privs "$@"; }

# As the superuser, over the target's own Unix socket.
target_psql() {
  PGPASSFILE=$lab_folder/pgpass-super inside "$target_namespace" \
    psql -X -q -v ON_ERROR_STOP=1 -h "$target_folder/run" -p "$target_port" -U postgres "$@"
}

# A file that only root reads.
secret_file() { (umask 077 && cat >"$1"); }

target_up() {
  [ -x "$target_bin/postgres" ] || fail "PostgreSQL 15 is not installed: scripts/setup.sh"
  mkdir -p "$target_folder"/{run,log,tls} "$lab_folder/keys"
  target_secrets
  target_certificates
  target_initdb
  target_start
  target_fill
}

# One password a login, made new at each `up`; the same client and target password, so that a direct login works too.
target_secrets() {
  local login
  for login in postgres report_ro orders_app weir_catalogue; do
    openssl rand -hex 16 | secret_file "$lab_folder/keys/$login.password"
  done
  printf '*:*:*:postgres:%s\n' "$(<"$lab_folder/keys/postgres.password")" | secret_file "$lab_folder/pgpass-super"
  for login in report_ro orders_app; do
    printf '*:*:*:%s:%s\n' "$login" "$(<"$lab_folder/keys/$login.password")"
  done | secret_file "$lab_folder/pgpass"
}

# A CA for the target, and its server certificate for orders-db.lab.example.
target_certificates() {
  local tls=$target_folder/tls
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj '/CN=Lab target CA' \
    -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign' \
    -keyout "$tls/ca.key" -out "$tls/ca.crt" 2>/dev/null
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=orders-db.lab.example' \
    -keyout "$tls/server.key" -out "$tls/server.csr" 2>/dev/null
  openssl x509 -req -in "$tls/server.csr" -CA "$tls/ca.crt" -CAkey "$tls/ca.key" -CAcreateserial -days 365 -out "$tls/server.crt" \
    -extfile <(printf 'subjectAltName=DNS:orders-db.lab.example,IP:%s,IP:%s\nextendedKeyUsage=serverAuth\n' \
      "$target_ip" "$target_ip6") 2>/dev/null
  cp "$tls/ca.crt" "$lab_folder/keys/target-ca.crt"
  cp "$tls/server.crt" "$lab_folder/keys/target.crt"
  secret_file "$lab_folder/keys/target.key" <"$tls/server.key"
  rm -f "$tls/server.csr" "$tls/ca.srl"
}

target_initdb() {
  local data=$target_folder/data password=$target_folder/superuser.password
  (umask 077 && cp "$lab_folder/keys/postgres.password" "$password")
  chown -R postgres: "$target_folder"
  chmod 600 "$target_folder/tls/server.key"
  (cd / && as_postgres "$target_bin/initdb" -D "$data" -U postgres -A scram-sha-256 --pwfile="$password" \
    --locale=C.UTF-8 --encoding=UTF8) >"$lab_folder/initdb.log" 2>&1 || { tail -n 5 "$lab_folder/initdb.log" >&2; fail "initdb failed"; }
  rm -f "$password"
  cat >>"$data/postgresql.conf" <<TEXT
listen_addresses = '$target_ip,$target_ip6'
port = $target_port
unix_socket_directories = '$target_folder/run'
ssl = on
ssl_cert_file = '$target_folder/tls/server.crt'
ssl_key_file = '$target_folder/tls/server.key'
password_encryption = 'scram-sha-256'
max_connections = 200
shared_buffers = '256MB'
log_statement = 'all'
log_connections = on
log_disconnections = on
log_destination = 'stderr,jsonlog'
logging_collector = on
log_directory = '$target_folder/log'
log_filename = 'postgresql.log'
log_rotation_age = 0
log_rotation_size = 0
log_line_prefix = '%m [%p] %r user=%u db=%d app=%a '
TEXT
  cat >"$data/pg_hba.conf" <<'TEXT'
local all all           scram-sha-256
host  all all 0.0.0.0/0 scram-sha-256
host  all all ::/0      scram-sha-256
TEXT
}

target_start() {
  (cd / && as_postgres "$target_bin/pg_ctl" -D "$target_folder/data" -l "$target_folder/log/start.log" -w -t 60 start) >/dev/null ||
    { tail -n 20 "$target_folder/log/start.log" >&2; fail "the target did not start"; }
}

# Nothing of it goes to the target's log: passwords are in it.
target_fill() {
  local login
  local -x PGOPTIONS='-c log_statement=none'
  target_psql -d postgres -c 'create database shop'
  for login in report_ro orders_app weir_catalogue; do
    # From standard input: a password is never on a command line.
    printf "create role %s login password '%s';\n" "$login" "$(<"$lab_folder/keys/$login.password")" | target_psql -d postgres -f -
  done
  target_psql -d shop -f "$repository/scripts/lab/shop.sql" >/dev/null
  PGPASSFILE=$lab_folder/pgpass-super inside "$target_namespace" "$target_bin/pgbench" -i -q -s 1 \
    -h "$target_folder/run" -p "$target_port" -U postgres shop >/dev/null 2>&1 || fail "pgbench could not fill its tables"
}

target_down() {
  local pid
  pid=$(target_pid)
  [ -n "$pid" ] || return 0
  # SIGQUIT: at once; the data goes away with the lab.
  kill -QUIT "$pid" 2>/dev/null || true
  wait_gone "$pid" 20 || kill -KILL "$pid" 2>/dev/null || true
}
