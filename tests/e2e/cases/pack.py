"""The evidence pack: what an auditor gets who has neither the gateway nor its makers."""
import csv
import glob
import json
import os
import shutil
import zipfile

from cases.records import _copy_of_state, _some_sessions, _wait_seals
from evidence import leaves_of
from harness import case, expect, expect_equal, expect_in, expect_not_in


def _make(context, *arguments):
    folder = os.path.join(context.folder, "pack-" + os.urandom(4).hex())
    done = context.lab.weir("evidence", "--from", "1h", "--output", folder, "--json", *arguments, timeout=120)
    return done, folder


def _rows(folder, table):
    with open(os.path.join(folder, "tables", f"{table}.jsonl"), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@case("who could do what, a review and a legal hold are known from the record, and stand in a pack that is one zip", seconds=120)
def people(context):
    now = json.loads(context.lab.weir("grants", "--at", "now", "--json").stdout)
    expect(now["known"] and now["log_entry"] is not None, f"what the record says of now: {now['why']}")
    configured = context.lab.weir_json("grants")
    expect_equal([entry["name"] for entry in now["entries"] if entry["kind"] == "grant"], [grant["name"] for grant in configured], "the grants of the record against the configuration")
    leaf = leaves_of(os.path.join(context.env["WEIR_STATE"], "log"))[now["log_entry"]]
    expect_equal((leaf["kind"], leaf["act"], leaf["session"], leaf["sequence"]), ("act", "access-list", now["session"], now["seq"]), "the entry that proves it")
    expect_equal(context.lab.weir("grants", "--at", "2020-01-01T00:00:00Z").returncode, 1, "before the first one nobody knows")
    grant = configured[0]["name"]
    expect_equal(context.lab.weir("grants", "sign-off", grant, "--decision", "keep", "--reason", "REV-7", "--list", "0" * 64).returncode, 4, "another list than was looked at")
    done = context.lab.weir("grants", "sign-off", grant, "--decision", "keep", "--reason", "REV-7", "--list", now["digest"])
    expect_equal(done.returncode, 0, done.stderr)
    hold = context.lab.weir_json("retention", "hold", "add", "--session", "4000000000", "--reason", "CASE-1")["id"]
    before = context.session_ids()
    context.rows("select 1")
    context.sealed_since(before, 1)
    archive = os.path.join(context.folder, "pack-" + os.urandom(4).hex() + ".zip")
    try:
        done = context.lab.weir("evidence", "--from", "1h", "--zip", archive, "--no-pdf", "--json", timeout=120)
        expect_equal(done.returncode, 0, done.stderr)
        with zipfile.ZipFile(archive) as pack:
            expect_equal(pack.testzip(), None, "the zip")
            stem = os.path.basename(archive)[:-4]
            rows = lambda table: [json.loads(line) for line in pack.read(f"{stem}/tables/{table}.jsonl").decode().splitlines()]
            expect(any(row["grant"] == grant and row["decision"] == "keep" and row["reason"] == "REV-7" for row in rows("reviews")), "the review")
            expect_equal({row["name"] for row in rows("access") if row["when"] == "end" and row["kind"] == "grant"}, {each["name"] for each in configured}, "who could do what at its end")
            expect(any(row["hold"] == hold and row["reason"] == "CASE-1" and row["state"] == "in force at the end" for row in rows("holds")), f"the hold: {rows('holds')}")
            expect_in("worst offset", pack.read(f"{stem}/index.html").decode(), "the clock")
            expect(any(row["grant"] == grant and row["decision"] == "keep" for row in rows("grants")), "the review beside the grant")
    finally:
        context.lab.weir("retention", "hold", "remove", hold, "--reason", "CASE-1 is over")
        if os.path.exists(archive):
            os.unlink(archive)


@case("a pack has all sessions of its period, what was refused in them, and nothing that was said; its sums, proofs and signature are checked without Weir", seconds=180)
def pack(context):
    before, word = context.session_ids(), "p" + os.urandom(6).hex()
    context.rows(f"select '{word}'")
    context.refused(f"delete from scratch -- {word}")
    sessions = context.sealed_since(before, 2)
    _wait_seals(context, sessions)
    refused = next(session["id"] for session in sessions if session["blocked"])
    done, folder = _make(context)
    try:
        expect_equal(done.returncode, 0, done.stderr)
        told = json.loads(done.stdout)
        in_lab = lambda *argv: context.lab.run("gateway", list(argv))
        expect_equal(in_lab("sh", "-c", f"cd {folder} && sha256sum --quiet -c SHA256SUMS").returncode, 0, "the sums")
        listed = {int(row["session"]): row for row in _rows(folder, "sessions")}
        recorded = {session["id"]: session for session in context.sessions()}
        expect(set(listed) <= set(recorded) and {session["id"] for session in sessions} <= set(listed), f"its sessions: {len(listed)} of {len(recorded)}")
        for number in (session["id"] for session in sessions):
            expect_equal((listed[number]["subject"], int(listed[number]["commands"]), int(listed[number]["refused"])),
                         (recorded[number]["subject"], recorded[number]["commands"], recorded[number]["blocked"]), f"session {number}")
        expect_equal(told["rows"]["sessions"], len(listed), "the count")
        expect(any(int(row["session"]) == refused and row["rule"] for row in _rows(folder, "refusals")), "the refusal")
        expect(any(row["policy"] == "default" and int(row["keep_seconds"]) > 0 for row in _rows(folder, "retention")), "how long the record is kept")
        expect_equal(_rows(folder, "expired"), [], "nothing is")
        with open(os.path.join(folder, "tables", "sessions.csv"), newline="", encoding="utf-8") as file:
            expect_equal(sum(1 for _ in csv.DictReader(file)), len(listed), "rows of the CSV")
        for path in glob.glob(os.path.join(folder, "**"), recursive=True):
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    expect_not_in(word.encode(), file.read(), path)
        key, proof = os.path.join(folder, "proofs", "signing.pub"), os.path.join(folder, "proofs", f"session-{refused}.tlog-proof")
        proved = context.lab.run("gateway", [context.env["WEIR"], "verify", "--proof", proof, "--key", key, "--json"])
        expect_equal((proved.returncode, json.loads(proved.stdout)["session"]), (0, refused), "the proof")
        by_hand = ("sed '/^$/,$d' proofs/checkpoint > text; sed -n '/^$/,$p' proofs/checkpoint | awk 'NF==3 {print $3; exit}' | base64 -d | tail -c 64 > signature; "
                   "openssl pkeyutl -verify -pubin -inkey proofs/signing.pub -rawin -in text -sigfile signature")
        expect_equal(in_lab("sh", "-c", f"cd {folder} && {by_hand}").returncode, 0, "the checkpoint by hand, as the page says")
        with open(os.path.join(folder, "index.html"), encoding="utf-8") as file:
            page = file.read()
        expect_in("The record that this was made from verifies", page, "the page")
        with open(os.path.join(folder, "SHA256SUMS"), encoding="utf-8") as file:
            expect_in("index.html", file.read(), "the sums name the page")
        acts = context.lab.weir_json("events", "--act", "evidence", "--limit", "5")
        expect(acts and acts[0]["object"].startswith("from "), f"the look is on the record: {acts}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@case("a pack of a record that was changed says so first, and exits 1", seconds=180)
def pack_of_changed(context):
    session = _some_sessions(context, 1)[0]["id"]
    copy = _copy_of_state(context, "pack-copy")
    folder = None
    try:
        archive = glob.glob(os.path.join(copy, "archive", "*", "*", "*", f"{session}.weir"))[0]
        with open(archive, "r+b") as file:
            file.seek(60)
            byte = file.read(1)
            file.seek(60)
            file.write(bytes([byte[0] ^ 1]))
        keys = os.path.dirname(context.env["WEIR_PUBKEY"])
        done, folder = _make(context, "--state", copy, "--key", context.env["WEIR_PUBKEY"], "--key-file", os.path.join(keys, "auditor.key"))
        expect_equal(done.returncode, 1, f"exit: {done.stderr}")
        told = json.loads(done.stdout)
        expect(not told["verified"] and told["exceptions"] > 0, f"what it says: {told}")
        with open(os.path.join(folder, "index.html"), encoding="utf-8") as file:
            expect_in("does not verify", file.read(), "the page")
        expect(any(row["severity"] == "broken" for row in _rows(folder, "findings")), "the finding")
    finally:
        shutil.rmtree(copy, ignore_errors=True)
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


@case("a pack of encrypted archives without a key is refused and leaves nothing behind; what cannot be opened any more is told in it", seconds=180)
def pack_of_shut(context):
    context.lab.weir_json("tickets")  # An act, of a run that ends: sealed.
    context.stop()
    context.use("")
    session = _some_sessions(context, 1)[0]["id"]
    copy = _copy_of_state(context, "pack-copy")
    keys = os.path.dirname(context.env["WEIR_PUBKEY"])
    folder = None
    try:
        known = ("--state", copy, "--key", context.env["WEIR_PUBKEY"])
        done, folder = _make(context, *known)
        expect_equal(done.returncode, 4, f"without a key: {done.stdout}{done.stderr}")
        expect_in("--key-file", done.stderr, "what it says to do")
        expect(not os.path.exists(folder), "half a pack was left behind")
        for path in glob.glob(os.path.join(copy, "keys", "*", "*", "*", "*.keys")):
            os.unlink(path)  # The acts' too.
        done, folder = _make(context, *known, "--key-file", os.path.join(keys, "auditor.key"))
        expect_equal(done.returncode, 0, f"with destroyed keys the record still verifies: {done.stderr}")
        told = {row["where"] for row in _rows(folder, "exceptions") if row["kind"] == "not-readable"}
        expect({f"session {session}", "acts"} <= told, f"what is told: {told}")
        expect(any(int(row["session"]) == session for row in _rows(folder, "sessions")), "it is still one of the population")
    finally:
        shutil.rmtree(copy, ignore_errors=True)
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
