"""The target's own log against the record: every statement that ran is on the record, before it ran, and none besides.

The target's JSON log is read by backend; a session of the record is found by its client's address and port.
"""
import json
import os
import random
import re
import subprocess
import time
from collections import Counter, defaultdict
from datetime import datetime, timezone

from harness import case, expect, expect_equal
from weirlab import wait_until

OURS = ("weir_catalogue", "postgres")   # The gateway's own reader; the checks' direct superuser.
ELSEWHERE = "elsewhere"                 # application_name of sessions that went past this gateway's record, by intent.


def _at(text):
    """RFC 3339 or PostgreSQL's log time, both UTC, to microseconds since 1970 (what is below is cut)."""
    match = re.match(r"(\d+-\d+-\d+)[T ](\d+:\d+:\d+)(?:\.(\d+))?", text)
    whole = datetime.fromisoformat(f"{match[1]} {match[2]}").replace(tzinfo=timezone.utc)
    return int(whole.timestamp()) * 1_000_000 + int((match[3] or "0")[:6].ljust(6, "0"))


def target_statements(context, offset):
    """{(client, port, backend): [(microseconds, text)]} of what the log holds from `offset` on."""
    found = defaultdict(list)
    own_addresses = (context.env["TARGET_IP"], context.env["TARGET_IP6"])
    with open(context.lab.log_json_path(), "rb") as file:
        file.seek(offset)
        for line in file:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if entry.get("user") in OURS or entry.get("application_name") == ELSEWHERE:
                continue
            if entry.get("remote_host") in (None, "[local]", *own_addresses):
                continue
            key = (entry["remote_host"], int(entry["remote_port"]), entry["session_id"])
            message = entry.get("message", "")
            match = re.match(r"(?:statement|execute(?: fetch from)? [^:]*): (.*)", message, re.S)
            if match:
                found[key].append((_at(entry["timestamp"]), match[1]))
    return found


def recorded(context, sessions):
    """{(client, port): [(microseconds, text, event)]}: commands that may have reached the target, and stand-ins."""
    found = defaultdict(list)
    for session in sessions:
        host, _, port = session["facts"]["client"].rpartition(":")
        for event in context.replay(session):
            dialled = re.search(r"dialled from (.*):(\d+)$", event.get("text", "")) if event["kind"] == "note" else None
            if dialled:  # The target saw this session from there.
                host, port = dialled[1], dialled[2]
            if event["kind"] in ("command", "stand-in") and event.get("text"):
                found[(host.strip("[]"), int(port))].append((_at(event["at"]), event["text"], event))
    return found


def _shape(text):
    """A text with its constants and comments taken out, as the record keeps it where they may be masked values."""
    bare = re.sub(r"\$\d+|'(?:[^']|'')*'|\b\d+(?:\.\d+)?\b", "?", text)
    return re.sub(r"/\*.*?\*/", "", bare, flags=re.S).strip()


