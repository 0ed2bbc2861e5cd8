"""What is measured side by side: plain kernel forwarding, blind proxies, a pooler, and Weir in several settings.

Each contender is started, measured in all its modes, and stopped again before the next one starts, so that no two share
the cores.  Peers run in the gateway's namespace, where Weir runs, and are configured to do nothing but pass bytes on.
"""
import os
import re
import shutil
import signal
import subprocess

from weirlab import REPOSITORY, LabError, wait_until

GATEWAY_IP = "198.18.1.1"


def cpu_ticks(pid):
    """User and system time of a process and its children that ended, in clock ticks; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return sum(int(fields[i]) for i in (11, 12))
    except OSError:
        return 0


class Direct:
    """The kernel forwards; nothing inspects."""
    name = "direct"
    is_weir = False

    def __init__(self, lab):
        self.lab = lab
        self.host, self.port = lab.env["TARGET_IP"], int(lab.env["TARGET_PORT"])

    def start(self):
        pass

    def stop(self):
        pass

    def cpu_seconds(self):
        return 0.0

    def modes(self, wanted):
        return wanted


class Proxy(Direct):
    """A process in the gateway's namespace that listens on the gateway's own address."""

    def __init__(self, lab, folder):
        super().__init__(lab)
        self.host = GATEWAY_IP
        self.port = self.own_port
        self.folder = os.path.join(folder, self.name)
        os.makedirs(self.folder, exist_ok=True)
        self.process = None

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def start(self):
        log = open(os.path.join(self.folder, "log"), "ab")
        self.process = self.lab.start("gateway", self.argv(), stdout=log, stderr=log, start_new_session=True)
        log.close()
        wait_until(f"{self.name} listens on port {self.port}", self.listens, 10)

    def listens(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as file:
                raise LabError(f"{self.name} ended: {file.read()[-800:]}")
        done = self.lab.run("gateway", ["ss", "-Hltn", f"sport = :{self.port}"])
        return str(self.port) in done.stdout

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)  # Our own session: start_new_session.
            self.process.wait(5)
        self.process = None

    def cpu_seconds(self):
        pids = [self.process.pid]
        done = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True)
        pids += [int(p) for p in done.stdout.split()]
        return sum(cpu_ticks(p) for p in pids) / os.sysconf("SC_CLK_TCK")


class Haproxy(Proxy):
    name, own_port = "haproxy", 6001

    def argv(self):
        config = self.write("haproxy.cfg", f"""global
  nbthread {os.cpu_count()}
  maxconn 1000
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen target
  bind {self.host}:{self.port}
  server target {self.lab.env['TARGET_IP']}:{self.lab.env['TARGET_PORT']}
""")
        return ["haproxy", "-db", "-f", config]


class Nginx(Proxy):
    name, own_port = "nginx", 6002

    def argv(self):
        config = self.write("nginx.conf", f"""load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
pid {self.folder}/nginx.pid;
error_log {self.folder}/error.log;
worker_processes {os.cpu_count()};
events {{ worker_connections 1000; }}
stream {{
  server {{
    listen {self.host}:{self.port};
    proxy_timeout 1h;
    proxy_pass {self.lab.env['TARGET_IP']}:{self.lab.env['TARGET_PORT']};
  }}
}}
""")
        return ["nginx", "-p", self.folder, "-e", f"{self.folder}/error.log", "-c", config]


class Pgbouncer(Proxy):
    """Session pooling, no TLS on either leg."""
    name, own_port = "pgbouncer", 6003

    def argv(self):
        with open(self.lab.env["PGPASS_FILE"], encoding="utf-8") as file:
            logins = [line.strip().split(":", 4)[3:] for line in file if line.strip()]
        users = self.write("users.txt", "".join(f'"{user}" "{password}"\n' for user, password in logins), 0o600)
        certificate, key = os.path.join(self.folder, "server.crt"), os.path.join(self.folder, "server.key")
        shutil.copy(os.path.join(self.lab.folder, "keys", "target.crt"), certificate)
        shutil.copy(os.path.join(self.lab.folder, "keys", "target.key"), key)
        config = self.write("pgbouncer.ini", f"""[databases]
