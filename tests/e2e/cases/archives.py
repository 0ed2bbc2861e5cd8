"""The record is encrypted: nothing of a statement stands in archives or journals, an auditor's key alone opens them, and verifying needs none (I12)."""
import json
import os
import shutil

from cases.evidence_log import _verify
from cases.records import _copy_of_state, _wait_seals
from evidence import leaves_of
from harness import case, expect, expect_equal, expect_in

import archive  # tests/reader, by evidence

MARKER = "marker_that_nobody_outside_sees"


def _weir(context, *arguments):
    """Without the gateway's configuration: what an auditor has."""
    return context.lab.run("gateway", ["env", "WEIR_CONFIG=/nonexistent", context.env["WEIR"], *arguments], timeout=60)


def _marked_session(context):
    before = context.session_ids()
    context.rows(f"select 1 as {MARKER}, 'some-other-text' as b")
    sessions = context.sealed_since(before, 1)
    _wait_seals(context, sessions)
    return sessions[0]["id"]


def _nothing_in(copy):
    looked_at = set()
    for folder, _, names in os.walk(copy):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                data = file.read()
            looked_at.add(os.path.splitext(name)[1])
            expect(MARKER.encode() not in data and b"some-other-text" not in data, f"the statement stands in {os.path.join(folder, name)}")
    expect({".weir", ".keys", ".segment", ".pending"} <= looked_at, f"only these were looked at: {looked_at}")


@case("nothing of a statement stands in the state folder, before it is sealed and after; the auditor's key alone replays a copied folder, and no other does", seconds=120)
def encrypted(context):
    session = _marked_session(context)
    keys = os.path.dirname(context.env["WEIR_PUBKEY"])
    before = context.session_ids()
    with context.wire() as live:
        live.query(f"select 2 as {MARKER}, 'some-other-text' as b")
        copy = _copy_of_state(context, "encrypted-copy")
        number = next(row["id"] for row in context.sessions(before) if not row["closed"])
    try:
        _nothing_in(copy)
        # What is not sealed yet is in the journal: with a key, and with it alone.
        done = _weir(context, "replay", str(number), "--state", copy, "--key-file", os.path.join(keys, "auditor.key"))
        expect_equal(done.returncode, 0, done.stderr)
        expect_in(MARKER, done.stdout, "the auditor's replay of a live session")
        done = _weir(context, "replay", str(number), "--state", copy)
        expect(done.returncode != 0, "a live session without a key")
        expect_in("--key-file", done.stderr, "what it says to do")
        shutil.rmtree(os.path.join(copy, "journal"))

        done = _weir(context, "replay", str(session), "--state", copy, "--key-file", os.path.join(keys, "auditor.key"))
        expect_equal(done.returncode, 0, done.stderr)
        expect_in(MARKER, done.stdout, "the auditor's replay")
        done = _weir(context, "replay", str(session), "--state", copy)
        expect(done.returncode != 0, "without a key")
        expect_in("--key-file", done.stderr, "what it says to do")
        other = os.path.join(context.folder, "other.key")
        context.lab.run("gateway", ["openssl", "genpkey", "-algorithm", "X25519", "-out", other], timeout=20)
        done = _weir(context, "replay", str(session), "--state", copy, "--key-file", other)
        expect(done.returncode != 0, "with another auditor's key")
        expect_in("encrypted for other keys", done.stderr, "what it says")

        code, report = _verify(context, copy)
        expect_equal((code, report["verified"]), (0, True), f"without any key: {report['findings']}")
        expect(report["not_opened"] > 0, "they were not opened")
        code, report = _verify(context, copy, "--key-file", os.path.join(keys, "auditor.key"))
        expect_equal((code, report["not_opened"]), (0, 0), f"looked into: {report['findings']}")

        # The second reader, which shares nothing with the gateway, reads the same.
        own = json.loads(_weir(context, "replay", str(session), "--state", copy, "--key-file", os.path.join(keys, "auditor.key"), "--json").stdout)
        for key_file in ("auditor.key", "kek.key"):
            theirs = archive.read_session(copy, session, os.path.join(keys, key_file))
            expect_equal([sequence for _, sequence, _ in theirs], [event["seq"] for event in own], f"events by {key_file}")
            texts = {sequence: fields[11].decode() for kind, sequence, fields in theirs if kind == 3}
            expect(any(MARKER in text for text in texts.values()), "the statement")
    finally:
        shutil.rmtree(copy, ignore_errors=True)


@case("a session whose wrapped keys are destroyed cannot be read, and its proof holds; keys of another session are found", seconds=120)
def destroyed(context):
    session = _marked_session(context)
    copy = _copy_of_state(context, "erased-copy")
    try:
        seals = {leaf["session"]: leaf["path"] for leaf in leaves_of(os.path.join(copy, "log")) if leaf["kind"] == "seal" and leaf["part"] == 1}
        path_of = lambda number: os.path.join(copy, "keys", seals[number].removesuffix(".weir") + ".keys")
        kek = os.path.join(os.path.dirname(context.env["WEIR_PUBKEY"]), "kek.key")
        expect_equal(_weir(context, "replay", str(session), "--state", copy, "--key-file", kek).returncode, 0, "while they are there")
        other = next(number for number in sorted(seals) if number != session)
        kept = path_of(session) + ".kept"
        os.rename(path_of(session), kept)
        code, report = _verify(context, copy)
        expect_equal((code, report["verified"], [f["code"] for f in report["findings"] if f["severity"] != "note"]), (3, True, ["keys-missing"]), "destroyed")
        expect_in("its keys are not there", _weir(context, "replay", str(session), "--state", copy, "--key-file", kek).stderr, "replay")
        shutil.copy(path_of(other), path_of(session))
        code, report = _verify(context, copy)
        expect_equal(code, 1, "another session's keys in their place")
        expect_in("keys-changed", [f["code"] for f in report["findings"]], "what is found")
    finally:
        shutil.rmtree(copy, ignore_errors=True)
