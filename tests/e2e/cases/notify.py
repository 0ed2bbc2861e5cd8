"""Who is told of what: alerts, tickets and drops at a real HTTPS receiver and a syslog server, signed, over restarts; and what comes back."""
import contextlib
import json
import os
import re
import time
import urllib.parse

from cases.api import PORT, URL, _call, _events, _pair
from cases.holds import RULE as HOLD
from harness import case, expect, expect_equal, expect_in, expect_not_in
from oidc import make_certificate
from pgwire import query
from sinks import ADDRESS, HTTPS_PORT, SYSLOG_PORT, Sink, is_signed, sign, slack_sign
from tokens import Provider
from weirlab import wait_until

HOOK, CHAT = "fake-secret-of-the-hook-0123456789", "fake-secret-of-the-chat-0123456789"
SELF = "svc:report-agent"       # Whose commands are held: the lab's client.

ALERT = """  - id: {name}
    why: "words that nobody says"
    severity: high
    where: {{protocol: postgres, direction: to_target}}
    what: {{words: ["{word}"]}}
    then: alert
    examples: {{match: ["select '{word}'"], no_match: ["select 'another'"]}}
"""

NOTIFY = """
notify:
  repeat: 1h
  drop_burst: {{packets: 5, within: 10s}}
  sinks:
    - {{name: hook, kind: webhook, url: "https://{address}:{https}/hook", secret_file: keys/hook.secret, ca_file: {ca}, events: [all],
       reviewers: [{{id: bob, subject: "user:bob", groups: [dba]}}, {{id: me, subject: "{me}", groups: [dba]}}]}}
    - {{name: chat, kind: slack, url: "https://{address}:{https}/chat", secret_file: keys/chat.secret, ca_file: {ca}, events: [ticket, alert],
       reviewers: [{{id: U04ANN, subject: "user:ann", groups: [dba]}}, {{id: U05ME, subject: "{me}", groups: [dba]}}]}}
    - {{name: log, kind: syslog, address: "tls://{address}:{syslog}", ca_file: {ca}, events: [all]}}
approvals:
  - {{name: dba, reviewers: {{groups: [dba]}}, deadline: 60s}}
"""


def _secret(context, name, value):
    path = os.path.join(context.lab.folder, "keys", name)
    owner = os.stat(os.path.join(context.lab.folder, "keys", "log.key"))
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(value + "\n")
    os.chown(path, owner.st_uid, owner.st_gid)


@contextlib.contextmanager
def _sinks(context):
    """A gateway with three sinks and the API, and what they lead to; gives the receiver and the syslog server."""
    folder = os.path.join(context.folder, "sinks")
    os.makedirs(folder, exist_ok=True)
    os.chmod(folder, 0o755)
    certificate, key = make_certificate(folder, "hook", ADDRESS)
    _secret(context, "hook.secret", HOOK)
    _secret(context, "chat.secret", CHAT)
    provider = Provider(os.path.join(context.folder, "idp"))
    jwks = provider.write_jwks()
    _pair(context)

    def edit(text):
        text = re.sub(r"(?ms)^approvals:.*?(?=^\S)", "", text)
        issuer = (f"  issuers:\n    - {{name: lab-idp, url: {provider.issuer}, audience: {provider.audience}, jwks_file: {jwks}, algorithms: [EdDSA, RS256], clock_skew: 5s}}\n  static:")
        api = (f'api:\n  listen: ["198.18.1.1:{PORT}"]\n  certificate_file: keys/api.crt\n  key_file: keys/api.key\n'
               "  roles: {admin: {groups: [platform]}, reviewer: {groups: [dba]}, auditor: {groups: [audit]}}\n")
        sinks = NOTIFY.format(address=ADDRESS, https=HTTPS_PORT, syslog=SYSLOG_PORT, ca=os.path.join(folder, "ca.crt"), me=SELF)
        return text.replace("  static:", issuer, 1) + api + sinks
    with Sink(context, "https", "hook", HTTPS_PORT, certificate, key) as hook, Sink(context, "syslog", "log", SYSLOG_PORT, certificate, key) as log:
        context.stop()
        context.use(lambda _: context.lab.config_variant("notify", edit))
        hook.provider = provider
        yield hook, log


def _word():
    return "n" + os.urandom(6).hex()


def _rules(context, *texts):
    context.extra_rules("rules:\n" + "".join(texts))
    context.lab.gateway_reload()


def _body(request):
    return json.loads(request["body"])


