"""Signing in at a real OpenID provider: device flow, client credentials, key rotation, and a provider that is down."""
import json
import os
import re
import shutil
import subprocess
import time

from cases.identities import OTHER, _from_other as from_other, bind
from harness import case, expect, expect_equal, expect_in, expect_not_in
from oidc import AGENT, AGENT_SECRET, ISSUER, Browser, Provider, make_certificate
from pgwire import Wire
from weirlab import REPOSITORY, wait_until

API, API_PORT = "198.18.1.1", 9444      # The gateway as the client sees it.


def _config(context, refresh="10m", expire="1h"):
    """The lab's gateway, with the provider as its only issuer."""
    ca = os.path.join(context.folder, "provider", "ca.crt")

    def edit(text):
        return text.replace("  static:", f"""  issuers:
    - name: lab-idp
      url: {ISSUER}
      ca_file: {ca}
      audience: weir-lab
      algorithms: [ES256]
      clock_skew: 0s
      jwks_refresh: {refresh}
      jwks_expire: {expire}
      claims: {{groups: realm_access.roles}}
      workload: {{claim: gty, values: [client-credentials]}}
      login: {{client_id: weir-cli, flows: [device], scopes: [openid, groups]}}
  static:""", 1)
    return lambda _: context.lab.config_variant("signin", edit)


def _ready(context, **times):
    """The gateway serves and has the provider's keys; the second client address is there and unbound."""
    context.stop()
    context.use(_config(context, **times))
    context.lab.run("client", ["ip", "addr", "replace", f"{OTHER}/24", "dev", "eth0"], check=True)
    context.lab.weir("revoke", OTHER, "--reason", "a new case")  # There may be none.


def _issuer(context):
    return context.lab.weir_json("status")["issuers"][0]


def _bound(context, token, subject=AGENT):
    done = bind(context, token)
    expect_equal(done.returncode, 0, done.stderr)
    expect_in(subject, done.stdout, "who is bound")


def _wire_from_other(context):
    def make(family):
        made = context.lab.socket("client", family)
        made.bind((OTHER, 0))
        return made
    wire = Wire(make, (context.env["TARGET_IP"], int(context.env["TARGET_PORT"])))
    user = context.env["PGUSER"]
    wire.login(user, context.passwords[user], context.env["PGDATABASE"])
    return wire


def _refused(context, token, code, *words):
    done = bind(context, token)
    expect_equal(done.returncode, code, f"the exit code: {done.stdout}{done.stderr}")
    for word in words:
        expect_in(word, done.stderr, "why")


