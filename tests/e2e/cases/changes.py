"""Changes to rules, grants and bindings: each carries a reason, says what it changed and who made it."""
import hashlib
import json
import time

from cases.api import _call, _events, _with_api
from cases.identities import OTHER
from cases.rules import WORD_RULE, _random_word
from harness import case, expect, expect_equal, expect_in, expect_not_in


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


@case("a reload says on the record which rules it changed, the digests of the files before and after, why, and who made it", spoils=True)
def reload_says_what(context):
    word = _random_word()
    path = context.env["EXTRA_RULES"]
    before = _sha256(path)
    context.extra_rules(WORD_RULE.format(word=word))
    done = context.lab.weir("reload", "--reason", "CHG-17: close a word")
    expect_equal(done.returncode, 0, done.stderr)
    expect_in("changed: rule word added", done.stdout, "what the operator is told")
    act = _events(context, "reload")[0]
    expect_equal((act["reason"], act["outcome"], act["by"]["via"], act["by"]["uid"]), ("CHG-17: close a word", "done", "socket", 0), "the act")
    expect_in("rule word added", act["object"], "its object")
    change = act["change"]
    expect_equal(change["parts"], [{"kind": "rule", "name": "word", "how": "added"}], "its parts")
    expect_equal(change["files"], [{"file": path, "before": before, "after": _sha256(path)}], "its files")
    expect_equal(change["digest"]["after"], context.lab.weir_json("status")["engine"]["config"]["digest"], "what is in force")
    context.extra_rules(WORD_RULE.format(word=_random_word()))
    context.lab.weir("reload", "--reason", "CHG-18")
    expect_equal(_events(context, "reload")[0]["change"]["parts"], [{"kind": "rule", "name": "word", "how": "changed"}], "a rule that was changed")
    context.extra_rules("rules: []\n")
    context.lab.weir("reload", "--reason", "CHG-19")
    expect_equal(_events(context, "reload")[0]["change"]["parts"], [{"kind": "rule", "name": "word", "how": "removed"}], "a rule that was removed")
    expect_in("rule word removed", context.lab.weir("events", "--act", "reload", "--limit", "1").stdout, "weir events")


@case("a change without a reason, with one that is too long, or with bytes that are no text is refused by the engine itself", spoils=True)
def reasons(context):
    _with_api(context)
    generation = context.lab.weir_json("status")["engine"]["config"]["generation"]
    for verb, *words in (("reload",), ("revoke", "user:nobody"), ("cut", "4711")):
        for reason in ((), ("--reason", ""), ("--reason", "   "), ("--reason", "x" * 1025), ("--reason", "two\nlines"), ("--reason", "\x1b[31m")):
            done = context.lab.weir(verb, *words, *reason)
            expect_equal(done.returncode, 2, f"{verb} {reason}: {done.stdout}{done.stderr}")
    expect_equal(context.lab.weir_json("status")["engine"]["config"]["generation"], generation, "nothing was reloaded")
    act = _events(context, "reload")[0]
    expect_in("invalid: the reason", act["outcome"], "the attempt")
    expect_not_in("change", act, "nothing was changed")


@case("a binding says on the record whom it bound until when, a revoke which bindings it ended; a binding may carry a reason", spoils=True)
def bindings(context):
    provider = _with_api(context)
    token = provider.token(subject="user:ann", groups=("dba",))
    status, text = _call(context, "POST", "/v1/bindings", token, {"reason": "night shift"}, source=OTHER)
    expect_equal(status, 201, text)
    act = _events(context, "bind")[0]
    expect_equal((act["by"]["subject"], act["reason"], act["change"]["subject"], act["change"]["address"]), ("user:ann", "night shift", "user:ann", OTHER), "the binding")
    expect(act["change"]["until"], "until when")
    status, text = _call(context, "POST", "/v1/bindings/revoke", provider.token(subject="user:boss", groups=("platform",)), {"subject": "user:ann", "reason": "case 17"})
    expect_equal(status, 200, text)
    ended = _events(context, "revoke")[0]
    expect_equal((ended["by"]["subject"], ended["by"]["issuer"], ended["reason"]), ("user:boss", "lab-idp", "case 17"), "who revoked")
    expect_equal([(each["id"], each["subject"]) for each in ended["change"]["revoked"]], [(act["change"]["id"], "user:ann")], "what was revoked")


