"""The record verifies with its files and a public key alone, and any change inside it is found (I12); no record, no bytes (I9)."""
import json
import os
import random
import shutil
import subprocess
import time

from evidence import leaves_of, tlog
from harness import case, expect, expect_equal, expect_in
from pgwire import WireError, bind, execute, parse
from weirlab import wait_until


def verify(context, state, timeout=120):
    """(exit code, what was found but notes, one to a line).  What a clock that was set here explains is forgiven."""
    done = context.lab.run("gateway", [context.env["WEIR"], "verify", state, "--key", context.env["WEIR_PUBKEY"], "--json"], timeout=timeout)
    if not done.stdout.startswith("{"):
        return done.returncode, done.stdout[-600:] + done.stderr[-600:]
    found = [f for f in context.clock.forgiven(json.loads(done.stdout)["findings"]) if f["severity"] != "note"]
    code = 0 if done.returncode == 3 and not found else done.returncode
    return code, "\n".join(f"{f['severity']} {f['code']} {f['where']}: {f['message']}" for f in found)


def _archives(state):
    found = []
    for folder, _, names in os.walk(os.path.join(state, "archive")):
        found += [os.path.join(folder, name) for name in names if name.endswith(".weir")]
    return sorted(found)


def _some_sessions(context, count=3):
    before = context.session_ids()
    for i in range(count):
        context.rows(f"select {i}, name from people order by id limit 5", "select count(*) from orders")
    sessions = context.sealed_since(before, count)
    _wait_seals(context, sessions)
    return sessions


def _wait_seals(context, sessions):
    """Their archives are in place and their seals in the log: a session is listed as closed before that."""
    wanted, log = {session["id"] for session in sessions}, os.path.join(context.env["WEIR_STATE"], "log")

    def are_there():
        try:
            return wanted <= {leaf["session"] for leaf in leaves_of(log) if leaf["kind"] == "seal"}
        except (OSError, ValueError, tlog.Wrong):
            return False  # It grew while it was read.
    wait_until("their seals are in the log", are_there, 10, 0.2)


def _copy_of_state(context, name):
    """A copy that a case may spoil; the engine goes on with its own.  The checkpoint first: the rest may be further.  The journal
    before the archives: a segment that goes meanwhile is sealed.  The log twice: a tile that becomes full takes the place of its
    partial ones, and one of the two is seen by one of the looks."""
    copy = os.path.join(context.folder, name)
    shutil.rmtree(copy, ignore_errors=True)
    with open(os.path.join(context.env["WEIR_STATE"], "log", "checkpoint"), "rb") as file:
        checkpoint = file.read()
    def take(source, into):
        try:
            shutil.copytree(source, into, ignore=lambda folder, names: [n for n in names if n.endswith(".sock")], dirs_exist_ok=True)
        except shutil.Error as error:  # Partial tiles, segments and files in the making that went meanwhile.
            others = [each for each in error.args[0] if ".p/" not in each[0] and not each[0].endswith((".segment", ".new"))]
            if others:
                raise shutil.Error(others) from error
    take(os.path.join(context.env["WEIR_STATE"], "journal"), os.path.join(copy, "journal"))
    for name in sorted(os.listdir(context.env["WEIR_STATE"])):
        source = os.path.join(context.env["WEIR_STATE"], name)
        if os.path.isdir(source) and name != "journal":
            take(source, os.path.join(copy, name))
        elif os.path.isfile(source):
            shutil.copy2(source, os.path.join(copy, name))
    take(os.path.join(context.env["WEIR_STATE"], "log"), os.path.join(copy, "log"))
    with open(os.path.join(copy, "log", "checkpoint"), "wb") as file:
        file.write(checkpoint)
    return copy


@case("weir verify passes on the record as it is, while the engine runs")
def verifies(context):
    _some_sessions(context)
    code, found = verify(context, context.env["WEIR_STATE"])
    expect_equal(code, 0, found)


SPOILERS = {}


def _spoiler(name):
    def register(function):
        SPOILERS[name] = function
        return function
    return register


@_spoiler("one byte of an archive flipped")
def flip(archives):
    for path in random.sample(archives, min(3, len(archives))):
        with open(path, "r+b") as file:
            data = file.read()
            at = random.randrange(len(data))
            file.seek(at)
            file.write(bytes([data[at] ^ 1 << random.randrange(8)]))