def _callback(context, sink, body, headers, content_type="application/json"):
    """curl of a callback with exactly these bytes."""
    config, data = os.path.join(context.folder, "callback.curlrc"), os.path.join(context.folder, "callback.body")
    with open(data, "wb") as file:
        file.write(body)
    with open(config, "w", encoding="utf-8") as file:
        file.write("".join(f'header = "{line}"\n' for line in ["Expect:", f"Content-Type: {content_type}", *headers]))
    done = context.lab.run("client", ["curl", "-sS", "--max-time", "20", "--cacert", os.path.join(context.lab.folder, "keys", "api.crt"), "-K", config, "-X", "POST",
                                      "--data-binary", f"@{data}", "-w", "\n%{http_code}", f"{URL}/v1/callbacks/{sink}"])
    expect_equal(done.returncode, 0, f"curl: {done.stderr}")
    text, _, status = done.stdout.rpartition("\n")
    return int(status), text


def _metric(context, line):
    text = context.lab.run("gateway", ["curl", "-s", "http://127.0.0.1:9464/metrics"], check=True).stdout
    return next((float(each.rsplit(" ", 1)[1]) for each in text.splitlines() if each.startswith(line)), None)


@case("an alert rule that fires arrives at a webhook, signed, in Slack's form and by syslog; it repeats as a count, and a person closes it", spoils=True)
def alert(context):
    word = _word()
    with _sinks(context) as (hook, log):
        _rules(context, ALERT.format(name="tells", word=word))
        for _ in range(3):
            context.rows(f"select '{word}'")
        plain = hook.wait("the webhook has it", lambda each: each["path"] == "/hook" and _body(each)["event"] == "alert")
        expect(is_signed(HOOK, plain) and not is_signed(CHAT, plain), f"the signature: {plain['headers']}")
        body = _body(plain)
        expect_equal((body["rule"], body["severity"], body["subject"], body["target"]), ("tells", "high", SELF, "orders-db"), "what it says")
        expect_equal((plain["headers"]["weir-notice-id"], plain["headers"]["idempotency-key"]), (body["id"], body["id"]), "the key")
        expect_in("words that nobody says", body["text"], "the rule's why")
        chat = hook.wait("the chat has it", lambda each: each["path"] == "/chat")
        expect(_body(chat)["text"] and _body(chat)["blocks"], "Slack's form")
        expect(is_signed(CHAT, chat), "its signature")
        line = log.wait("syslog has it", lambda each: 'rule="tells"' in each)
        expect(re.match(r"<107>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \S+ weir \d+ alert \[weir@32473 id=\"" + re.escape(body["id"]), line), f"its form: {line}")
        alerts = wait_until("all three are counted", lambda: [each for each in context.lab.weir_json("alerts", "list") if each["rule"] == "tells" and each["count"] == 3], 10, 0.2)
        expect_equal(len(alerts), 1, "the alerts")
        number = str(alerts[0]["number"])
        expect_equal(body["alert"], number, "its number")
        expect_equal(len([each for each in hook.requests() if each["path"] == "/hook" and _body(each).get("rule") == "tells"]), 1, "how often it was told")
        provider = hook.provider
        auditor, reviewer = provider.token(subject="user:eve", groups=["audit"]), provider.token(subject="user:ann", groups=["dba"])
        status, text = _call(context, "GET", "/v1/alerts", auditor)
        expect_equal((status, [str(each["number"]) for each in json.loads(text) if each["rule"] == "tells"]), (200, [number]), "over the API")
        expect_equal(_call(context, "POST", f"/v1/alerts/{number}/close", auditor, {"as": "benign", "reason": "x"})[0], 403, "an auditor reads alone")
        expect_equal(context.lab.weir("alerts", "close", number, "--as", "benign").returncode, 2, "without a reason")
        status, text = _call(context, "POST", f"/v1/alerts/{number}/close", reviewer, {"as": "incident", "reason": "INC-4"})
        expect_equal((status, json.loads(text)["closed_by"]), (200, "user:ann of lab-idp"), "closed")
        judged = context.lab.weir_json("events", "--act", "close-alert", "--limit", "1")[0]
        expect_equal((judged["change"]["number"], judged["change"]["as"], judged["change"]["rule"], judged["reason"]), (int(number), "incident", "tells", "INC-4"), "the judgement on the record")
        expect_equal(context.lab.weir("alerts", "close", number, "--as", "benign", "--reason", "x").returncode, 4, "twice")
        expect_equal([each for each in context.lab.weir_json("alerts", "list") if each["rule"] == "tells"], [], "what is open")
        act = _events(context, "close-alert")
        expect(any(each["by"]["subject"] == "user:ann" and f"alert {number}" in each["object"] and each["outcome"] == "done" for each in act if "subject" in each["by"]), f"the acts: {act}")
        tested = context.lab.weir_json("alerts", "test")
        expect_equal(sorted((each["sink"], each["sent"]) for each in tested), [("chat", True), ("hook", True), ("log", True)], "the test")
        expect_in("try them with `weir alerts test`", context.lab.weir("doctor").stdout, "what doctor says of the sinks")
        hook.stop()
        failed = context.lab.weir("alerts", "test", "--sink", "hook")
        expect_equal(failed.returncode, 1, "a sink that is not there")
        expect_in("cannot connect", failed.stdout, "why")
        sink = [each for each in context.lab.weir_json("status")["sinks"] if each["name"] == "hook"][0]
        expect(sink["queued"] == 1 and "cannot connect" in sink["error"], f"the status: {sink}")
        expect(_metric(context, 'weir_notify_failed_total{sink="hook"}') >= 1, "the counter")