def _two_people(context, more=""):
    """As _with_api(), and a reload waits for a second person."""
    provider = _with_api(context, f"changes: {{second_person: [reload{more}], deadline: 1m}}\n")
    return provider, [provider.token(subject=f"user:{name}", groups=("platform",)) for name in ("ann", "bob")]


def _as_login(context, uid, *words):
    """weir on the gateway, as root that logged in as `uid`."""
    script = f"echo {uid} > /proc/self/loginuid && exec \"$0\" \"$@\""
    return context.lab.run("gateway", ["sh", "-c", script, context.env["WEIR"], *words, "--config", context.env["WEIR_CONFIG"]])


def _generation(context):
    return context.lab.weir_json("status")["engine"]["config"]["generation"]


@case("a reload that needs a second person waits; who asked cannot approve it, somebody else can, and both stand on the record", seconds=120, spoils=True)
def second_person(context):
    _, (ann, bob) = _two_people(context)
    word, generation = _random_word(), _generation(context)
    context.extra_rules(WORD_RULE.format(word=word))
    status, text = _call(context, "POST", "/v1/reload", ann, {"reason": "CHG-17"})
    expect_equal(status, 202, text)
    number = json.loads(text)["pending"]
    expect_equal(_generation(context), generation, "nothing is in force yet")
    expect_equal(context.rows(f"select '{word}'"), [word], "the word is open yet")
    expect_in(f"change {number}", context.lab.weir("status").stdout, "weir status")
    asked = _events(context, "reload")[0]
    expect_equal((asked["by"]["subject"], asked["outcome"]), ("user:ann", f"waits for a second person: change {number}"), "what was asked")
    expect_equal(asked["change"]["parts"], [{"kind": "rule", "name": "word", "how": "added"}], "what it would change")
    status, text = _call(context, "POST", f"/v1/changes/{number}/approve", ann, {"reason": "me too"})
    expect_equal(status, 409, text)
    expect_in("is your own", text, "why not")
    done = _as_login(context, 1000, "changes", "approve", str(number), "--reason", "by a login")
    expect_equal(done.returncode, 4, done.stdout + done.stderr)
    status, text = _call(context, "POST", f"/v1/changes/{number}/approve", bob, {"reason": "read the diff"})
    expect_equal(status, 200, text)
    expect_equal(_generation(context), generation + 1, "in force")
    context.refused(f"select '{word}'")
    act = _events(context, "change-approve")[0]
    expect_equal((act["by"]["subject"], act["reason"], act["outcome"]), ("user:bob", "read the diff", "done"), "the approval")
    expect_equal((act["change"]["number"], act["change"]["reason"], act["change"]["act"]), (number, "CHG-17", "reload"), "what was approved")
    expect_in("user:ann", act["change"]["by"], "who asked")
    expect_equal([each["outcome"].split(":")[0] for each in _events(context, "change-approve")], ["done", "denied", "denied"], "the attempts")
    status, text = _call(context, "POST", f"/v1/changes/{number}/approve", bob, {"reason": "again"})
    expect_equal(status, 409, text)