def compare(seen, record, after_kill=False):
    """Differences, as sentences.  A statement of the target stands in the record under its text, and not later than it ran."""
    problems = []
    for (host, port, backend), statements in seen.items():
        have = defaultdict(list)
        for at, text, event in record.get((host, port), []):
            have[text].append((at, event))
            if "$" in text:
                have[_shape(text)].append((at, event))
        for at, text in statements:
            candidates = have.get(text) or have.get(_shape(text), [])
            matching = [m for m in candidates if m[0] // 1000 <= at // 1000]
            if not matching:
                late = candidates
                problems.append(f"{host}:{port} backend {backend}: {'recorded too late' if late else 'not on the record'}: {text[:120]!r}")
    if not after_kill:
        problems += _extra(seen, record)
    return problems


def _extra(seen, record):
    """Commands that the record says reached the target, of kinds that its log shows, which it does not show."""
    ran = Counter((host, port, text) for (host, port, _), statements in seen.items() for _, text in statements)
    problems = []
    for (host, port), commands in record.items():
        for _, text, event in commands:
            if event.get("verb") == "query" and event.get("outcome") == "passed" and not ran[(host, port, text)]:
                problems.append(f"{host}:{port}: on the record as passed, and not in the target's log: {text[:120]!r}")
    return problems


def _sealed_all(context, before, seconds=60):
    def sealed():
        rows = context.sessions(before)
        return rows if rows and all(row["closed"] for row in rows) else None
    return wait_until("all sessions are sealed", sealed, seconds, 0.5)


def _offset(context):
    return os.path.getsize(context.lab.log_json_path())


@case("pgbench in all modes and a run of odd statements: the target's log and the record agree", seconds=180)
def quiet_run(context):
    before, offset = context.session_ids(), _offset(context)
    for mode in ("simple", "extended", "prepared"):
        for arguments in (["-S", "-t", "60"], ["-t", "30"]):
            done = context.lab.run("client", ["pgbench", "-n", "-M", mode, "-c", "3", *arguments], env=context.lab.client_env())
            expect_equal(done.returncode, 0, done.stderr[-300:])
    for statement in ("select 1; select 2", "select 'a\nb'", "begin; insert into scratch values (6001, 'x'); rollback", "select 1/0",
                      "copy (select 1) to stdout", "delete from scratch", "select from", "begin; delete from scratch; rollback"):
        context.psql(statement)
    record = recorded(context, _sealed_all(context, before))
    context.lab.log_settle()
    seen = target_statements(context, offset)
    expect(sum(len(s) for s in seen.values()) > 800, f"the target's log holds {sum(len(s) for s in seen.values())} statements")
    problems = compare(seen, record)
    expect(not problems, f"{len(problems)} differences: " + "; ".join(problems[:5]))


KILLS = int(os.environ.get("WEIR_KILLS", "50"))


@case(f"{KILLS} kills (-9) at random moments under load: no statement of the target is missing in the recovered record", seconds=18 * KILLS, spoils=True)
def kills(context):
    dice = random.Random()
    before, offset = context.session_ids(), _offset(context)
    for turn in range(KILLS):
        if not context.is_alive():
            context.running = None
        context.use("")
        mode = ("simple", "extended", "prepared")[turn % 3]
        load = context.lab.start("client", ["pgbench", "-n", "-M", mode, "-c", "4", "-T", "20", *(["-S"] if turn % 2 else [])],
                                 env=context.lab.client_env(sslmode=("disable", "require")[turn // 2 % 2]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(0.2 + dice.random() * 0.8)
            context.lab.gateway_kill()
            load.wait(20)
        finally:
            if load.poll() is None:
                load.kill()
                load.wait()
    context.running = None
    context.use("")
    sessions = _sealed_all(context, before, 120 + KILLS)
    record = recorded(context, sessions)
    context.lab.log_settle()
    seen = target_statements(context, offset)
    expect(sum(len(s) for s in seen.values()) > 500, "the load reached the target")
    problems = compare(seen, record, after_kill=True)
    expect(not problems, f"{len(problems)} differences: " + "; ".join(problems[:5]))
    unmarked = []
    ran = Counter((host, port, text) for (host, port, _), statements in seen.items() for _, text in statements)
    for (host, port), commands in record.items():
        for _, text, event in commands:
            if event.get("verb") == "query" and event["verdict"] == "allow" and not ran[(host, port, text)] and event["outcome"] not in ("unknown", "unread"):
                unmarked.append(f"{host}:{port} {event['outcome']}: {text[:100]!r}")
    expect(not unmarked, f"{len(unmarked)} extra statements are not marked outcome: unknown: " + "; ".join(unmarked[:5]))
    done = context.lab.run("gateway", [context.env["WEIR"], "verify", context.env["WEIR_STATE"], "--key", context.env["WEIR_PUBKEY"]],
                           timeout=180)
    expect(done.returncode in (0, 3), f"weir verify after the kills: {done.stdout[-400:]}{done.stderr[-400:]}")


@case("every statement of this whole run stands in the record, before it in time", seconds=300)
def whole_run(context):
    record = recorded(context, [s for s in context.sessions() if s["closed"]])
    seen = target_statements(context, 0)
    expect(sum(len(s) for s in seen.values()) > 1000, f"{sum(len(s) for s in seen.values())} statements")
    problems = compare(seen, record, after_kill=True)
    expect(not problems, f"{len(problems)} differences: " + "; ".join(problems[:5]))
