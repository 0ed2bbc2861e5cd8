"""Who, proven on the wire: a token as the password, a client certificate; several identities at one address."""
import base64
import json
import os
import re
import socket
import struct
import subprocess
import time

from harness import case, expect, expect_equal, expect_in, revoke_ends
from npm import node_modules
from tokens import Provider
from weirlab import wait_until

OTHER = "198.18.1.3"        # A second address of the client's namespace, bound to nobody.
UNBOUND = "  static:\n    - {address: 198.18.1.77, subject: \"svc:nobody\", groups: [agents], reason: \"somebody else\", until: 2099-01-01T00:00:00Z}\n"


class Authority:
    """A CA for client certificates, by openssl; leaves as good or as bad as a case wants them."""

    def __init__(self, folder, name="wire CA"):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.key, self.certificate = os.path.join(folder, "ca.key"), os.path.join(folder, "ca.crt")
        self._run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.key, "-out", self.certificate,
                  "-days", "2", "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def _run(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)

    def leaf(self, name, san="URI:spiffe://lab.example/agents/report", usage="clientAuth", key_usage="critical,digitalSignature", days=1, ca="FALSE", start=None):
        key, request, certificate, extensions = (os.path.join(self.folder, f"{name}.{suffix}") for suffix in ("key", "csr", "crt", "ext"))
        self._run("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        with open(extensions, "w", encoding="utf-8") as file:
            file.write(f"basicConstraints=critical,CA:{ca}\nkeyUsage={key_usage}\nextendedKeyUsage={usage}\n" + (f"subjectAltName={san}\n" if san else ""))
        self._run("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-out", certificate, "-days", str(days), "-extfile", extensions)
        os.chmod(key, 0o600)
        return {"PGSSLCERT": certificate, "PGSSLKEY": key}


def _config(context, admit, *, certificates=None, token="tls", bound=False, handshake="10s", provider_url=None, jwks=True):
    """The lab's configuration with `admit`; nobody's address is bound, unless `bound`."""
    provider = context.provider

    def edit(text):
        keys = f"      jwks_file: {provider.write_jwks()}\n" if jwks else f"      ca_file: {context.folder}/idp-ca.crt\n      jwks_expire: 600s\n"
        issuer = (f"  issuers:\n    - name: lab-idp\n      url: {provider_url or provider.issuer}\n      audience: {provider.audience}\n{keys}"
                  f"      algorithms: [EdDSA, RS256]\n      clock_skew: 5s\n")
        if certificates:
            issuer += ("  certificates:\n    trust_domain: lab.example\n    subject: \"svc:{path}\"\n    groups:\n"
                       "      - {name: \"/agents/*\", groups: [agents]}\n")
        static = re.search(r"  static:\n(    - .*\n)+", text).group(0)
        text = text.replace(static, issuer + (static if bound else UNBOUND), 1)
        text = text.replace("    unbound: explain\n", f"    unbound: explain\n    admit: {admit}\n" + (f"    wire_token: {token}\n" if token != "tls" else ""), 1)
        if certificates:
            text = text.replace("    tls:\n      to_client:", f"    tls:\n      client_ca_file: {certificates}\n      to_client:", 1)
        return text.replace("handshake: 10s", f"handshake: {handshake}")
    name = f"wire-{admit}-{bool(certificates)}-{token}-{bound}-{handshake}-{jwks}"
    return lambda _: context.lab.config_variant(name, edit)


def _gateway(context, admit="credential", **options):
    context.provider = Provider(os.path.join(context.folder, "idp"))
    context.use(_config(context, admit, **options))
    context.lab.run("client", ["ip", "addr", "replace", f"{OTHER}/24", "dev", "eth0"], check=True)
    return context.provider


def _psql(context, *statements, password=None, sslmode="require", other=False, env=None, user=None, timeout=30):
    """psql with that password; from the second address with `other`."""
    full = {**context.lab.client_env(sslmode=sslmode, user=user), **(env or {})}
    full.pop("PGPASSFILE", None)
    full["PGPASSWORD"] = password if password is not None else "none"
    words = " ".join(f"-c {json.dumps(s)}" for s in statements)
    route = f"ip route replace {context.env['TARGET_IP']} via 198.18.1.1 src {OTHER}; " if other else ""
    back = f"ip route del {context.env['TARGET_IP']}; " if other else ""
    return context.lab.run("client", ["sh", "-c", f"{route}psql -X -q -A -t -v VERBOSITY=verbose {words}; code=$?; {back}exit $code"], env=full, timeout=timeout)


def _refused(context, words, **how):
    done = _psql(context, "select 1", **how)
    expect(done.returncode != 0, f"it was let in: {done.stdout}")
    expect_in(words, done.stderr, "the words")
    return done.stderr


def _alerts(context, session):
    return [line for line in context.replay(session) if line["kind"] == "alert"]


def _metric(context, result):
    page = context.lab.run("gateway", ["curl", "-s", "http://127.0.0.1:9464/metrics"]).stdout
    found = re.search(rf'^weir_wire_credentials_total{{result="{result}"}} (\d+)', page, re.MULTILINE)
    return int(found.group(1)) if found else 0


def _never_on_disk(context, token):
    """No part of the token stands in the journal, the archives, or the target's log."""
    signature = token.rsplit(".", 1)[1].encode()
    for folder, _, files in os.walk(context.lab.folder):
        if os.path.basename(folder) in ("e2e", "idp"):
            continue
        for name in files:
            path = os.path.join(folder, name)
            if "/e2e/" in path or not os.path.isfile(path):
                continue
            with open(path, "rb") as file:
                expect(signature not in file.read(), f"{path} holds the token's signature")


@case("a token as the password admits who it names, with sslmode=require and verify-full; it is nowhere on disk", config=None, seconds=120, spoils=True)
def token(context):
    provider = _gateway(context)
    held = provider.token("RS256", subject="user:ann")
    before = context.session_ids()
    done = _psql(context, "select host(inet_client_addr()), current_user", password=held)
    expect_equal((done.returncode, done.stdout.strip()), (0, f"{context.env['CLIENT_IP']}|orders_app"), done.stderr)
    env = {"PGHOST": "orders-db.lab.example", "PGHOSTADDR": context.env["TARGET_IP"], "PGSSLROOTCERT": os.path.join(context.lab.folder, "keys", "ca.crt")}
    full = _psql(context, "select 1", password=held, sslmode="verify-full", env=env)
    expect_equal(full.returncode, 0, full.stderr)
    sealed = context.sealed_since(before)[-1]
    expect_equal(sealed["subject"], "user:ann", "the session's subject")
    identified = [line for line in context.replay(sealed) if line["kind"] == "identified"]
    facts = json.loads(identified[0]["text"])
    expect_equal((facts["proof"], facts["assurance"]), ("token", "credential"), "what is on the record")
    _never_on_disk(context, held)


@case("node pg proves itself by a token", config=None, seconds=120, spoils=True)
def node(context):
    provider = _gateway(context)
    env = {**context.lab.client_env(), "NODE_PATH": node_modules("pg@8"), "PGPASSWORD": provider.token(subject="user:ann")}
    env.pop("PGPASSFILE", None)
    program = "const {Client}=require('pg');(async()=>{const c=new Client({ssl:{rejectUnauthorized:false}});await c.connect();console.log((await c.query('select $1::int+1 as n',[41])).rows[0].n);await c.end()})().catch(e=>{console.error(e.message);process.exit(1)})"
    done = context.lab.run("client", ["node", "-e", program], env=env)
    expect_equal((done.returncode, done.stdout.strip()), (0, "42"), done.stderr)


@case("on a leg without TLS nobody is asked for a token: the client is told to use TLS, and the target hears nothing", config=None, seconds=120, spoils=True)
def plain(context):
    provider = _gateway(context)
    mark = context.lab.log_mark()
    asked = context.wire(login=False)
    with asked:
        body = struct.pack("!I", 196608) + b"user\0orders_app\0database\0shop\0\0"
        asked.socket.sendall(struct.pack("!I", len(body) + 4) + body)
        first = asked.socket.recv(1)
    expect_equal(first, b"E", "an error comes, and no request for a password")
    _refused(context, "over TLS", password=provider.token(), sslmode="disable")
    time.sleep(0.2)
    expect(context.env["CLIENT_IP"] not in context.lab.log_since(mark), "the target saw the connection")


@case("tokens that do not hold are refused with words, each an alert on the record: expired, altered, foreign, none, HMAC, garbage, empty", seconds=120, config=None, spoils=True)
def bad(context):
    provider = _gateway(context)
    stranger = Provider(os.path.join(context.folder, "stranger"))
    now = int(time.time())
    mark, before, counted = context.lab.log_mark(), context.session_ids(), _metric(context, "token")
    bad_ones = {"expired": provider.token(exp=now - 60), "audience": provider.token(aud="somebody-else"), "issuer": provider.token(iss="https://evil.example"),
                "none": provider.token(header={"alg": "none"}, signed=False), "HMAC": provider.token(header={"alg": "HS256"}),
                "foreign": stranger.token(), "garbage": "garbage", "binary": "\x01\x02\x7f", "dots": "..", "huge": "eyJ" + "a" * 30000 + ".b.c"}
    for name, held in bad_ones.items():
        stderr = _refused(context, "token", password=held)
        expect_in("wire-credential", stderr, name)
    sealed = context.sealed_since(before, len(bad_ones))
    for session in sealed:
        alerts = _alerts(context, session)
        expect_equal([(alert["rule"], alert["reason"]) for alert in alerts], [("wire-credential", "token")], "the alert")
        expect_equal(session["subject"], "", "nobody's session")
    expect_equal(_metric(context, "token") - counted, len(bad_ones), "the metric")
    wait_until("who is told of alerts is told of these", lambda: any(each["rule"] == "wire-credential" and each["count"] >= len(bad_ones)
                                                                     for each in context.lab.weir_json("alerts", "list")), 10, 0.2)
    expect(context.env["CLIENT_IP"] not in context.lab.log_since(mark), "the target saw one of them")


def _in_memory(context, token):
    """Where the engine's memory holds the token's signature."""
    signature, found = token.rsplit(".", 1)[1].encode(), []
    pid = context.lab.weir_json("status")["engine"]["pid"]
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            place, rights = line.split()[:2]
            start, end = (int(part, 16) for part in place.split("-"))
            if not rights.startswith("rw") or "[vvar]" in line:
                continue
            for at in range(start, end, 1 << 24):
                try:
                    memory.seek(at)
                    data = memory.read(min(1 << 24, end - at) + len(signature))
                except OSError:
                    continue
                if signature in data:
                    found.append(f"{at + data.index(signature):x} in {line.strip()}")
    return found


@case("no part of a token stays in the engine's memory once it was looked at: taken or refused, over TLS or in the clear", config=None, spoils=True, seconds=150)
def not_in_memory(context):
    for token, sslmode in (("tls", "require"), ("plain", "disable")):
        provider = _gateway(context, token=token)
        taken, refused = provider.token(subject="user:ann"), provider.token(subject="user:bob", exp=int(time.time()) - 60)
        env = {**context.lab.client_env(sslmode=sslmode), "PGPASSWORD": taken}
        env.pop("PGPASSFILE", None)
        running = "select count(*) from pg_stat_activity where query like '%pg_sleep(299)%' and state = 'active' and usename = 'orders_app'"
        live = context.lab.start("client", ["psql", "-X", "-q", "-c", "select pg_sleep(299)"], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        wait_until("the statement runs", lambda: context.lab.superuser(running) == "1", 15)
        expect_equal(_in_memory(context, taken), [], f"{sslmode}: the token of a session that lives")
        _refused(context, "token", password=refused, sslmode=sslmode)
        expect_equal(_in_memory(context, refused), [], f"{sslmode}: a token that was refused")
        revoke_ends(context, "user:ann", live)
        expect_equal(_in_memory(context, taken), [], f"{sslmode}: the token of a session that ended")


@case("two identities at one address: own grants, own sessions; revoking one cuts it alone, with its statement", config=None, spoils=True, seconds=150)
def two(context):
    provider = _gateway(context)
    ann, bob = provider.token(subject="user:ann"), provider.token(subject="user:bob", groups=("strangers",))
    carl = provider.token(subject="user:carl")
    expect_in("no-grant", _psql(context, "select 1", password=bob).stderr, "bob has no grant, though ann at the same address has")
    env = {**context.lab.client_env(sslmode="require")}
    env.pop("PGPASSFILE", None)
    running = "select count(*) from pg_stat_activity where query like '%pg_sleep(300)%' and state = 'active' and usename = 'orders_app'"
    slow = "select pg_sleep(300)"
    first = context.lab.start("client", ["psql", "-X", "-q", "-c", slow], env={**env, "PGPASSWORD": ann}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    second = context.lab.start("client", ["psql", "-X", "-q", "-c", slow], env={**env, "PGPASSWORD": carl}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_until("both statements run", lambda: context.lab.superuser(running) == "2", 15)
    live = {row["subject"] for row in context.lab.weir_json("sessions", "--live")}
    expect_equal(live, {"user:ann", "user:carl"}, "the live subjects")
    revoke_ends(context, "user:ann", first)
    wait_until("one statement is cancelled at the target", lambda: context.lab.superuser(running) == "1", 5)
    expect(second.poll() is None, "the other identity's session lives")
    _refused(context, "revoked", password=ann)
    token_id = json.loads(base64.urlsafe_b64decode(carl.split(".")[1] + "=="))["jti"]
    expect_equal(context.lab.weir("revoke", token_id, "--reason", "by its token's id").returncode, 0, "by token id")
    second.communicate(timeout=10)
    expect_equal(_psql(context, "select 1", password=provider.token(subject="user:ann")).returncode, 0, "a fresh sign-in")


@case("a token that was used from one address is refused from another, also when it has bound one; and the other way round", seconds=120, config=None, spoils=True)
def replay(context):
    provider = _gateway(context)
    held = provider.token(subject="user:ann")
    expect_equal(_psql(context, "select 1", password=held).returncode, 0, "the first address")
    before = context.session_ids()
    _refused(context, "another address", password=held, other=True)
    alerts = _alerts(context, context.sealed_since(before)[0])
    expect_equal([alert["reason"] for alert in alerts if alert["rule"] == "wire-credential"], ["replayed"], "the alert")
    expect_equal([alert["text"] for alert in alerts if alert["rule"] == "impersonation"], ["token-replay"], "the alert of who passes for another")
    expect_equal(_psql(context, "select 1", password=held).returncode, 0, "the first address goes on")
    path = os.path.join(context.folder, "token")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(held)
    done = context.lab.weir("bind", "--address", OTHER, "--token-file", path)
    expect(done.returncode != 0, f"it bound another address: {done.stdout}")
    context.stop()
    context.use(_config(context, "credential"))
    _refused(context, "another address", password=held, other=True)


@case("admit: credential: a bound address alone is nobody; either: it is the floor, and a token replaces it", seconds=150, config=None, spoils=True)
def either(context):
    provider = _gateway(context, "credential", bound=True)
    _refused(context, "token", password=context.passwords["orders_app"])
    expect_equal(_psql(context, "select 1", password=provider.token(subject="user:ann")).returncode, 0, "a token")
    context.use(_config(context, "either", bound=True))
    before = context.session_ids()
    expect_equal(_psql(context, "select 1", password=context.passwords["orders_app"]).returncode, 0, "the floor, over TLS")
    expect_equal(_psql(context, "select 1", password=context.passwords["orders_app"], sslmode="disable").returncode, 0, "the floor, plain (SCRAM)")
    expect_equal(_psql(context, "select 1", password=provider.token(subject="user:ann")).returncode, 0, "a token")
    expect_equal(sorted(row["subject"] for row in context.sealed_since(before, 3)), ["svc:report-agent", "svc:report-agent", "user:ann"], "who they were")
    _refused(context, "token", password=provider.token(exp=int(time.time()) - 60))
    _refused(context, "neither a token nor the password", password="wrong")
    _refused(context, "token", password="wrong", other=True)
    _refused(context, "TLS", password=provider.token(subject="user:ann"), sslmode="disable", other=True)


@case("a client that proves nothing in time is reset, counted, and on the record", seconds=120, config=None, spoils=True)
def late(context):
    _gateway(context, handshake="2s")
    before, counted = context.session_ids(), _metric(context, "late")
    with context.lab.socket("client", socket.AF_INET) as silent:
        silent.settimeout(15)
        silent.connect((context.env["TARGET_IP"], 5432))
        started = time.monotonic()
        try:
            expect_equal(silent.recv(1), b"", "nothing is said to who said nothing")
        except ConnectionResetError:
            pass
        expect(time.monotonic() - started < 12, "it was ended in time")
    session = context.sealed_since(before)[0]
    expect_equal([alert["reason"] for alert in _alerts(context, session)], ["late"], "the alert")
    expect_equal(_metric(context, "late") - counted, 1, "the metric")


@case("a token's end ends its session with words, and what runs at the target", config=None, seconds=120, spoils=True)
def ended(context):
    provider = _gateway(context)
    held = provider.token(exp=int(time.time()) + 4)
    started = time.monotonic()
    done = _psql(context, "select pg_sleep(300)", password=held)
    expect(done.returncode != 0 and time.monotonic() - started < 12, f"it ended: {done.stdout}")
    expect_in("has ended", done.stderr, "the words")
    running = "select count(*) from pg_stat_activity where query like '%pg_sleep(300)%' and state = 'active' and usename = 'orders_app'"
    wait_until("the statement is cancelled at the target", lambda: context.lab.superuser(running) == "0", 5)


@case("a SPIFFE certificate is a workload's identity, without a password; the record has serial and fingerprint", config=None, seconds=120, spoils=True)
def spiffe(context):
    authority = Authority(os.path.join(context.folder, "wire-ca"))
    _gateway(context, certificates=authority.certificate)
    before = context.session_ids()
    done = _psql(context, "select current_user", env=authority.leaf("good"))
    expect_equal((done.returncode, done.stdout.strip()), (0, "orders_app"), done.stderr)
    sealed = context.sealed_since(before)[0]
    expect_equal(sealed["subject"], "svc:agents/report", "the subject")
    facts = json.loads([line for line in context.replay(sealed) if line["kind"] == "identified"][0]["text"])
    expect_equal((facts["proof"], facts["assurance"], facts["groups"]), ("certificate", "workload", ["agents"]), "the facts")
    expect_equal(len(facts["certificate"]["fingerprint"]), 64, "the fingerprint")
    expect_equal(context.lab.weir("revoke", facts["certificate"]["fingerprint"], "--reason", "lost").returncode, 0, "revoke by fingerprint")
    _refused(context, "revoked", env={"PGSSLCERT": os.path.join(authority.folder, "good.crt"), "PGSSLKEY": os.path.join(authority.folder, "good.key")})
    provider = context.provider
    expect_equal(_psql(context, "select 1", password=provider.token()).returncode, 0, "without a certificate a token does")


@case("certificates that do not hold are refused: two URIs, foreign trust domain, an authority's own, wrong usage, foreign CA", seconds=150, config=None, spoils=True)
def bad_certificates(context):
    authority = Authority(os.path.join(context.folder, "wire-ca"))
    stranger = Authority(os.path.join(context.folder, "stranger-ca"), "stranger CA")
    _gateway(context, certificates=authority.certificate)
    mark, counted = context.lab.log_mark(), _metric(context, "certificate")
    spiffe_id = "URI:spiffe://lab.example/agents/report"
    for name, leaf, words in (
            ("two", authority.leaf("two", san=f"{spiffe_id},URI:https://x.example/"), "URIs"),
            ("foreign", authority.leaf("foreign", san="URI:spiffe://other.example/agents/report"), "trust domain"),
            ("none", authority.leaf("none", san=None), "no URI"),
            ("authority", authority.leaf("authority", ca="TRUE", key_usage="critical,digitalSignature,keyCertSign"), "authority"),
            ("server", authority.leaf("server", usage="serverAuth"), ""),
            ("stranger", stranger.leaf("stranger"), "")):
        done = _psql(context, "select 1", env=leaf)
        expect(done.returncode != 0, f"{name} was let in")
        expect_in(words, done.stderr, name)
    wait_until("each is counted", lambda: _metric(context, "certificate") - counted == 6, 10)
    expect(context.env["CLIENT_IP"] not in context.lab.log_since(mark), "the target saw one of them")


@case("where certificates are the only proof, a client without one is refused in TLS", config=None, seconds=120, spoils=True)
def certificate_only(context):
    authority = Authority(os.path.join(context.folder, "wire-ca"))
    _gateway(context, certificates=authority.certificate, token="none")
    expect_equal(_psql(context, "select 1", env=authority.leaf("good")).returncode, 0, "with one")
    expect(_psql(context, "select 1", password=context.provider.token()).returncode != 0, "without one")
    _refused(context, "certificate", password="x", sslmode="disable")


@case("a login that the grant does not list is refused to who proved themselves, and is an alert", config=None, seconds=120, spoils=True)
def foreign_login(context):
    provider = _gateway(context)
    before = context.session_ids()
    done = _psql(context, "select 1", password=provider.token(groups=("people",)), user="report_ro")
    expect_in("grant", done.stderr, "the refusal")
    expect(_alerts(context, context.sealed_since(before)[0]), "an alert is on the record")


@case("a client cancels its own statement: a cancel request is of its address, and has no credential", config=None, seconds=120, spoils=True)
def cancel(context):
    provider = _gateway(context)
    env = {**context.lab.client_env(sslmode="require"), "PGPASSWORD": provider.token()}
    env.pop("PGPASSFILE", None)
    done = context.lab.run("client", ["sh", "-c", "timeout -s INT 2 psql -X -q -c 'select pg_sleep(20)'"], env=env, timeout=15)
    expect_in("canceling statement", done.stderr, f"psql's Ctrl-C (exit {done.returncode})")


@case("weir check: what cannot work is an error with its fix, what works is said", config=None, seconds=120, spoils=True)
def check(context):
    _gateway(context)
    path = context.lab.config_variant("wire-relay", lambda text: text.replace("    unbound: explain\n", "    unbound: explain\n    admit: credential\n", 1), "relay")
    done = context.lab.run("gateway", [context.env["WEIR"], "check", "--config", path])
    expect(done.returncode != 0, "relay with a credential on the wire")
    expect_in("login: inject", done.stdout + done.stderr, "the fix")
    said = json.dumps(context.lab.weir_json("status"))
    expect_in("token as the password over TLS", said, "the capability")
    expect_in("channel_binding", said, "what drivers must allow")