@case("files that changed since are not put in force by an approval; a denied or late change never is", seconds=120, spoils=True)
def changed_since(context):
    _, (ann, bob) = _two_people(context)
    word, other, generation = _random_word(), _random_word(), _generation(context)
    context.extra_rules(WORD_RULE.format(word=word))
    number = json.loads(_call(context, "POST", "/v1/reload", ann, {"reason": "CHG-17"})[1])["pending"]
    context.extra_rules(WORD_RULE.format(word=other))
    status, text = _call(context, "POST", f"/v1/changes/{number}/approve", bob, {"reason": "fine"})
    expect_equal(status, 409, text)
    expect_in("changed since", text, "why not")
    context.extra_rules("rules: [")
    expect_equal(_call(context, "POST", f"/v1/changes/{number}/approve", bob, {"reason": "fine"})[0], 422, "a file that is broken now")
    context.extra_rules(WORD_RULE.format(word=word))
    status, text = _call(context, "POST", f"/v1/changes/{number}/deny", bob, {"reason": "not on a Friday"})
    expect_equal(status, 200, text)
    expect_equal(_call(context, "POST", f"/v1/changes/{number}/approve", bob, {"reason": "after all"})[0], 409, "an approval after the denial")
    late = json.loads(_call(context, "POST", "/v1/reload", ann, {"reason": "CHG-18"})[1])["pending"]
    expect_equal([each["number"] for each in context.lab.weir_json("changes")], [late], "what waits")
    time.sleep(62)
    status, text = _call(context, "POST", f"/v1/changes/{late}/approve", bob, {"reason": "late"})
    expect_equal(status, 409, text)
    expect_in("had to be approved before", text, "why not")
    states = {each["number"]: each["state"] for each in context.lab.weir_json("changes", "--all")}
    expect_equal((states[number], states[late]), ("denied", "expired"), "what became of them")
    expect_equal(_generation(context), generation, "nothing was put in force")
    expect_equal(context.rows(f"select '{word}', '{other}'"), [f"{word}|{other}"], "both words are open")


@case("on the host people are told apart by login uid, also as root: the same login, or none, is no second person", seconds=180, spoils=True)
def login_uids(context):
    _two_people(context, ", cut")
    generation = _generation(context)
    nobody = context.lab.weir("reload", "--reason", "from a service")
    expect_equal(nobody.returncode, 4, nobody.stdout + nobody.stderr)
    expect_in("no login uid", nobody.stderr, "who nobody is")
    asked = _as_login(context, 1000, "reload", "--reason", "CHG-17")
    expect_equal(asked.returncode, 1, asked.stdout + asked.stderr)
    expect_in("waits for a second person", asked.stdout, "what is told")
    number = context.lab.weir_json("changes")[0]["number"]
    expect_in("somebody else, logged in as themselves", asked.stdout, "who may")
    expect_equal(_as_login(context, 1000, "changes", "approve", str(number), "--reason", "I again").returncode, 4, "the same login")
    expect_equal(context.lab.weir("changes", "approve", str(number), "--reason", "nobody").returncode, 4, "no login")
    expect_equal(_generation(context), generation, "nothing is in force yet")
    done = _as_login(context, 1001, "changes", "approve", str(number), "--reason", "looks right")
    expect_equal(done.returncode, 0, done.stdout + done.stderr)
    expect_equal(_generation(context), generation + 1, "in force")
    act = _events(context, "change-approve")[0]
    expect_equal((act["by"]["uid"], act["by"]["login_uid"]), (0, 1001), "who approved")
    expect_in("login uid 1000", act["change"]["by"], "who asked")
    with context.wire() as wire:
        session = next(row for row in context.sessions() if not row["closed"])
        asked = _as_login(context, 1000, "cut", str(session["id"]), "--reason", "named in second_person")
        expect_equal(asked.returncode, 1, asked.stdout + asked.stderr)
        expect_equal(wire.query("select 1").values(), [("1",)], "it goes on")
        number = context.lab.weir_json("changes")[0]["number"]
        expect_equal(_as_login(context, 1001, "changes", "approve", str(number), "--reason", "yes").returncode, 0, "the approval")
    session = context.replay(session["id"])
    expect(any(event["kind"] == "closed" for event in session), "it was cut")
    check = context.lab.weir("check")
    expect_in("cut takes away", check.stdout + check.stderr, "weir check")
