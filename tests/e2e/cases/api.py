"""The control API: who may what over TLS, bindings of the connection's own address, and the trace that each act leaves."""
import json
import os
import pwd
import shutil
import subprocess
import time

from cases.identities import OTHER, _from_other
from harness import case, expect, expect_equal, expect_in, expect_not_in
from tokens import Provider
from weirlab import wait_until

PORT = 8443
URL = f"https://198.18.1.1:{PORT}"


def _pair(context):
    """A certificate for the gateway's own address, readable by the engine's user alone."""
    keys = os.path.join(context.lab.folder, "keys")
    certificate, key = os.path.join(keys, "api.crt"), os.path.join(keys, "api.key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=gateway",
                    "-addext", "subjectAltName=IP:198.18.1.1", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    user = pwd.getpwnam("weir")
    os.chown(key, user.pw_uid, user.pw_gid)
    os.chmod(key, 0o600)
    os.chmod(certificate, 0o644)
    return certificate


def _with_api(context, limits=""):
    """A gateway with the API, a provider, and the second client address, bound to nobody."""
    provider = Provider(os.path.join(context.folder, "idp"))
    jwks = provider.write_jwks()
    _pair(context)

    def edit(text):
        issuer = (f"  issuers:\n    - name: lab-idp\n      url: {provider.issuer}\n      audience: {provider.audience}\n"
                  f"      jwks_file: {jwks}\n      algorithms: [EdDSA, RS256]\n      clock_skew: 5s\n  static:")
        api = (f'api:\n  listen: ["198.18.1.1:{PORT}"]\n  certificate_file: keys/api.crt\n  key_file: keys/api.key\n'
               f"  roles: {{admin: {{groups: [platform]}}, reviewer: {{groups: [dba]}}, auditor: {{groups: [audit]}}}}\n{limits}")
        return text.replace("  static:", issuer, 1) + api
    context.use(lambda _: context.lab.config_variant("api", edit))
    context.lab.run("client", ["ip", "addr", "replace", f"{OTHER}/24", "dev", "eth0"], check=True)
    context.lab.weir("revoke", OTHER, "--reason", "a new case")  # Bindings outlive the engine; there may be none.
    return provider


def _call(context, method, path, token=None, body=None, source=None, headers=()):
    """curl from the client's namespace.  Gives the status and the body; the token goes in by a file, not by the command line."""
    lines = ['header = "Expect:"', *[f'header = "{line}"' for line in headers]]
    if token is not None:
        lines.append(f'header = "Authorization: Bearer {token}"')
    if body is not None:
        lines += ['header = "Content-Type: application/json"', f"data = {json.dumps(json.dumps(body))}"]
    elif method == "POST":
        lines.append('header = "Content-Length: 0"')
    config = os.path.join(context.folder, "curlrc")
    with open(os.open(config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    done = context.lab.run("client", ["curl", "-sS", "--max-time", "20", "--cacert", os.path.join(context.lab.folder, "keys", "api.crt"), "-K", config, "-X", method,
                                      "-w", "\n%{http_code}", *(["--interface", source] if source else []), URL + path])
    expect_equal(done.returncode, 0, f"curl {method} {path}: {done.stderr}")
    text, _, status = done.stdout.rpartition("\n")
    return int(status), text


def _events(context, act=None):
    return context.lab.weir_json("events", *(["--act", act] if act else []))


@case("binding over the API from the client's own address admits it as that identity; headers about other addresses are not looked at", spoils=True)
def binds(context):
    provider = _with_api(context)
    expect_equal(_from_other(context, "select 1").returncode, 2, "before")
    status, text = _call(context, "POST", "/v1/bindings", provider.token(subject="user:alice"), source=OTHER,
                         headers=("X-Forwarded-For: 198.18.1.77", "Forwarded: for=198.18.1.77", "X-Real-IP: 198.18.1.77", "Host: 198.18.1.77"))
    expect_equal(status, 201, text)
    answer = json.loads(text)
    expect_equal((answer["address"], answer["subject"]), (OTHER, "user:alice"), "what was bound")
    expect(answer["id"] and answer["until"], f"id and end: {answer}")
    expect_equal([b["address"] for b in context.lab.weir_json("bindings") if b["subject"] == "user:alice"], [OTHER], "the bindings")
    before = context.session_ids()
    done = _from_other(context, "select host(inet_client_addr())")
    expect_equal((done.returncode, done.stdout.strip()), (0, OTHER), done.stderr)
    expect_equal(context.sealed_since(before)[0]["subject"], "user:alice", "the session's subject")
    act = _events(context, "bind")[0]
    expect_equal((act["by"]["via"], act["by"]["subject"], act["by"]["address"], act["outcome"]), ("api", "user:alice", OTHER, "done"), "the act")
    expect_in(OTHER, act["object"], "its object")


def _revocation_in_pack(context, reason):
    """None before the act is sealed."""
    pack = os.path.join(context.folder, "pack-" + os.urandom(4).hex())
    try:
        done = context.lab.weir("evidence", "--from", "1h", "--output", pack, "--no-pdf", "--proofs", "none", timeout=120)
        expect_equal(done.returncode, 0, done.stderr)
        with open(os.path.join(pack, "tables", "revocations.jsonl"), encoding="utf-8") as file:
            return next((row for row in map(json.loads, file) if row["reason"] == reason), None)
    finally:
        shutil.rmtree(pack, ignore_errors=True)


@case("a revocation over the API cuts the live session at once, and stands on the record with who and why", spoils=True)
def revokes(context):
    provider = _with_api(context)
    expect_equal(_call(context, "POST", "/v1/bindings", provider.token(subject="user:alice"), source=OTHER)[0], 201, "bind")
    script = (f"ip route replace {context.env['TARGET_IP']} via 198.18.1.1 src {OTHER}; psql -X -q -c 'select count(*) from generate_series(1, 3000000000)'; "
              f"ip route del {context.env['TARGET_IP']}")
    process = context.lab.start("client", ["sh", "-c", script], env=context.lab.client_env(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    running = "select count(*) from pg_stat_activity where query like '%3000000000%' and state = 'active' and usename = 'orders_app'"
    wait_until("the statement runs", lambda: context.lab.superuser(running) == "1", 10)
    status, text = _call(context, "POST", "/v1/bindings/revoke", provider.token(subject="user:root", groups=("platform",)), {"subject": "user:alice", "reason": "case 17"})
    expect_equal(status, 200, text)
    expect_equal([b["address"] for b in json.loads(text)["revoked"]], [OTHER], "what was revoked")
    process.communicate(timeout=10)
    wait_until("the statement is cancelled at the target", lambda: context.lab.superuser(running) == "0", 5)
    expect_equal(_from_other(context, "select 1").returncode, 2, "afterwards")
    act = _events(context, "revoke")[0]
    expect_equal((act["by"]["subject"], act["by"]["role"], act["object"], act["reason"], act["outcome"]), ("user:root", "admin", "user:alice", "case 17", "done"), "the act")
    row = wait_until("the revocation is in a pack", lambda: _revocation_in_pack(context, "case 17"), 60, 0.5)
    expect_equal((row["reason"], row["commands_after"], row["sessions_after"], row["sessions_open"]), ("case 17", "0", "0", "1"), f"the time to silence: {row}")
    expect(0 <= float(row["seconds_to_silence"]) < 10, f"seconds to silence: {row}")


@case("an auditor replays a session over the API, line by line as weir replay has it, and the look itself stands on the record", spoils=True)
def replays(context):
    provider = _with_api(context)
    auditor = provider.token(subject="user:ann", groups=("audit",))
    before = context.session_ids()
    context.rows("select 'told over the api', email from people where id = 7")
    session = context.sealed_since(before)[0]
    status, text = _call(context, "GET", f"/v1/sessions/{session['id']}/replay", auditor)
    expect_equal(status, 200, text)
    expect_equal([json.loads(line) for line in text.splitlines()], context.replay(session), "the events")
    expect_in("told over the api", text, "the statement")
    status, text = _call(context, "GET", f"/v1/sessions?target=orders-db&limit=1000", auditor)
    expect_equal(status, 200, text)
    expect_in(session["id"], [row["id"] for row in json.loads(text)], "the list")
    looks = [act for act in _events(context) if act["object"] == f"session {session['id']}" and act["act"] == "replay"]
    expect_equal([act["by"].get("subject", act["by"]["via"]) for act in looks], ["socket", "user:ann"], "who looked, newest first")
    status, text = _call(context, "GET", "/v1/events?act=replay", auditor)
    expect_equal(status, 200, text)
    expect_equal(json.loads(text)[0]["by"]["via"], "socket", "the newest")
    status, text = _call(context, "GET", f"/v1/export?format=jsonl&target=orders-db&before={session['id'] + 1}&limit=1", auditor)
    expect_equal(status, 200, text)
    expect_equal([json.loads(line) for line in text.splitlines()], [json.loads(line) for line in context.lab.weir("export", str(session["id"]), "--format", "jsonl").stdout.splitlines()], "the export against the verb's")
    expect(any(act["by"]["via"] == "api" and act["by"]["subject"] == "user:ann" for act in _events(context, "export")), "that look too")
    status, text = _call(context, "POST", "/v1/grants/sign-off", auditor, {"decision": "keep", "all": "true", "reason": "REV-8"})
    expect_equal(status, 403, "an auditor signs nothing off")
    reviewer = provider.token(subject="user:bea", groups=("dba",))
    status, text = _call(context, "POST", "/v1/grants/sign-off", reviewer, {"decision": "keep", "all": "true", "reason": "REV-8"})
    expect_equal(status, 200, text)
    signed = _events(context, "sign-off")[0]
    expect_equal((signed["by"]["subject"], signed["reason"], len(signed["change"]["grants"])), ("user:bea", "REV-8", len(json.loads(text)["grants"])), "the sign-off")
    expect_equal(_call(context, "GET", "/v1/sessions/999999999/replay", auditor)[0], 404, "a session that is not there")


@case("without a token 401, with a wrong role 403, and what was tried stands on the record; no token stands anywhere", spoils=True)
def roles(context):
    provider = _with_api(context)
    tokens = {group: provider.token(subject=f"user:{group}", groups=(group,)) for group in ("platform", "dba", "audit", "agents")}
    expect_equal(_call(context, "GET", "/v1/health")[0], 200, "health is open")
    for path in ("/v1/status", "/v1/metrics", "/v1/bindings", "/v1/sessions", "/v1/rules", "/v1/grants", "/v1/events"):
        expect_equal(_call(context, "GET", path)[0], 401, f"{path} without a token")
        expect_equal(_call(context, "GET", path, tokens["agents"])[0], 403, f"{path} without a role")
        expect_equal(_call(context, "GET", path, tokens["audit"])[0], 200, f"{path} for an auditor")
    forged = provider.token(groups=("platform",))[:-8] + "AAAAAAAA"
    expect_equal(_call(context, "GET", "/v1/status", forged)[0], 401, "a forged signature")
    generation = context.lab.weir_json("status")["engine"]["config"]["generation"]
    for group in ("dba", "audit", "agents"):
        expect_equal(_call(context, "POST", "/v1/reload", tokens[group], {"reason": "no"})[0], 403, f"reload by {group}")
    expect_equal(context.lab.weir_json("status")["engine"]["config"]["generation"], generation, "nothing was reloaded")
    status, text = _call(context, "POST", "/v1/reload", tokens["platform"], {"reason": "change 17"})
    expect_equal(status, 200, text)
    expect_equal(json.loads(text)["generation"], generation + 1, "reloaded")
    refused = _events(context, "refused")
    expect_equal([(act["by"]["subject"], act["object"], act["outcome"]) for act in refused[:3]],
                 [(f"user:{group}", "POST /v1/reload", "denied: role") for group in ("agents", "audit", "dba")], "the attempts")
    expect_equal(_call(context, "DELETE", "/v1/bindings", tokens["platform"])[0], 405, "an unknown method")
    time.sleep(0.5)
    for place in (context.env["WEIR_STATE"], context.env["WEIR_LOG"]):
        for folder, _, names in os.walk(place) if os.path.isdir(place) else [(os.path.dirname(place), [], [os.path.basename(place)])]:
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path):
                    with open(path, "rb") as file:
                        data = file.read()
                    for token in (*tokens.values(), forged):
                        expect(token[-40:].encode() not in data and token[:60].encode() not in data, f"a token stands in {path}")


@case("acts are sealed with the record: weir verify passes over them after a drain, and after a kill they are still there", seconds=120, spoils=True)
def acts_are_sealed(context):
    provider = _with_api(context)
    status, text = _call(context, "POST", "/v1/bindings/revoke", provider.token(groups=("platform",)), {"subject": "user:nobody-here", "reason": "killed after this"})
    expect_equal(status, 404, text)
    context.lab.gateway_kill()
    path = context.running
    context.running = None
    context.use(lambda _: path)
    act = _events(context, "revoke")[0]
    expect_equal((act["reason"], act["object"]), ("killed after this", "user:nobody-here"), "the act before the kill")
    expect_in("not-found", act["outcome"], "its outcome")
    context.lab.weir("reload", "--reason", "drained after this")
    context.stop()
    expect_equal(_events(context, "reload")[0]["reason"], "drained after this", "the act before the drain")
    done = context.lab.weir("verify", context.env["WEIR_STATE"], "--key", context.env["WEIR_PUBKEY"])
    expect_equal(done.returncode, 0, done.stdout[-600:] + done.stderr[-600:])


@case("tickets are for reviewers alone, over the API and on the socket; an answer to one that is not there stands on the record", spoils=True)
def tickets(context):
    provider = _with_api(context)
    reviewer, admin = provider.token(groups=("dba",)), provider.token(groups=("platform",))
    expect_equal(_call(context, "GET", "/v1/tickets", reviewer), (200, "[]\n"), "nothing waits")
    expect_equal(_call(context, "GET", "/v1/tickets/7", reviewer)[0], 404, "one that is not there")
    for verb in ("approve", "deny"):
        expect_equal(_call(context, "POST", f"/v1/tickets/7/{verb}", admin, {"reason": "no"})[0], 403, f"{verb} by an administrator")
        expect_equal(_call(context, "POST", f"/v1/tickets/7/{verb}", reviewer, {"reason": "CHG-7"})[0], 404, f"{verb} of none")
        act = _events(context, verb)[0]
        expect_equal((act["object"], act["reason"], act["by"]["role"]), ("ticket 7", "CHG-7", "reviewer"), "the act")
        done = context.lab.weir(verb, "7", "--reason", "CHG-8")
        expect_equal(done.returncode, 1, done.stderr)
        expect_equal(_events(context, verb)[0]["by"]["via"], "socket", "the act on the socket")
    expect_in("nothing waits for a reviewer", context.lab.weir("tickets").stdout, "weir tickets")
    state = os.stat(os.path.join(context.env["WEIR_STATE"], "store.db"))
    expect_equal((state.st_mode & 0o777, state.st_uid), (0o600, pwd.getpwnam("weir").pw_uid), "the store, which has the tickets")


@case("a flood over the API is answered with 429 and counted, and sessions go on", spoils=True)
def flood(context):
    provider = _with_api(context, "  limits: {source_per_second: 2, burst: 5}\n")
    answers = [_call(context, "GET", "/v1/health")[0] for _ in range(30)]
    expect(answers.count(429) >= 5 and answers[0] == 200, f"the answers: {answers}")
    expect_equal(context.rows("select 1"), ["1"], "meanwhile")
    metrics = context.lab.run("gateway", ["curl", "-s", "http://127.0.0.1:9464/metrics"], check=True).stdout
    line = [text for text in metrics.splitlines() if text.startswith('weir_api_requests_total{result="limited-source"}')]
    expect(line and int(line[0].rsplit(" ", 1)[1]) >= 5, f"the counter: {line}")
    expect_not_in("Bearer", metrics, "the metrics")
    del provider