* = host={self.lab.env['TARGET_IP']} port={self.lab.env['TARGET_PORT']}
[pgbouncer]
listen_addr = {self.host}
listen_port = {self.port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = session
max_client_conn = 500
default_pool_size = 100
server_tls_sslmode = {self.tls_mode}
client_tls_sslmode = {self.tls_mode}
client_tls_cert_file = {certificate}
client_tls_key_file = {key}
log_connections = 0
log_disconnections = 0
""")
        for path in [self.folder, users, certificate, key, config]:
            shutil.chown(path, "postgres", "postgres")
        return ["pgbouncer", "-q", "-u", "postgres", config]

    tls_mode = "disable"

    def modes(self, wanted):
        return [mode for mode in wanted if mode.tls == (self.tls_mode == "require")]


class PgbouncerTls(Pgbouncer):
    """TLS ended and begun again, as Weir does it."""
    name, own_port, tls_mode = "pgbouncer-tls", 6004, "require"


class Weir(Direct):
    """The whole gateway, started with one configuration."""
    is_weir = True

    def __init__(self, lab, name, config, tls=False, is_trial=False):
        super().__init__(lab)
        self.name, self.config, self.tls, self.is_trial = name, config, tls, is_trial

    def start(self):
        self.lab.gateway_start(self.config)

    def stop(self):
        self.lab.gateway_stop()

    def cpu_seconds(self):
        return cpu_ticks(int(self.lab.env["WEIR_PID"])) / os.sysconf("SC_CLK_TCK")

    def modes(self, wanted):
        return [mode for mode in wanted if mode.tls == self.tls]


class Unrecorded(Weir):
    """The product with its journal taken out (bench/unrecorded.cc): what recording costs is the difference to `weir-async`.
    It does only half the work, so it proves nothing and is a trial."""
    is_weir = False

    def __init__(self, lab, config):
        super().__init__(lab, "weir-try-unrecorded", config, is_trial=True)
        self.binary = os.path.join(REPOSITORY, "build", "release", "bench", "weir-unrecorded")

    def with_binary(self, act):
        before = os.environ.get("WEIR")
        os.environ["WEIR"] = self.binary
        try:
            act()
        finally:
            os.environ.pop("WEIR") if before is None else os.environ.update(WEIR=before)

    def start(self):
        self.with_binary(super().start)

    def stop(self):
        self.with_binary(super().stop)


def _without_rules(text):
    return re.sub(r"(?ms)^rule_files:.*?(?=^masks:)", "", text)


def _without_masks(text):
    text = re.sub(r"(?m)^  - .*/rules/pii\.yaml\n", "", text)
    return re.sub(r"(?ms)^  - id: mask-people\n.*?(?=^\S|^  - id: |\Z)", "", text)


def _auto_cores(text):
    """The lab takes two cores to try what goes across them; a user has what `auto` gives."""
    return re.sub(r"(?m)^  cores: .*$", "  cores: auto", text)


def _async(text):
    return _auto_cores(text).replace("durability: before-forward", "durability: async")


def _set(pattern, replacement):
    def edit(text):
        changed = re.sub(pattern, replacement, text, count=1)
        if changed == text:
            raise LabError(f"the trial finds no {pattern}")
        return changed
    return edit


# Settings that were tried for speed; run by --only.  README.md says what each gave.
TRIALS = {
    "two-cores": _set(r"durability: before-forward", "durability: async"),  # As the lab has it.
    "commit-50ms": lambda text: _set(r"commit_every: 2ms", "commit_every: 50ms")(_async(text)),
    "no-responses": lambda text: _set(r"responses: head", "responses: none")(_async(text)),
    "small-buffers": lambda text: _set(r"  user: weir\n", "  user: weir\n  limits: {receive_buffer_count: 64, receive_buffer_size: 4KiB}\n")(_async(text)),
}


def make_contenders(lab, folder):
    variant = lab.config_variant
    return [
        Direct(lab), Haproxy(lab, folder), Nginx(lab, folder), Pgbouncer(lab, folder), PgbouncerTls(lab, folder),
        Weir(lab, "weir", variant("bench", _auto_cores, "plain")),
        Weir(lab, "weir-async", variant("bench-async", _async, "plain")),
        Weir(lab, "weir-no-masks", variant("bench-no-masks", lambda text: _auto_cores(_without_masks(text)), "plain")),
        Weir(lab, "weir-no-rules", variant("bench-no-rules", lambda text: _auto_cores(_without_rules(text)), "plain")),
        Weir(lab, "weir-bare", variant("bench-bare", lambda text: _async(_without_rules(text)), "plain")),
        Weir(lab, "weir-tls", variant("bench-tls", _auto_cores), tls=True),
        Weir(lab, "weir-try-two-cores-sync", lab.config_path("plain"), is_trial=True),
        Unrecorded(lab, variant("bench-unrecorded", _async, "plain")),
        *(Weir(lab, f"weir-try-{name}", variant(f"bench-try-{name}", edit, "plain"), is_trial=True) for name, edit in TRIALS.items()),
    ]
