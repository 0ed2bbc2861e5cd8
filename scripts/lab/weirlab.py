"""The lab from Python: what tests/e2e and bench/ share.

Everything goes through scripts/lab.sh, but for commands inside a namespace, which are started directly (no shell between).
Must never: wait without a bound, or end a process that it did not start.
"""
import ctypes
import json
import os
import shlex
import socket
import subprocess
import threading
import time

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LAB_SH = os.path.join(REPOSITORY, "scripts", "lab.sh")


class LabError(Exception):
    """A step of the lab itself failed; the message holds its output."""


PATIENCE = 3  # A machine that does other things too is given so many times as long.


def wait_until(what, claim, seconds=10.0, step=0.05):
    """Calls `claim` until it gives a true value, which is returned; LabError naming `what` when time is up: `seconds` of a machine
    that does nothing else."""
    seconds *= PATIENCE
    end = time.monotonic() + seconds
    while True:
        value = claim()
        if value:
            return value
        if time.monotonic() > end:
            raise LabError(f"after {seconds:g} s still not so: {what}")
        time.sleep(step)


class Lab:
    def __init__(self, name=None):
        self.name = name
        self.suffix = f"-{name}" if name else ""
        self.env = {}

    # --- the lab itself ---

    def _lab_sh(self, *arguments, timeout=120):
        command = ["bash", LAB_SH] + (["--name", self.name] if self.name else []) + list(arguments)
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise LabError(f"{' '.join(shlex.quote(a) for a in command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def up(self):
        self._lab_sh("up")
        self.refresh()

    def down(self):
        self._lab_sh("down")

    def refresh(self):
        """Reads `lab.sh env` again: the engine's pid and the configuration change at each start."""
        self.env = {}
        for line in self._lab_sh("env").splitlines():
            key, _, value = line.partition("=")
            self.env[key] = value
        return self.env

    def gateway_start(self, config=None):
        self._lab_sh("gateway", "start", *(["--config", config] if config else []))
        self.refresh()

    def gateway_stop(self):
        self._lab_sh("gateway", "stop")
        self.refresh()

    def gateway_kill(self):
        self._lab_sh("gateway", "kill")
        self.refresh()

    def gateway_reload(self):
        self._lab_sh("gateway", "reload")

    @property
    def folder(self):
        return os.path.dirname(self.env["WEIR_STATE"])

    def config_path(self, kind=""):
        """The lab's own configurations: "", "relay", "plain"."""
        return os.path.join(self.folder, f"gateway-{kind}.yaml" if kind else "gateway.yaml")

    def config_variant(self, name, edit, base=""):
        """A configuration made from one of the lab's own by edit(text) -> text.  An edit that changes nothing is an error."""
        with open(self.config_path(base), encoding="utf-8") as file:
            text = file.read()
        changed = edit(text)
        if changed == text:
            raise LabError(f"the edit for {name} changes nothing in {self.config_path(base)}")
        path = os.path.join(self.folder, f"gateway-{name}.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(changed)
        return path

    # --- commands inside ---

    def command(self, where, argv):
        return ["nsenter", f"--net=/run/netns/weir-{where}{self.suffix}", "--", *argv]

    def run(self, where, argv, *, timeout=60, input=None, env=None, check=False, binary=False):
        given = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
        done = subprocess.run(self.command(where, argv), capture_output=True, text=not binary, timeout=timeout,
                              env={**os.environ, **(env or {})}, cwd="/", **given)
        if check and done.returncode != 0:
            raise LabError(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def start(self, where, argv, *, env=None, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(self.command(where, argv), env={**os.environ, **(env or {})}, cwd="/", **options)

    def socket(self, where, family):
        """A TCP socket of that namespace: a socket stays where it was made, so only the thread that makes it moves there."""
        made = []

        def make():
            libc = ctypes.CDLL(None, use_errno=True)
            namespace = os.open(f"/run/netns/weir-{where}{self.suffix}", os.O_RDONLY)
            try:
                if libc.setns(namespace, 0x40000000) != 0:  # CLONE_NEWNET
                    raise OSError(ctypes.get_errno(), "setns")
                made.append(socket.socket(family, socket.SOCK_STREAM))
            finally:
                os.close(namespace)

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if not made:
            raise LabError(f"no socket in weir-{where}{self.suffix}")
        return made[0]

    def client_env(self, *, ipv6=False, user=None, sslmode=None, host=None, port=None, app=None):
        """libpq's variables for a client of the target; what is not given is libpq's own default."""
        env = {
            "PGHOST": host or self.env["TARGET_IP6" if ipv6 else "TARGET_IP"],
            "PGPORT": str(port or self.env["TARGET_PORT"]),
            "PGUSER": user or self.env["PGUSER"],
            "PGDATABASE": self.env["PGDATABASE"],
            "PGPASSFILE": self.env["PGPASS_FILE"],
            "PGCONNECT_TIMEOUT": "10",
        }
        if sslmode:
            env["PGSSLMODE"] = sslmode
        if app:
            env["PGAPPNAME"] = app
        return env

    def psql(self, *statements, arguments=(), input=None, timeout=60, where="client", **client):
        """Unmodified psql: each statement a -c; rows unaligned, separated by |.  SQLSTATEs are shown."""
        argv = ["psql", "-X", "-q", "-A", "-t", "-v", "VERBOSITY=verbose", *arguments]
        for statement in statements:
            argv += ["-c", statement]
        return self.run(where, argv, timeout=timeout, input=input, env=self.client_env(**client))

    def psql_start(self, *statements, arguments=(), **client):
        """A psql that reads statements from its standard input until that is closed."""
        argv = ["psql", "-X", "-q", "-A", "-t", "-v", "VERBOSITY=verbose", *arguments]
        for statement in statements:
            argv += ["-c", statement]
        return self.start("client", argv, env=self.client_env(**client), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)

    def superuser(self, *statements, database=None):
        """As the target's superuser, directly at the target, past the gateway."""
        argv = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        for statement in statements:
            argv += ["-c", statement]
        env = {"PGHOST": os.path.join(self.folder, "target", "run"), "PGPORT": self.env["TARGET_PORT"],
               "PGUSER": self.env["PGSUPER"], "PGDATABASE": database or self.env["PGDATABASE"],
               "PGPASSFILE": self.env["PGSUPERPASS_FILE"]}
        return self.run("target", argv, env=env, check=True).stdout.strip()

    def weir(self, *arguments, timeout=60, check=False):
        return self.run("gateway", [self.env["WEIR"], *arguments, "--config", self.env["WEIR_CONFIG"]], timeout=timeout, check=check)

    def weir_json(self, *arguments, timeout=60):
        return json.loads(self.weir(*arguments, "--json", timeout=timeout, check=True).stdout)

    # --- what the target saw ---

    def log_mark(self):
        """A place in the target's log: what comes after it is what happened since."""
        return os.path.getsize(self.env["TARGET_LOG"])

    def log_settle(self):
        """Waits until the target's log holds all that its backends have said so far: they write to one pipe, and what comes
        through it after them is seen."""
        mark, word = self.log_mark(), "settled_" + os.urandom(6).hex()
        self.superuser(f"select '{word}'")
        wait_until("the target's log is written", lambda: word in self.log_since(mark), 10, 0.02)

    def log_since(self, mark):
        with open(self.env["TARGET_LOG"], "rb") as file:
            file.seek(mark)
            return file.read().decode("utf-8", "replace")

    def log_json_path(self):
        return self.env["TARGET_LOG"][: -len(".log")] + ".json"
