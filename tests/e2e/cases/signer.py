"""The keys of the record and of certificates are held by a process and user of its own; the engine never has them (DESIGN 9)."""
import base64
import os
import pwd
import re
import signal
import subprocess

from cases.records import _some_sessions, verify
from harness import case, expect, expect_equal, expect_in
from weirlab import wait_until


def _secrets(keys):
    """Name to the forms in which a private key may stand in memory."""
    with open(os.path.join(keys, "log.key"), "rb") as file:
        pem = file.read()
    body = pem.split(b"-----")[2].replace(b"\n", b"")
    seed = base64.b64decode(body)[-32:]
    with open(os.path.join(keys, "kek.key"), encoding="ascii") as file:
        digits = re.search(r"^weir-key-1 ([0-9a-f]{64})", file.read(), re.MULTILINE).group(1)
    scalar = subprocess.run(["openssl", "ec", "-in", os.path.join(keys, "ca.key"), "-text", "-noout"], capture_output=True, text=True, check=True).stdout
    scalar = bytes.fromhex("".join(re.search(r"priv:\s*((?:[0-9a-f]{2}[:\s]*)+)", scalar).group(1).replace(":", "").split())).lstrip(b"\0")
    with open(os.path.join(keys, "ca.key"), "rb") as file:
        ca_lines = [line for line in file.read().split(b"\n") if line and not line.startswith(b"-")]
    return {
        # OpenSSL keeps an EC scalar as a number, little end first.
        "log key": [seed, seed.hex().encode(), body],
        "gateway key": [bytes.fromhex(digits), digits.encode()],
        "CA key": [scalar, scalar[::-1], ca_lines[0]],
    }


def _found_in(pid, secrets):
    """The names of the secrets that stand in the memory of a process."""
    found = set()
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            first, last = (int(part, 16) for part in span.split("-"))
            if not rights.startswith("r") or line.rstrip().endswith(("[vvar]", "[vsyscall]")) or last - first > 4 << 30:
                continue
            at = first
            while at < last:
                size = min(last - at, 64 << 20)
                try:
                    memory.seek(at)
                    data = memory.read(size)
                except OSError:
                    break  # Of a device, or gone.
                if not data:
                    break
                for name, forms in secrets.items():
                    if any(form in data for form in forms):
                        found.add(name)
                at += max(len(data) - 4096, 1) if len(data) == size and at + size < last else len(data)
    return found


def _status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