@case("what a receiver that is down was to be told arrives once it is up again, in order, also after kill -9 of the engine; the other sinks are not held up", seconds=120, spoils=True)
def survives(context):
    words = [_word() for _ in range(4)]
    with _sinks(context) as (hook, log):
        _rules(context, *[ALERT.format(name=f"tells-{number}", word=word) for number, word in enumerate(words)])
        hook.stop()
        for word in words[:3]:
            context.rows(f"select '{word}'")
        log.wait("syslog has the last one", lambda each: 'rule="tells-2"' in each)
        wait_until("they wait", lambda: [each for each in context.lab.weir_json("status")["sinks"] if each["name"] == "hook" and each["queued"] >= 3], 10, 0.2)
        time.sleep(0.5)
        context.lab.gateway_kill()
        context.running = None
        context.use(lambda _: os.path.join(context.lab.folder, "gateway-notify.yaml"))
        context.rows(f"select '{words[3]}'")
        log.wait("syslog has what came after", lambda each: 'rule="tells-3"' in each)
        hook.start()

        def keys(path):
            found = {}
            for each in hook.requests():
                if each["path"] != path:
                    continue
                body = _body(each)
                body = body if path == "/hook" else body["metadata"]["event_payload"]
                if body.get("rule", "").startswith("tells-"):
                    found.setdefault(each["headers"]["idempotency-key"], []).append(body["rule"])
            return found
        for path in ("/hook", "/chat"):
            wait_until(f"all four are at {path}", lambda: len(keys(path)) >= 4, 40, 0.2)
            expect_equal([rules[0] for rules in keys(path).values()], ["tells-0", "tells-1", "tells-2", "tells-3"], f"what came to {path}, each once by its key, in order")
        open_alerts = {each["rule"]: each["count"] for each in context.lab.weir_json("alerts", "list")}
        expect(all(open_alerts.get(f"tells-{number}") == 1 for number in range(4)), f"the alerts over the kill: {open_alerts}")


def _held(context, hook, word):
    """A psql that waits, its ticket's number, and the chat's message."""
    client = context.lab.psql_start()
    client.stdin.write(f"select '{word}';\n")
    client.stdin.flush()
    message = hook.wait("the ticket is in the chat", lambda each: each["path"] == "/chat" and word in each["body"] and "weir_approve" in each["body"])
    buttons = [block for block in _body(message)["blocks"] if block["type"] == "actions"][0]["elements"]
    expect_equal([each["action_id"] for each in buttons], ["weir_approve", "weir_deny"], "the buttons")
    return client, buttons[0]["value"]


def _press(user, action, value):
    payload = {"type": "block_actions", "user": {"id": user, "username": "whoever"}, "actions": [{"type": "button", "action_id": action, "value": value}], "response_url": "https://198.18.2.11/x"}
    return ("payload=" + urllib.parse.quote_plus(json.dumps(payload))).encode()