@_spoiler("one archive removed")
def remove(archives):
    os.unlink(archives[len(archives) // 2])


@_spoiler("the newest archive removed")
def remove_newest(archives):
    state = archives[0].partition("/archive/")[0]
    # A file beside it may not be sealed yet: the engine is at work.
    newest = [leaf for leaf in leaves_of(os.path.join(state, "log")) if leaf["kind"] == "seal"][-1]
    os.unlink(os.path.join(state, "archive", newest["path"]))


@_spoiler("two archives swapped")
def swap(archives):
    os.rename(archives[0], archives[0] + ".x")
    os.rename(archives[-1], archives[0])
    os.rename(archives[0] + ".x", archives[-1])


@_spoiler("an archive cut short")
def cut_short(archives):
    os.truncate(archives[-1], os.path.getsize(archives[-1]) - 20)


@_spoiler("an archive replaced by another one's copy")
def copy_over(archives):
    shutil.copy(archives[0], archives[-1])


def _spoil_case(name, spoil):
    @case(f"weir verify finds {name}")
    def check(context):
        _some_sessions(context)
        copy = _copy_of_state(context, "state-copy")
        try:
            code, found = verify(context, copy)
            expect(code in (0, 3), f"the copy before it is spoilt: {code} {found}")  # Whether the record is clean is the first case's claim.
            spoil(_archives(copy))
            code, found = verify(context, copy)
            expect_equal(code, 1, f"verify of what was spoilt: {found}")
        finally:
            shutil.rmtree(copy, ignore_errors=True)


for _name, _spoil in SPOILERS.items():
    _spoil_case(_name, _spoil)


@case("every bit of the smallest archive matters: 200 random flips, each found", seconds=240)
def many_flips(context):
    _some_sessions(context, 1)
    copy = _copy_of_state(context, "state-copy")
    try:
        path = min(_archives(copy), key=os.path.getsize)
        with open(path, "rb") as file:
            data = file.read()
        for turn in range(200):
            at, bit = random.randrange(len(data)), random.randrange(8)
            with open(path, "wb") as file:
                file.write(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
            expect_equal(verify(context, copy)[0], 1, f"turn {turn}: byte {at}, bit {bit} of {os.path.basename(path)}")
    finally:
        shutil.rmtree(copy, ignore_errors=True)


@case("a session's byte account balances: kernel = handshake + parsed + opaque + refused, both directions, plain and TLS")
def accounts(context):
    for sslmode in ("disable", "require"):
        before = context.session_ids()
        context.rows("select * from orders order by id limit 500", sslmode=sslmode)
        context.psql("delete from scratch", sslmode=sslmode)
        for session in context.sealed_since(before, 2):
            for direction in ("to_target", "to_client"):
                account = session["bytes"][direction]
                total = account["handshake"] + account["parsed"] + account["opaque"] + account["refused"]
                expect_equal(account["kernel"], total, f"{direction} over {sslmode}: {account}")


@case("a session has its times, its subject, its target and its counts")
def fields(context):
    before = context.session_ids()
    context.rows("select 1", "select 2")
    context.psql("delete from scratch")
    sessions = sorted(context.sealed_since(before, 2), key=lambda s: s["opened"])
    expect_equal([(s["target"], s["subject"], s["commands"], s["blocked"]) for s in sessions],
                 [("orders-db", "svc:report-agent", 2, 0), ("orders-db", "svc:report-agent", 1, 1)], "the sessions")
    for session in sessions:
        expect(session["opened"] <= session["closed"] and session["reason"], f"times and reason: {session}")


@case("weir replay gives statements, parameters, verdicts and masked rows in order")
def replays(context):
    before = context.session_ids()
    with context.wire() as wire:

        wire.pipeline(parse("", "select id, email from people where id = $1::int"), bind("", "", ["77"]), execute())
        wire.query("select 'told'")
    session = context.sealed_since(before)[0]
    events = context.replay(session)
    expect_equal([e["seq"] for e in events], list(range(1, len(events) + 1)), "the sequence")
    expect([e["at"] for e in events] == sorted(e["at"] for e in events), "the times are in order")
    commands = [e for e in events if e["kind"] == "command"]
    expect_in("select id, email from people where id = $1::int", [e["text"] for e in commands], "the statement")
    expect_in("select 'told'", [e["text"] for e in commands], "the statement")
    done = context.lab.weir("replay", str(session["id"]))
    expect_equal(done.returncode, 0, done.stderr)
    expect_in("select 'told'", done.stdout, "the replay for people")
    expect_in("77", done.stdout, "the parameter")


def _small_disk(context):
    """A file system of its own for the state."""
    image, mount = os.path.join(context.lab.folder, "small.img"), os.path.join(context.lab.folder, "small")
    os.makedirs(mount, exist_ok=True)
    subprocess.run(["truncate", "-s", "320M", image], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True, stdin=subprocess.DEVNULL)
    subprocess.run(["mount", "-o", "loop", image, mount], check=True)
    return image, mount


@case("state on a full disk: the client gets an error, the target never sees the statement; with space again it goes on",
      config=None, seconds=150, spoils=True)
def full_disk(context):
    image, mount = _small_disk(context)
    try:
        path = context.lab.config_variant("small", lambda text: text.replace(
            f"state: {context.lab.folder}/state", f"state: {mount}/state").replace("reserve: 64MiB", "reserve: 16MiB"))
        context.use(lambda _: path)
        expect_equal(context.rows("select 'while there is space'", app="elsewhere"), ["while there is space"], "before")
        filler = os.path.join(mount, "filler")
        subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=1M"], capture_output=True)
        refused = None
        for turn in range(4000):
            mark = context.lab.log_mark()
            word = f"full_disk_{turn}"
            try:
                with context.wire(timeout=20, startup={"application_name": "elsewhere"}) as wire:
                    for _ in range(20):
                        mark = context.lab.log_mark()
                        reply = wire.query(f"select '{word}', '" + "x" * 30_000 + "'")
                        if reply.errors or reply.status is None:
                            refused = reply
                            break
            except (WireError, OSError, EOFError) as error:
                refused = error
            if refused is not None:
                break
        expect(refused is not None, "the disk is full and commands still pass")
        time.sleep(0.3)
        expect(word not in context.lab.log_since(mark), f"the target saw the statement that was refused ({refused})")
        with context.target_never_sees("after_the_end"):
            done = context.psql("select 'after_the_end'", app="elsewhere")
            expect(done.returncode != 0, "a new session is served without a record")
        looked = context.lab.weir("bindings")
        expect_in("not shown", looked.stderr, f"who is bound is shown without a trace: {looked.stdout[-200:]}")
        expect(context.lab.weir("reload", "--reason", "no room").returncode != 0, "a reload without a trace")
        os.unlink(filler)
        wait_until("with space again it serves", lambda: context.psql("select 1", app="elsewhere").returncode == 0, 30, 0.5)
    finally:
        context.stop()
        subprocess.run(["umount", mount], check=False)
        os.unlink(image)


@case("the state folder holds no password and no key of a login")
def no_secrets(context):
    context.rows("select 1")
    secrets = [password.encode() for password in context.passwords.values()]
    for folder, _, names in os.walk(context.env["WEIR_STATE"]):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    data = file.read()
                expect(not any(secret in data for secret in secrets), f"a password stands in {path}")
    with open(context.env["WEIR_LOG"], "rb") as file:
        data = file.read()
    expect(not any(secret in data for secret in secrets), "a password stands in the log")


@case("what a syntax error quotes is told to the client and not kept")
def syntax_error_is_not_kept(context):
    before = context.session_ids()
    value = "v" + os.urandom(6).hex()
    expect_in(value, context.refused(f"select 'x' '{value}", code="42601"), "the client reads its own words")
    expect_in(value, context.refused(f'select "a" "{value}', code="42601"), "the same for a name")
    for session in context.sealed_since(before, 2):
        text = str(context.replay(session))
        expect(value not in text, f"the value stands on the record: {text}")
        expect_in("unterminated quoted", text, "what was wrong")


@case("after a kill the kernel's own counts say how many bytes a session had received", spoils=True)
def kernel_counts(context):
    before = context.session_ids()
    with context.wire() as wire:
        wire.query("select name from people")
        context.lab.gateway_kill()
        time.sleep(0.5)
    time.sleep(0.5)
    context.lab.gateway_start(context.path_of(""))  # Over the kernel side that the dead engine left.
    session = context.sealed_since(before)[0]
    expect_equal((session["reason"], session["account"]), ("interrupted", "unknown"), "the session")
    expect(session["bytes"]["to_target"]["kernel"] > 100 and session["bytes"]["to_client"]["kernel"] > 100, f"what the kernel counted: {session['bytes']}")
