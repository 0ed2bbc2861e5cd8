"""What the policy no longer keeps is destroyed: nothing of its content is left anywhere in the state folder, and the rest of the record verifies."""
import os
import re
import shutil

from cases.evidence_log import _verify
from cases.holds import APPROVALS, RULE
from evidence import leaves_of
from harness import case, expect, expect_equal, expect_in
from weirlab import wait_until

# A floor that no real gateway has: days pass in seconds here.
RETENTION = "\nretention: {minimum: 1s, default: 2s}\n"


def _config(name, is_encrypted):
    """The lab's configuration over a state folder of its own: what it destroys is no other case's."""
    def make(lab):
        state = os.path.join(lab.folder, f"state-{name}")

        def edit(text):
            text = re.sub(r"(?m)^state: .*$", f"state: {state}", text)
            text = re.sub(r"(?ms)^approvals:.*?(?=^\S)", "", text) + APPROVALS + RETENTION
            return text if is_encrypted else re.sub(r"(?m)^  encryption: .*\n", "", text)
        return lab.config_variant(name, edit)
    return make


def _state(context, name):
    return os.path.join(context.lab.folder, f"state-{name}")


def _files_with(folder, marker):
    found = []
    for at, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(at, name)
            if not os.path.isfile(path):
                continue
            with open(path, "rb") as file:
                if marker.encode() in file.read():
                    found.append(os.path.relpath(path, folder))
    return found


def _session_of(context, statement):
    before = context.session_ids()
    context.psql(statement)
    return context.sealed_since(before)[0]["id"]


def _expire(context, session):
    """Until the log has the tombstone of the session; the copy of what is waited for is the status."""
    log = os.path.join(context.retention_state, "log")

    def is_gone():
        context.lab.weir("retention", "--run", "--reason", "a test")
        return any(leaf["kind"] == "tombstone" and leaf["session"] == session for leaf in leaves_of(log))
    wait_until(f"session {session} has expired: {context.lab.weir('status').stdout}", is_gone, 60, 0.3)


def _copy(context, name):
    copy = os.path.join(context.folder, f"{name}-copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(context.retention_state, copy, ignore=lambda _, names: [each for each in names if each.endswith(".sock")])
    shutil.rmtree(os.path.join(copy, "journal"))
    return copy


def _expiry_case(name, is_encrypted, how):
    @case(f"what has expired is nowhere in the state folder ({how}): not in journal, archives, keys, tickets or log; a legal hold keeps, and the pruned record verifies with the public key alone",
          config=None, seconds=150, spoils=True)
    def expires(context):
        context.retention_state = _state(context, name)
        context.stop()
        shutil.rmtree(context.retention_state, ignore_errors=True)
        gone, kept = "gone" + os.urandom(6).hex(), "kept" + os.urandom(6).hex()
        context.extra_rules(RULE.format(word=gone + "-asks", approval="short"))
        context.use(_config(name, is_encrypted))
        # Held before it can expire, by who it is of: both sessions are of the same identity, so by its number.
        held = _session_of(context, f"select '{kept}' as stayshere")
        done = context.lab.weir("retention", "hold", "add", "--session", str(held), "--reason", "case 17", "--json")
        expect_equal(done.returncode, 0, done.stderr)
        hold = re.search(r'"id":"([^"]+)"', done.stdout).group(1)
        session = _session_of(context, f"select '{gone}' as soonaway")
        asked = _session_of(context, f"select '{gone}-asks'")   # Waited for a reviewer: its ticket holds the statement.
        listed = lambda word: {row["id"] for row in context.lab.weir_json("sessions", "--text", word)}
        expect(held in listed("stayshere"), "a search finds what is there")
        _expire(context, session)
        _expire(context, asked)
        # By another word: a search is on the record, with what was looked for.
        expect_equal(listed("soonaway"), set(), "what a search for a word of what expired finds")
        wait_until("nothing of them is left", lambda: not _files_with(context.retention_state, gone), 20, 0.2)
        expect_equal(_files_with(context.retention_state, gone), [], "files that hold what has expired")

        replayed = context.lab.weir("replay", str(held))
        expect_equal(replayed.returncode, 0, replayed.stderr)
        expect_in(kept, replayed.stdout, "what is held")
        replayed = context.lab.weir("replay", str(session))
        expect_equal(replayed.returncode, 1, replayed.stdout)
        expect_in('expired on', replayed.stderr, "what a replay says of what is gone")
        proof = context.lab.weir("prove", str(session))
        expect_equal(proof.returncode, 0, proof.stderr)
        expect_in("expired on", proof.stderr, "what a proof says of what is gone")
        plan = context.lab.weir_json("retention", "--plan")
        expect_equal([row["held_by"] for row in plan if row["session"] == held], [[hold]], "the plan")
        shown = context.lab.weir_json("retention")
        expect(shown["expired"] >= 2 and shown["held"] >= 1, f"what is shown: {shown}")

        copy = _copy(context, name)
        try:
            code, report = _verify(context, copy)
            broken = [finding for finding in report["findings"] if finding["severity"] != "note"]
            expect_equal((code, broken), (0, []), "a pruned copy, with the public key alone")
            expect(report["expired"]["sessions"] >= 2 and report["expired"]["policies"][0]["name"] == "default", f"what it says: {report['expired']}")
            # Whoever takes an archive away without the log's word is found.
            leaf = next(leaf for leaf in leaves_of(os.path.join(copy, "log")) if leaf["kind"] == "seal" and leaf["session"] == held)
            os.remove(os.path.join(copy, "archive", leaf["path"]))
            code, report = _verify(context, copy)
            expect_equal(code, 1, "an archive that nobody let expire")
            expect_in("archive-missing", [finding["code"] for finding in report["findings"]], "its finding")
        finally:
            shutil.rmtree(copy, ignore_errors=True)

        done = context.lab.weir("retention", "hold", "remove", hold, "--reason", "case 17 is closed")
        expect_equal(done.returncode, 0, done.stderr)
        _expire(context, held)
        wait_until("nothing of it is left", lambda: not _files_with(context.retention_state, kept), 20, 0.2)
        acts = [act["act"] for act in context.lab.weir_json("events", "--limit", "100")]
        for act in ("hold-add", "hold-remove", "retention-run"):
            expect_in(act, acts, "acts on the record")
        context.stop()
        shutil.rmtree(context.retention_state, ignore_errors=True)

    return expires


_expiry_case("retention", True, "encrypted")
_expiry_case("retention-clear", False, "not encrypted")