@case("the signer is a process of its own, with its own user, no capability and a filter; its memory has the keys, the engine's has none of them", seconds=120)
def own_process(context):
    _some_sessions(context, 2)
    status = context.lab.weir_json("status")
    engine, signer = status["engine"]["pid"], status["signer"]
    expect(engine != signer["pid"], "two processes")
    user, own = pwd.getpwnam("weir"), pwd.getpwnam("weir-signer")
    expect_equal((signer["uid"], signer["user"]), (own.pw_uid, "weir-signer"), "what it says of itself")
    expect_equal([_status_of(pid)["Uid"].split() for pid in (engine, signer["pid"])], [[str(user.pw_uid)] * 4, [str(own.pw_uid)] * 4], "what the kernel says of both")
    kernel = _status_of(signer["pid"])
    expect_equal((kernel["CapEff"], kernel["CapPrm"], kernel["CapBnd"], kernel["NoNewPrivs"], kernel["Seccomp"]), ("0" * 16, "0" * 16, "0" * 16, "1", "2"), "what it may do")
    expect_equal(os.stat(f"/proc/{signer['pid']}/mem").st_uid, 0, "it is not dumpable")
    expect(signer["signed"] > 0 and signer["wrapped"] > 0 and signer["leaves"] > 0 and signer["log_entries"] > 0, f"what it did: {signer}")
    expect_equal(signer["refused"], 0, "a gateway that is whole asks for nothing that is refused")

    keys = os.path.dirname(context.env["WEIR_PUBKEY"])
    secrets = _secrets(keys)
    expect_equal(_found_in(signer["pid"], secrets), set(secrets), "in the signer's memory")
    expect_equal(_found_in(engine, secrets), set(), "in the engine's memory")
    for name in ("log.key", "kek.key", "ca.key"):
        done = subprocess.run(["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "cat", os.path.join(keys, name)], capture_output=True, check=False)
        expect(done.returncode != 0 and not done.stdout, f"the engine's user reads {name}")

    metrics = context.lab.weir("doctor", "--json").stdout
    expect_in('"signer"', metrics, "doctor")


@case("a signer that is killed takes the engine with it, no command passes unrecorded, no record is lost, and the record verifies after the next start", seconds=240, spoils=True)
def killed(context):
    engine = int(context.env["WEIR_PID"])
    before = context.session_ids()
    with context.wire() as live, context.target_never_sees("after_the_end"):
        live.query("select 1 as before_the_kill")
        signer = context.lab.weir_json("status")["signer"]["pid"]
        os.kill(signer, signal.SIGKILL)
        # What passes until the engine ends is in its journal.
        passed = 0
        try:
            for number in range(10_000):
                if not live.query(f"select {number} as while_it_is_away").tags:
                    break  # The connection ends with the engine, at any point of an answer.
                passed = number + 1
        except OSError:
            pass
        wait_until("the engine ends", lambda: not os.path.isdir(f"/proc/{engine}") or _status_of(engine)["State"].startswith("Z"), 60, 0.1)
        wait_until("its signer is gone", lambda: not os.path.isdir(f"/proc/{signer}"), 20, 0.1)
        done = context.psql("select 1 as after_the_end", timeout=30)
        expect(done.returncode != 0, "a command passed without an engine")
    with open(os.path.join(context.lab.folder, "gateway.log"), encoding="utf-8", errors="replace") as file:
        expect_in("the signer ended before the engine", file.read(), "what it says")
    context.stop()
    context.use("")
    sessions = context.sealed_since(before, 1)
    texts = [event.get("text", "") for session in sessions for event in context.replay(session)]
    recorded = sum("while_it_is_away" in text for text in texts)
    expect(passed <= recorded <= passed + 1, f"{passed} commands were answered, and {recorded} are recorded")
    expect(any("before_the_kill" in text for text in texts), "the command before")
    _some_sessions(context, 1)
    code, found = verify(context, context.env["WEIR_STATE"])
    expect_equal(code, 0, found)
    expect_equal(context.lab.weir_json("status")["signer"]["refused"], 0, "what was refused")


@case("a log that was put back as it was earlier is not gone on with: the signer has signed more, and says so", seconds=240, spoils=True)
def put_back(context):
    import shutil
    _some_sessions(context, 1)
    context.stop()
    state, kept = context.env["WEIR_STATE"], os.path.join(context.folder, "state-of-before")
    shutil.rmtree(kept, ignore_errors=True)
    subprocess.run(["cp", "-a", state, kept], check=True)
    later = os.path.join(context.folder, "state-of-later")
    context.use("")
    _some_sessions(context, 1)
    context.stop()
    os.rename(state, later)
    subprocess.run(["cp", "-a", kept, state], check=True)
    try:
        expect_equal(context.lab.weir("up").returncode, 0, "weir up")
        done = context.lab.run("gateway", [context.env["WEIR"], "run", "--config", context.lab.config_path()], timeout=60)
        expect(done.returncode != 0, "it goes on with a log that was put back")
        expect_in("it was put back as it was earlier", done.stderr, "what it says")
        expect_in("state-signer/", done.stderr, "what to do if that is meant")
    finally:
        context.lab.weir("down")
        shutil.rmtree(state)
        os.rename(later, state)
        shutil.rmtree(kept, ignore_errors=True)
    context.use("")
    _some_sessions(context, 1)
    code, found = verify(context, state)
    expect_equal(code, 0, found)
