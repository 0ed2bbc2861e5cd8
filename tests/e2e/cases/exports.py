"""Exports: every event of real sessions once in each format, masked as it was, with the proof of each; and a replay that is sought, searched and plain."""
import csv
import io
import json
import os
import shutil
import sys

from cases.archives import _weir
from cases.records import _copy_of_state, _wait_seals
from evidence import leaves_of
from harness import case, expect, expect_equal, expect_in, expect_not_in
from pgwire import bind, execute, parse

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "ocsf"))
import ocsf


def _export(context, form, *arguments):
    done = context.lab.weir("export", "--format", form, *arguments)
    expect_equal(done.returncode, 0, f"export as {form}: {done.stderr}")
    return done.stdout


def _sessions(context, word):
    """Masked rows, a refused command, a pipeline, an error, bytes that a terminal would obey."""
    before = context.session_ids()
    context.rows(f"select '{word}', id, email from people order by id limit 2")
    context.refused(f"delete from scratch -- {word}")
    with context.wire() as wire:
        wire.pipeline(parse("", "select id, email from people where id = $1::int"), bind("", "", ["1"]), execute())
        wire.query("select nope")
        wire.query("select '\x1b]0;owned\x07\x1b[2J'")
    sessions = context.sealed_since(before, 3)
    _wait_seals(context, sessions)
    return sessions


@case("an export has every event of a session exactly once in each format, with what proves it; OCSF is as its schema has it, and what was masked stays masked", seconds=120)
def exports(context):
    word = "x" + os.urandom(6).hex()
    sessions = _sessions(context, word)
    emails = context.lab.superuser("select email from people where id <= 2").split()
    expect(all("@" in email for email in emails) and emails, "there are addresses to hide")
    ids = [str(session["id"]) for session in sessions]
    replays = {int(number): context.replay(number) for number in ids}
    texts = {form: _export(context, form, *ids) for form in ("jsonl", "csv", "ocsf")}
    for form, text in texts.items():
        for email in emails:
            expect_not_in(email, text, f"a masked address, as {form}")
        expect(not any(ord(c) < 32 and c not in "\r\n\t" or ord(c) == 127 for c in text), f"a control character, as {form}")

    lines = [json.loads(line) for line in texts["jsonl"].splitlines()]
    rows = list(csv.DictReader(io.StringIO(texts["csv"], newline="")))
    events = [json.loads(line) for line in texts["ocsf"].splitlines()]
    of_jsonl = [(line["session"], line["seq"], line["kind"], line["text"], line["outcome"]) for line in lines]
    of_replay = [(number, event["seq"], event["kind"], event["text"], event["outcome"]) for number in map(int, ids) for event in replays[number]]
    expect_equal(of_jsonl, of_replay, "JSON Lines against the replay")
    expect_equal([(int(row["session"]), int(row["seq"]), row["kind"], row["outcome"]) for row in rows], [(s, q, k, o) for s, q, k, _, o in of_replay], "CSV against the replay")
    commands = [(number, seq, text, outcome) for number, seq, kind, text, outcome in of_replay if kind == "command"]
    expect_equal([(e["unmapped"]["weir"]["session"], e["metadata"]["sequence"], e["query_info"]["query_string"], e["unmapped"]["weir"]["outcome"]) for e in events if e["class_uid"] == 6005], commands, "OCSF against the replay")
    expect_equal([e["class_uid"] for e in events if e["class_uid"] != 6005], [4001, 3002, 4001] * len(ids), "logins, openings and ends")

    for event in events:
        expect_equal(ocsf.problems_of(event), [], f"the schema, {event['metadata']['uid']}")
    expect_equal(ocsf.broken_chain(events), [], "the fingerprints")
    blocked = [e for e in events if e["class_uid"] == 6005 and e["disposition_id"] == 2]
    expect_equal([(e["query_info"]["query_string"].split()[0], e["firewall_rule"]["uid"], e["status_id"], e["action"]) for e in blocked], [("delete", "whole-table-change", 2, "Denied")], "the blocked one")
    expect(any(e.get("disposition") == "Masked" and e["unmapped"]["weir"]["masked"] == 2 for e in events), "the masked one")
    expect_equal({e["actor"]["user"]["uid"] for e in events if "actor" in e}, {"svc:report-agent"}, "who it was")
    expect_equal(len([row for row in rows if row["kind"] == "command" and row["verdict"] == "block"]), 1, "the blocked one in CSV")

    # Each line leads to its seal.
    seals = {(leaf["session"], leaf["part"]): leaf for leaf in leaves_of(os.path.join(context.env["WEIR_STATE"], "log")) if leaf["kind"] == "seal"}
    for line in lines:
        seal = seals[line["session"], line["part"]]
        expect_equal((line["archive"], line["seal"], line["digest"]), (seal["path"], seal["seal"], seal["digest"]), "the proof of a line")
    expect_equal({(row["archive"], row["seal"]) for row in rows}, {(line["archive"], str(line["seal"])) for line in lines}, "the proofs in CSV")
    expect_equal(_export(context, "ocsf", *ids), texts["ocsf"], "made again, it is the same")

    acts = context.lab.weir_json("events", "--act", "export", "--limit", "5")
    expect(any(act["object"] == "sessions " + ", ".join(ids) + " as csv" for act in acts), f"the looks are on the record: {acts}")


