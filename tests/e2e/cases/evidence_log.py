"""The evidence log: a transparency log that others' tools read, of all that is sealed, done and counted (I12)."""
import hashlib
import json
import os
import shutil
import struct

from cases.records import _copy_of_state, _some_sessions
from evidence import leaves_of, public_key, read_log, tlog
from harness import case, expect, expect_equal, expect_in
from weirlab import wait_until


def _verify(context, *arguments):
    done = context.lab.run("gateway", [context.env["WEIR"], "verify", *arguments, "--key", context.env["WEIR_PUBKEY"], "--json"], timeout=120)
    report = json.loads(done.stdout)
    if "findings" not in report:
        return done.returncode, report
    report["findings"] = context.clock.forgiven(report["findings"])
    is_clean = done.returncode == 3 and all(f["severity"] == "note" for f in report["findings"])
    return 0 if is_clean else done.returncode, report


def _manifest(path):
    """The manifest's bytes, read as FORMAT.md draws an archive."""
    with open(path, "rb") as file:
        data = file.read()
    (size,) = struct.unpack("<I", data[-16:-12])
    return data[-80 - size : -80]


@case("another reader checks every hash of the log, and each seal's digest is that of its archive's manifest", seconds=120)
def second_reader(context):
    sessions = _some_sessions(context, 3)
    copy = _copy_of_state(context, "log-copy")
    try:
        note, leaves = read_log(os.path.join(copy, "log"))
        seals = [leaf for leaf in leaves if leaf["kind"] == "seal"]
        expect_equal([seal["seal"] for seal in seals], list(range(1, len(seals) + 1)), "the seals' numbers")
        expect({s["id"] for s in sessions} <= {seal["session"] for seal in seals}, "the sessions of just now are in it")
        for seal in seals:
            manifest = _manifest(os.path.join(copy, "archive", seal["path"]))
            expect_equal(hashlib.sha256(manifest).hexdigest(), seal["digest"], seal["path"])
            said = json.loads(manifest)
            expect_equal((said["session"], said["counts"]["commands"], said["counts"]["blocked"]), (seal["session"], seal["commands"], seal["blocked"]), seal["path"])
        code, report = _verify(context, copy)
        expect_equal((code, report["log"]["entries"], report["log"]["root"]), (0, len(leaves), note.split("\n")[2]), "verify says the same")
        expect_equal(tlog.split_vkey(report["log"]["vkey"]), (note.split("\n")[0], 1, public_key(context.env["WEIR_PUBKEY"])), "the key, as other tools take it")
    finally:
        shutil.rmtree(copy, ignore_errors=True)


@case("a session is proved to somebody who has a file, its archive and the public key alone; a changed proof proves nothing", seconds=120)
def proof(context):
    session = _some_sessions(context, 1)[0]["id"]
    done = context.lab.weir("prove", str(session))
    expect_equal(done.returncode, 0, done.stderr)
    path = os.path.join(context.folder, "session.tlog-proof")
    with open(path, "w", encoding="utf-8") as file:
        file.write(done.stdout)
    code, said = _verify(context, "--proof", path)
    expect_equal((code, said["verified"], said["session"], said["archive_checked"]), (0, True, session, False), "the proof alone")
    leaf = json.loads(tlog.check_proof(done.stdout, public_key(context.env["WEIR_PUBKEY"])))
    expect_equal((leaf["session"], leaf["digest"]), (session, said["digest"]), "what the second reader takes from it")
    archive = os.path.join(context.env["WEIR_STATE"], "archive", leaf["path"])
    code, said = _verify(context, archive, "--proof", path)
    expect_equal((code, said["archive_checked"]), (0, True), "with its archive")
    with open(path, "w", encoding="utf-8") as file:
        file.write(done.stdout.replace("index ", "index 1"))
    code, said = _verify(context, "--proof", path)
    expect_equal((code, said["verified"]), (1, False), "another index")
    expect_equal(context.lab.weir("prove", "999999").returncode, 1, "a session that is not there")


@case("the record goes on from a checkpoint that was kept; put back as it was, it does not", seconds=120)
def kept_checkpoint(context):
    _some_sessions(context, 1)
    early = _copy_of_state(context, "early-copy")
    try:
        kept = os.path.join(context.folder, "checkpoint.early")
        shutil.copy(os.path.join(early, "log", "checkpoint"), kept)
        _some_sessions(context, 1)
        late = os.path.join(context.folder, "checkpoint.late")
        shutil.copy(os.path.join(context.env["WEIR_STATE"], "log", "checkpoint"), late)
        code, report = _verify(context, context.env["WEIR_STATE"], "--head", kept)
        expect_equal((code, report["has_known_head"]), (0, True), f"goes on: {report['findings']}")
        expect_equal(_verify(context, early)[0], 0, "the folder of before is sound in itself")
        code, report = _verify(context, early, "--head", late)
        expect_equal(code, 1, "put back as it was")
        expect_in("seals-removed", [f["code"] for f in report["findings"]], "what is found")
    finally:
        shutil.rmtree(early, ignore_errors=True)


@case("heartbeats say what the kernel counted, by reason, with the programs' tags and the clock's state", seconds=120)
def heartbeats(context):
    _some_sessions(context, 1)
    beats = [leaf for leaf in leaves_of(os.path.join(context.env["WEIR_STATE"], "log")) if leaf["kind"] == "heartbeat"]
    expect(beats, "no heartbeat stands in the log")
    expect_equal([beat["number"] for beat in beats], list(range(1, len(beats) + 1)), "their numbers")
    newest = beats[-1]
    expect(newest["programs"] and all(len(program.split()[1]) == 16 for program in newest["programs"]), f"tags: {newest['programs']}")
    expect(set(newest["clock"]) == {"synchronised", "offset_us", "error_max_us"}, f"clock: {newest['clock']}")
    expect(newest["steered"] >= 0 and newest["accepting"] is True, f"counts: {newest}")


@case("no statement, value, login or subject stands in the log, and acts stand in it as digests", seconds=120)
def says_nothing(context):
    context.rows("select 'log-marker-4711', email from people limit 1")
    context.sealed_since(set(), 1)
    context.lab.weir("bindings")
    log = os.path.join(context.env["WEIR_STATE"], "log")
    wait_until("the look is in the log", lambda: any(leaf["kind"] == "act" and leaf["act"] == "bindings" for leaf in leaves_of(log)), 10, 0.3)
    for folder, _, names in os.walk(os.path.join(log, "tile")):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                data = file.read()
            for word in (b"log-marker-4711", b"select", b"report-agent", context.env["PGUSER"].encode() + b'"'):
                expect(word not in data, f"{word} stands in {folder}/{name}")
    expect([leaf for leaf in leaves_of(log) if "@" in json.dumps(leaf)] == [], "an address of mail stands in a leaf")


@case("a kill and a stop are gaps that the log states, and the record verifies over both", seconds=120, spoils=True)
def gaps(context):
    _some_sessions(context, 1)
    context.lab.gateway_kill()
    path = context.running
    context.running = None
    context.use(lambda _: path)
    context.stop()
    context.use(lambda _: path)
    _some_sessions(context, 1)
    leaves = leaves_of(os.path.join(context.env["WEIR_STATE"], "log"))
    expect_equal([leaf["why"] for leaf in leaves if leaf["kind"] == "gap"][-2:], ["killed", "stopped"], "the gaps")
    code, report = _verify(context, context.env["WEIR_STATE"])
    expect_equal(code, 0, f"verify: {report['findings']}")
    expect_equal([gap["why"] for gap in report["gaps"]][-2:], ["killed", "stopped"], "the report's gaps")