@case("weir login: a person signs in at a real provider by the device flow, and their address is bound", spoils=True)
def device_flow(context):
    with Provider(context) as provider:
        _ready(context)
        login = context.lab.start("gateway", [context.env["WEIR"], "login", "--json", "--issuer", "lab-idp", "--address", OTHER, "--config", context.env["WEIR_CONFIG"]],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            shown = json.loads(login.stdout.readline() or login.stderr.read())
            expect_equal((shown["address"], shown["issuer"]), (OTHER, "lab-idp"), "what is to be bound")
            expect_equal(from_other(context, "select 1").returncode, 2, "before the sign-in")
            Browser(provider).sign_in(shown["verification_uri"], shown["user_code"], "user:alice")
            out, err = login.communicate(timeout=20)
        finally:
            login.kill()
            login.wait(10)
        expect_equal(login.returncode, 0, err)
        bound = json.loads(out)
        expect_equal((bound["subject"], bound["address"], bound["assurance"], bound["groups"]), ("user:alice", OTHER, "network", ["agents"]), "the binding")
        before = context.session_ids()
        answer = from_other(context, "select 1")
        expect_equal((answer.returncode, answer.stdout.strip()), (0, "1"), answer.stderr)
        expect_equal(context.sealed_since(before)[0]["subject"], "user:alice", "the session's subject")


@case("scripts/weir-agent-token: an agent with client credentials binds its own address, as a workload, and its secret is in no command line", spoils=True)
def agent(context):
    with Provider(context) as provider:
        _ready(context)
        make_certificate(provider.folder, "api", API)
        secret, log = os.path.join(context.folder, "agent.secret"), os.path.join(context.folder, "api.log")
        with open(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(AGENT_SECRET + "\n")
        helper = ["sh", os.path.join(REPOSITORY, "scripts", "weir-agent-token"), "--gateway", f"{API}:{API_PORT}", "--ca", provider.ca]
        credentials = ["--issuer", ISSUER, "--issuer-ca", provider.ca, "--client-id", AGENT, "--client-secret-file", secret, "--scope", "db"]
        stub = context.lab.start("gateway", ["python3", os.path.join(REPOSITORY, "tests", "e2e", "bindings_stub.py"), API, str(API_PORT), provider.folder, log,
                                             context.env["WEIR"], context.env["WEIR_CONFIG"]], stdout=subprocess.PIPE, text=True)
        route = [API, "dev", "eth0", "src", OTHER]
        # A curl that notes its command line, as a listing of processes would show it.
        tools, lines = os.path.join(context.folder, "tools"), os.path.join(context.folder, "command-lines")
        os.makedirs(tools, exist_ok=True)
        with open(os.open(os.path.join(tools, "curl"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o755), "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\nprintf "%s\\n" "$@" >>{lines}\nexec {shutil.which("curl")} "$@"\n')

        def present(*source):
            return context.lab.run("client", [*helper, *source, "--once"], env={"PATH": f"{tools}:{os.environ['PATH']}"})
        try:
            context.lab.run("client", ["ip", "route", "replace", *route], check=True)
            expect_equal(stub.stdout.readline(), "ready\n", "the stub")
            done = present(*credentials)
            expect_equal(done.returncode, 0, done.stderr)
            expect_in(f"{OTHER} is {AGENT}, binding", done.stderr, "what it says")
            bound = [b for b in context.lab.weir_json("bindings") if b["address"] == OTHER][0]
            expect_equal((bound["subject"], bound["assurance"], bound["groups"]), (AGENT, "workload", ["agents"]), "the binding")
            before = context.session_ids()
            expect_equal(from_other(context, "select 1").returncode, 0, "a session")
            opened = context.replay(context.sealed_since(before)[0])[0]
            expect_in("svc:scheduler", json.dumps(opened), "for whom it acts")
            _agent_failures(context, provider, secret, credentials, present)
            _agent_refresh(context, [*helper, *credentials, "--every", "1"], secret, log)
        finally:
            context.lab.run("client", ["ip", "route", "del", *route])
            stub.kill()
            stub.wait(10)
        with open(lines, encoding="utf-8") as file:
            shown = file.read()
        expect_in("/token", shown, "the command lines that were noted")
        for part in (AGENT_SECRET, "".join(f"%{byte:02x}" for byte in AGENT_SECRET.encode()), "eyJ", "Bearer"):
            expect_not_in(part, shown, "command lines")


def _agent_failures(context, provider, secret, credentials, present):
    token = os.path.join(context.folder, "projected")

    def put(text):
        with open(token, "w", encoding="utf-8") as file:
            file.write(text)
    put(provider.agent_token() + "\n")
    expect_equal(present("--token-file", token).returncode, 0, "a projected token")
    put(provider.agent_token(resource="urn:other"))
    done = present("--token-file", token)
    expect_equal(done.returncode, 1, f"for somebody else: {done.stderr}")
    expect_in("refuses: HTTP status 403", done.stderr, "why")
    os.chmod(secret, 0o644)
    done = present(*credentials)
    expect_equal(done.returncode, 2, f"a secret that others can read: {done.stderr}")
    os.chmod(secret, 0o600)
    with open(secret, "w", encoding="utf-8") as file:
        file.write("not the secret")
    done = present(*credentials)
    expect_equal(done.returncode, 1, f"a wrong secret: {done.stderr}")
    expect_in("invalid_client", done.stderr, "why")
    expect_not_in("not the secret", done.stderr, "what it says")


def _agent_refresh(context, command, secret, log):
    """Without --once it presents a new token again and again, also after a time without a right secret."""
    def bound():
        with open(log, encoding="utf-8") as file:
            return [json.loads(line)["id"] for line in file if '"status": 201' in line]
    before = len(bound())
    process = context.lab.start("client", command, stderr=subprocess.PIPE, text=True)
    try:
        expect_in("invalid_client", process.stderr.readline(), "with a wrong secret")
        with open(secret, "w", encoding="utf-8") as file:
            file.write(AGENT_SECRET)
        wait_until("it binds again and again", lambda: len(bound()) >= before + 3, 20, 0.1)
        ids = bound()[before:]
        expect_equal(len(set(ids)), 1, f"a renewal keeps its binding: {ids}")
    finally:
        process.kill()
        process.wait(10)


@case("tokens of a real provider that are for somebody else, or over, are refused", spoils=True)
def bad_tokens(context):
    with Provider(context) as provider:
        _ready(context)
        _refused(context, provider.agent_token(resource="urn:other"), 4, "not meant for weir-lab")
        short = provider.agent_token("svc:short-agent")
        time.sleep(2.1)
        _refused(context, short, 4, "expired")
        _bound(context, provider.agent_token())


@case("a provider's keys change in the middle of a session: it goes on, the new key's tokens bind, the old key's do not", spoils=True)
def rotation(context):
    with Provider(context) as provider:
        _ready(context)
        old = [provider.agent_token(), provider.agent_token()]
        _bound(context, old[0])
        expect_equal(_issuer(context)["fetches"], 1, "fetches so far")
        with _wire_from_other(context) as wire:
            expect_equal(wire.query("select 1").values(), [("1",)], "before")
            provider.rotate("second")
            # The token names a key that the gateway has not seen: it asks the provider, at once.
            _bound(context, provider.agent_token())
            expect_equal(_issuer(context)["fetches"], 2, "fetches after the change")
            expect_equal(from_other(context, "select 1").returncode, 0, "the new binding")
            expect_equal(wire.query("select 2").values(), [("2",)], "the session that was open")
            _refused(context, old[1], 4, "its key (kid) is not in the key set of lab-idp")
            # Tokens do not decide how often the provider is asked.
            expect_equal(_issuer(context)["fetches"], 2, "fetches after an old token")


@case("a provider that is down: bindings live on, new ones are refused with words, and it is over once the provider is back", spoils=True)
def down(context):
    with Provider(context) as provider:
        _ready(context, refresh="1s", expire="2s")
        token = provider.agent_token()
        _bound(context, provider.agent_token())
        expect_equal(from_other(context, "select 1").returncode, 0, "while it is up")
        provider.stop()
        wait_until("a fetch has failed", lambda: _issuer(context)["error"], 10, 0.1)
        time.sleep(2.1)  # Now the keys are too old.
        _refused(context, token, 3, "lab-idp", ISSUER, "cannot be fetched again", "Connection refused", "bindings that exist live to their end", "weir status")
        expect_in("Connection refused", _issuer(context)["error"], "weir status")
        expect_equal(from_other(context, "select 1").returncode, 0, "while it is down")
        provider.start()
        wait_until("its tokens bind again", lambda: bind(context, token).returncode == 0, 20, 0.1)
        wait_until("the last error is gone", lambda: _issuer(context)["error"] == "", 5)


@case("a gateway starts without its provider, and says what is missing; a reload keeps the keys it has", spoils=True)
def started_without(context):
    provider = Provider(context)
    provider.make_key("first")
    try:
        _ready(context)
        metrics = context.lab.run("gateway", ["curl", "-s", "http://127.0.0.1:9464/metrics"], check=True).stdout
        expect(re.search(r'weir_issuer_failures_total\{issuer="lab-idp"\} [1-9]', metrics), "the metric of failed fetches")
        provider.start()
        token = provider.agent_token()
        wait_until("the first keys", lambda: _issuer(context)["keys"] == 1, 20, 0.1)
        fetches = _issuer(context)["fetches"]
        provider.stop()
        context.lab.gateway_reload()
        expect_equal((_issuer(context)["keys"], _issuer(context)["fetches"]), (1, fetches), "the keys after a reload")
        _bound(context, token)
    finally:
        provider.stop()