@case("an export of a copied folder needs a key; what no key opens is told, counted, and exit code 3", seconds=120)
def exports_of_copy(context):
    word = "x" + os.urandom(6).hex()
    before = context.session_ids()
    context.rows(f"select '{word}'")
    sessions = context.sealed_since(before, 1)
    _wait_seals(context, sessions)
    number = str(sessions[0]["id"])
    copy = _copy_of_state(context, "export-copy")
    shutil.rmtree(os.path.join(copy, "journal"), ignore_errors=True)
    key = os.path.join(os.path.dirname(context.env["WEIR_PUBKEY"]), "auditor.key")
    file = os.path.join(context.folder, "export.csv")
    try:
        done = _weir(context, "export", number, "--format", "csv", "--state", copy, "--key-file", key, "--output", file, "--json")
        expect_equal((done.returncode, json.loads(done.stdout)["unread"]), (0, 0), f"with the auditor's key: {done.stderr}")
        with open(file, newline="", encoding="utf-8") as stream:
            expect(any(word in row["text"] for row in csv.DictReader(stream)), "the statement")
        done = _weir(context, "export", number, "--format", "jsonl", "--state", copy)
        expect_equal((done.returncode, done.stdout), (3, ""), "without a key")
        expect_in(f"session {number} cannot be read", done.stderr, "what is told")
        expect_in("1 session of 1", done.stderr, "how many")
    finally:
        shutil.rmtree(copy, ignore_errors=True)
        if os.path.exists(file):
            os.unlink(file)


@case("a replay is sought by time and by text, is one line an event where it is plain, and no terminal obeys what was recorded", seconds=120)
def replays(context):
    word = "X" + os.urandom(6).hex()
    sessions = sorted(_sessions(context, word), key=lambda session: session["id"])
    number = str(sessions[0]["id"])
    events = context.replay(number)
    found = json.loads(context.lab.weir("replay", number, "--search", word.upper(), "--json").stdout)
    expect_equal([event["seq"] for event in found], [event["seq"] for event in events if word.lower() in event["text"].lower()], "found in either case")
    expect_equal(context.lab.weir("replay", number, "--search", "no such words").returncode, 1, "nothing says that")
    middle = events[len(events) // 2]["at"]
    halves = [json.loads(context.lab.weir("replay", number, option, middle, "--json").stdout) for option in ("--to", "--from")]
    expect_equal(halves[0] + halves[1], events, "before a time, and from it on")
    for session in sessions:
        for how in ((), ("--plain",), ("--json",)):
            text = context.lab.weir("replay", str(session["id"]), *how).stdout
            expect(not any(ord(c) < 32 and c not in "\n\t" or ord(c) == 127 for c in text), f"a control character: {text!r}")
        plain = context.lab.weir("replay", str(session["id"]), "--plain").stdout.splitlines()
        expect_equal([line.count("\t") for line in plain], [7] * session["events"], "one line an event")
    expect(any("\\x1b]0;owned\\x07" in context.lab.weir("replay", str(session["id"])).stdout for session in sessions), "what was said is seen")
