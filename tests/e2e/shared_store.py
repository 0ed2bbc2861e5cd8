"""A PostgreSQL for gateways to share, and a second lab beside the first whose gateway shares it.

The server listens on a Unix socket alone: a path, which every network namespace reaches.  Both go with the case.
"""
import contextlib
import os
import pwd
import re
import shutil
import subprocess
import tempfile

from weirlab import Lab, LabError, wait_until

PORT = 5499


class SharedStore:
    def __init__(self):
        versions = [v for v in (18, 17, 16, 15, 14, 13) if os.path.exists(f"/usr/lib/postgresql/{v}/bin/initdb")]
        if not versions:
            raise LabError("no PostgreSQL server is installed: scripts/setup.sh")
        self.bin = f"/usr/lib/postgresql/{versions[0]}/bin"
        self.folder = tempfile.mkdtemp(prefix="weir-store-")
        os.chmod(self.folder, 0o755)
        shutil.chown(self.folder, "postgres", "postgres")
        self._as_postgres(f"{self.bin}/initdb", "--auth-local=trust", "-U", "postgres", "-D", f"{self.folder}/data")
        self.start()
        self.sql("create role weir login", "postgres")
        self.sql("create database weir owner weir", "postgres")

    def _as_postgres(self, *argv):
        user = pwd.getpwnam("postgres")
        done = subprocess.run(["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *argv], cwd="/", capture_output=True,
                              text=True, timeout=120, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise LabError(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}")

    def start(self):
        options = f"-c listen_addresses= -c unix_socket_directories={self.folder} -c port={PORT}"
        self._as_postgres(f"{self.bin}/pg_ctl", "-w", "-t", "60", "-D", f"{self.folder}/data", "-l", f"{self.folder}/data/server.log", "-o", options, "start")

    def stop(self):
        self._as_postgres(f"{self.bin}/pg_ctl", "-m", "immediate", "-D", f"{self.folder}/data", "stop")

    def sql(self, statement, database="weir"):
        done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-p", str(PORT), "-U", "postgres", "-d", database, "-c", statement],
                              capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL, cwd="/")
        if done.returncode != 0:
            raise LabError(f"{statement}: {done.stderr}")
        return done.stdout.strip()

    def end(self):
        with contextlib.suppress(LabError):
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def section(self):
        return f"\nstore: \"postgresql://weir@:{PORT}/weir?host={self.folder}\"\n"


@contextlib.contextmanager
def second_lab(first):
    """A whole lab of its own, with the same addresses in namespaces of its own."""
    lab = Lab((first.name or "lab")[:11] + "2")
    lab.up()
    try:
        yield lab
    finally:
        lab.down()


def with_store(edit, section):
    """An edit of a configuration that gives it a store as well."""
    return lambda text: re.sub(r"(?m)^store:.*\n", "", edit(text)) + section


def wait_health(lab, word):
    wait_until(f"the store is {word}", lambda: lab.weir_json("status")["store"]["health"].startswith(word), 20, 0.2)
