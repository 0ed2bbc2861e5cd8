"""Disks that fail: nothing passes that is not on the record, what passed is on it afterwards, and the host can be given back."""
import os
import re
import subprocess

from cases.records import verify
from harness import case, expect, expect_equal
from pgwire import WireError
from weirlab import wait_until

MIB = 1 << 20
KEPT = 2 * MIB   # Of each segment: what is written before stays readable.


def _run(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    expect_equal(done.returncode, 0, f"{' '.join(argv)}: {done.stderr[-300:]}")
    return done.stdout


class FailingDisk:
    """ext4 on a loop device over a file in a tmpfs that has no room beyond it.  Blocks that are taken from the file and given to
    somebody else answer EIO when they are written; all others work."""

    def __init__(self, folder):
        self.outer, self.mount = os.path.join(folder, "outer"), os.path.join(folder, "inner")
        self.image, self.filler = os.path.join(self.outer, "image"), os.path.join(self.outer, "filler")
        for path in (self.outer, self.mount):
            os.makedirs(path, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", "size=288M", "tmpfs", self.outer)
        _run("dd", "if=/dev/zero", f"of={self.image}", "bs=1M", "count=256")
        _run("mkfs.ext4", "-q", "-F", "-m", "0", "-b", "4096", "-O", "^has_journal", "-E", "nodiscard", self.image)
        _run("fallocate", "-l", "256M", self.image)  # mkfs leaves holes where it wants zeros.
        _run("mount", "-o", "loop", self.image, self.mount)
        # A loop device takes a write that its file took a part of for a whole one, so each goes to it block by block.
        device = os.path.basename(_run("losetup", "-n", "-O", "NAME", "-j", self.image).strip())
        with open(f"/sys/block/{device}/queue/max_sectors_kb", "w", encoding="ascii") as file:
            file.write("4")

    def fail_blocks_of(self, path):
        """Those beyond its first KEPT bytes.  What stood there is gone."""
        for match in re.finditer(r"^\s*\d+:\s*(\d+)\.\.\s*(\d+):\s*(\d+)\.\.", _run("filefrag", "-v", "-b4096", path), re.M):
            first, last, physical = (int(match[i]) for i in (1, 2, 3))
            skipped = max(0, KEPT // 4096 - first)
            if first + skipped <= last:
                _run("fallocate", "--punch-hole", "--offset", str((physical + skipped) * 4096), "--length", str((last - first - skipped + 1) * 4096), self.image)

    def take_what_is_free(self):
        subprocess.run(["dd", "if=/dev/zero", f"of={self.filler}", "bs=64K"], capture_output=True, stdin=subprocess.DEVNULL, timeout=60)

    def heal(self):
        os.unlink(self.filler)

    def end(self):
        for path in (self.mount, self.outer):  # A loop device lets go of its file a moment later.
            wait_until(f"{path} is not mounted", lambda: not os.path.ismount(path) or
                       subprocess.run(["umount", path], capture_output=True, stdin=subprocess.DEVNULL, check=False).returncode == 0, 20, 0.1)


def _errors(context):
    done = context.lab.run("gateway", ["curl", "-sf", "http://127.0.0.1:9464/metrics"])
    return sum(int(float(value)) for value in re.findall(r"^weir_journal_errors_total(?:\{[^}]*\})? (\S+)", done.stdout, re.M))


@case("the journal's disk answers EIO: it goes on in another segment, or refuses; after a kill, and with the disk whole, all that the target saw is on the record",
      config=None, seconds=200, spoils=True)
def eio(context):
    disk = FailingDisk(context.lab.folder)
    try:
        state = f"{disk.mount}/state"
        path = context.lab.config_variant("eio", lambda text: text.replace(f"state: {context.lab.folder}/state", f"state: {state}")
                                          .replace("segment: 16MiB", "segment: 4MiB").replace("reserve: 64MiB", "reserve: 16MiB"))
        context.use(lambda _: path)
        expect_equal(context.rows("select 'eio_before'", app="elsewhere"), ["eio_before"], "before")
        os.sync()
        begin = context.lab.log_mark()
        for name in sorted(os.listdir(f"{state}/journal")):
            if name.endswith(".segment"):
                disk.fail_blocks_of(f"{state}/journal/{name}")
        disk.take_what_is_free()
        passed, is_refused = [], False
        for turn in range(60):
            word = f"eio_{turn:04}"
            try:
                with context.wire(timeout=20, startup={"application_name": "elsewhere"}) as wire:
                    for part in range(10):
                        reply = wire.query(f"select '{word}_{part}', '" + "x" * 30_000 + "'")
                        if reply.errors or reply.status is None:
                            raise EOFError(str(reply.errors))
                        passed.append(f"{word}_{part}")
            except (WireError, OSError, EOFError):
                is_refused = True
                break
        expect(len(passed) > 60, f"{len(passed)} statements passed: more than one segment's sound part, so the journal went on in another")
        expect(_errors(context) >= 1, "failed writes are counted")
        if is_refused:
            with context.target_never_sees("eio_after"):
                expect(context.psql("select 'eio_after'", app="elsewhere").returncode != 0, "a new session is served without a record")
        context.lab.log_settle()
        seen = set(re.findall(r"eio_\d{4}_\d", context.lab.log_since(begin)))
        expect(set(passed) <= seen, "what passed is what the target saw")
        context.lab.gateway_kill()
        context.running = None
        disk.heal()
        context.use(lambda _: path)
        expect_equal(context.rows("select 'eio_healed'", app="elsewhere"), ["eio_healed"], "with the disk whole again")

        def recorded():
            sessions = context.lab.weir_json("sessions")
            if not all(session["closed"] for session in sessions):
                return None
            return {word for session in sessions for event in context.replay(session) if event["kind"] == "command"
                    for word in re.findall(r"eio_\d{4}_\d", event.get("text", ""))}
        missing = seen - wait_until("all sessions are sealed", recorded, 60, 0.5)
        expect(not missing, f"{len(missing)} statements that the target saw are not on the record: {sorted(missing)[:5]}")
        code, report = verify(context, state)
        expect(code in (0, 3), f"weir verify: exit {code}: {report}")
    finally:
        context.stop()
        disk.end()


@case("the state's disk takes no writes any more: `weir down` still gives the host back", config=None, seconds=60, spoils=True)
def read_only(context):
    mount = os.path.join(context.lab.folder, "read-only")
    os.makedirs(mount, exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", "size=1G", "tmpfs", mount)
    try:
        path = context.lab.config_variant("read-only", lambda text: text.replace(f"state: {context.lab.folder}/state", f"state: {mount}/state"))
        rules = context.lab.run("gateway", ["ip", "rule"]).stdout
        context.use(lambda _: path)
        expect_equal(context.rows("select 'writable'", app="elsewhere"), ["writable"], "before")
        expect(context.lab.run("gateway", ["ip", "rule"]).stdout != rules, "weir up makes rules")
        context.lab.gateway_kill()
        context.running = None
        expect(context.psql("select 'dropped'", app="elsewhere").returncode != 0, "nothing passes without an engine")
        wait_until("nobody writes there", lambda: subprocess.run(["mount", "-o", "remount,ro", mount], capture_output=True, stdin=subprocess.DEVNULL, check=False).returncode == 0, 20, 0.1)
        done = context.lab.run("gateway", [context.env["WEIR"], "down", "--config", path])
        expect(done.returncode in (0, 1), f"weir down: exit {done.returncode}: {done.stderr}")
        expect_equal(context.lab.run("gateway", ["ip", "rule"]).stdout, rules, "the rules after weir down")
        expect_equal(context.rows("select 'forwarded'", app="elsewhere"), ["forwarded"], "the kernel forwards again")
    finally:
        _run("mount", "-o", "remount,rw", mount)
        context.stop()
        wait_until("it is not mounted", lambda: subprocess.run(["umount", mount], capture_output=True, stdin=subprocess.DEVNULL, check=False).returncode == 0, 20, 0.1)