@case("a ticket arrives as a Slack message; its button, signed as Slack signs, approves it and the held psql goes on; forged, stale and replayed answers, strangers and the requester are refused", seconds=90, spoils=True)
def slack(context):
    word, form = _word(), "application/x-www-form-urlencoded"
    with _sinks(context) as (hook, _):
        _rules(context, HOLD.format(word=word, approval="dba").partition("rules:\n")[2])
        client, number = _held(context, hook, word)
        try:
            with context.target_never_sees(word):
                good = _press("U04ANN", "weir_approve", number)
                forged = slack_sign("fake-secret-of-somebody-else-01", good)
                for what, headers, body in (("forged", forged, good), ("unsigned", [], good), ("of another sink", slack_sign(HOOK, good), good),
                                            ("changed", slack_sign(CHAT, _press("U04ANN", "weir_deny", number)), good),
                                            ("stale", slack_sign(CHAT, good, int(time.time()) - 301), good), ("of the future", slack_sign(CHAT, good, int(time.time()) + 400), good)):
                    expect_equal(_callback(context, "chat", body, headers, form)[0], 401, what)
                stranger, own = _press("U99", "weir_approve", number), _press("U05ME", "weir_approve", number)
                expect_equal(_callback(context, "chat", stranger, slack_sign(CHAT, stranger), form)[0], 403, "a stranger")
                status, text = _callback(context, "chat", own, slack_sign(CHAT, own), form)
                expect_equal(status, 409, f"the requester: {text}")
                expect_in("your own", text, "why")
                expect_equal(_callback(context, "nobody", good, slack_sign(CHAT, good), form)[0], 401, "a sink that is not there")
                expect_equal(_callback(context, "log", good, slack_sign(CHAT, good), form)[0], 401, "a sink that takes no answers")
                expect_equal(context.lab.weir_json("tickets", number)["state"], "open", "after all that")
            headers = slack_sign(CHAT, good)
            status, text = _callback(context, "chat", good, headers, form)
            expect_equal((status, json.loads(text).get("by")), (200, "user:ann"), text)
            out, _ = client.communicate(timeout=20)
            expect_in(word, out, "the held psql's answer")
            expect_equal(_callback(context, "chat", good, headers, form)[0], 409, "a replay")
        finally:
            client.kill()
            client.wait(10)
        acts = _events(context, "callback")
        expect(any(each["outcome"] == "done" and each["by"]["subject"] == "user:ann" and each["by"]["via"] == "callback" and number in each["object"] for each in acts), f"the act: {acts[:3]}")
        expect(len([each for each in acts if each["outcome"] != "done"]) >= 11, f"each refusal is an act: {len(acts)}")
        expect(_metric(context, 'weir_callbacks_total{result="unsigned"}') >= 8, "counted")
        expect_equal(_metric(context, 'weir_callbacks_total{result="replayed"}'), 1, "replays counted")
        hook.wait("the answer is told too", lambda each: each["path"] == "/hook" and _body(each).get("ticket") == number and _body(each).get("state") == "approved")
        for path in (context.env["WEIR_STATE"], context.env["WEIR_LOG"] if "WEIR_LOG" in context.env else context.env["WEIR_STATE"]):
            done = context.lab.run("gateway", ["grep", "-rlaF", "-e", HOOK, "-e", CHAT, path])
            expect_equal(done.stdout, "", "where a secret stands")


@case("an answer in plain JSON denies a ticket with its reason, and no token is needed or taken for it", spoils=True)
def plain_answer(context):
    word = _word()
    with _sinks(context) as (hook, _):
        _rules(context, HOLD.format(word=word, approval="dba").partition("rules:\n")[2])
        with context.target_never_sees(word), context.wire() as wire:
            wire.send(query(f"select '{word}'"))
            told = hook.wait("the ticket is told", lambda each: each["path"] == "/hook" and _body(each)["event"] == "ticket" and word in each["body"])
            number = _body(told)["ticket"]
            body = json.dumps({"ticket": number, "action": "deny", "by": "bob", "reason": "not on a Friday", "nonce": "1"}).encode()
            expect_equal(_callback(context, "hook", body, [f"Authorization: Bearer {hook.provider.token(subject='user:ann', groups=['dba'])}"])[0], 401, "a token alone")
            expect_equal(_callback(context, "hook", body, [f"Weir-Signature: {sign(HOOK, body)}"])[0], 200, "signed")
            reply = wire.read_reply()
            expect_equal(reply.code, "42501", "the client")
            expect_in("not on a Friday", str(reply), "the reason")


@case("many packets that the kernel side drops are one notice, and a revocation is told", spoils=True)
def drops(context):
    with _sinks(context) as (hook, _):
        # The gateway's own host may not reach a target past the engine: each attempt is a dropped packet.
        for _ in range(8):
            context.lab.run("gateway", ["timeout", "0.3", "bash", "-c", f"exec 3<>/dev/tcp/{context.env['TARGET_IP']}/{context.env['TARGET_PORT']}"])
        burst = hook.wait("the burst is told", lambda each: each["path"] == "/hook" and _body(each)["event"] == "drop-burst")
        expect_in("5 packets were dropped within 10 s", _body(burst)["text"], "what it says")
        expect_equal(len([each for each in hook.requests() if each["path"] == "/hook" and _body(each)["event"] == "drop-burst"]), 1, "how often")
        with context.wire() as wire:
            live = [each for each in context.lab.weir_json("sessions") if not each["closed"]]
            expect(live, "a session is live")
            context.lab.weir("cut", str(live[0]["id"]), "--reason", "INC-9")
            cut = hook.wait("the cut is told", lambda each: each["path"] == "/hook" and _body(each)["event"] == "revoked")
            expect_in("INC-9", _body(cut)["text"], "why")
            expect_not_in("drop-burst", cut["body"], "another notice")
            del wire
