"""Who: static bindings, bindings from a verified token, and what an unbound address is told."""
import base64
import json
import os
import re
import socket
import struct
import subprocess
import time

from harness import case, expect, expect_equal, expect_in, revoke_ends
from pgwire import WireError, query
from tokens import Provider
from weirlab import wait_until

OTHER = "198.18.1.3"        # A second address of the client's namespace, bound to nobody by the configuration.



def _issuer_config(context, provider):
    def edit(text):
        issuer = (f"  issuers:\n    - name: lab-idp\n      url: {provider.issuer}\n      audience: {provider.audience}\n"
                  f"      jwks_file: {provider.write_jwks()}\n      algorithms: [EdDSA, RS256]\n      clock_skew: 5s\n  static:")
        return text.replace("  static:", issuer, 1)
    return lambda _: context.lab.config_variant("issuer", edit)


def _with_provider(context):
    """A gateway that knows a provider; the second client address is there and unbound."""
    provider = Provider(os.path.join(context.folder, "idp"))
    context.use(_issuer_config(context, provider))
    context.lab.run("client", ["ip", "addr", "replace", f"{OTHER}/24", "dev", "eth0"], check=True)
    context.lab.weir("revoke", OTHER, "--reason", "a new case")  # Bindings outlive the engine; there may be none.
    return provider


def _from_other(context, *statements):
    """psql from the second address: libpq takes the source from the route."""
    env = context.lab.client_env()
    route = f"ip route replace {context.env['TARGET_IP']} via 198.18.1.1 src {OTHER}"
    back = f"ip route del {context.env['TARGET_IP']}"
    words = " ".join(f"-c {json.dumps(s)}" for s in statements)
    return context.lab.run("client", ["sh", "-c", f"{route}; psql -X -q -A -t -v VERBOSITY=verbose {words}; code=$?; {back}; exit $code"], env=env)


def bind(context, token, address=OTHER):
    path = os.path.join(context.folder, "token")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(token)
    return context.lab.weir("bind", "--address", address, "--token-file", path)


@case("an unbound address is told so in the protocol's own words, and the target hears nothing of it", spoils=True)
def unbound(context):
    _with_provider(context)
    mark = context.lab.log_mark()
    done = _from_other(context, "select 1")
    expect_equal(done.returncode, 2, f"psql's exit code: {done.stdout}")
    expect_in(OTHER, done.stderr, "the explanation names the address")
    expect(OTHER not in context.lab.log_since(mark), "the target saw the connection")


def _token_case(algorithm):
    @case(f"weir bind with a verified token ({algorithm}) admits the address as that subject", spoils=True)
    def check(context):
        provider = _with_provider(context)
        done = bind(context, provider.token(algorithm, subject="user:alice"))
        expect_equal(done.returncode, 0, done.stderr)
        before = context.session_ids()
        answer = _from_other(context, "select host(inet_client_addr())")
        expect_equal((answer.returncode, answer.stdout.strip()), (0, OTHER), answer.stderr)
        expect_equal(context.sealed_since(before)[0]["subject"], "user:alice", "the session's subject")


_token_case("EdDSA")
_token_case("RS256")


@case("tokens that do not hold are refused: expired, wrong audience, wrong issuer, not yet valid, none, HMAC, foreign key, altered", spoils=True)
def bad_tokens(context):
    provider = _with_provider(context)
    stranger = Provider(os.path.join(context.folder, "stranger"))
    now = int(time.time())
    good = provider.token()
    head, body, signature = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    altered = base64.urlsafe_b64encode(json.dumps({**claims, "sub": "user:root"}).encode()).rstrip(b"=").decode()
    for name, token in {
        "expired": provider.token(exp=now - 60), "wrong audience": provider.token(aud="somebody-else"),
        "wrong issuer": provider.token(iss="https://evil.example"), "not yet valid": provider.token(nbf=now + 600),
        "algorithm none": provider.token(header={"alg": "none"}, signed=False), "HMAC": provider.token(header={"alg": "HS256"}),
        "foreign key": stranger.token(), "altered claims": f"{head}.{altered}.{signature}", "no signature": f"{head}.{body}.",
        "not a token": "hello", "empty": "",
    }.items():
        done = bind(context, token)
        expect(done.returncode != 0, f"{name} was accepted: {done.stdout}")
        expect_equal(_from_other(context, "select 1").returncode, 2, f"after {name}")


@case("a token's end ends its sessions: expiry is checked in the kernel too", seconds=90, spoils=True)
def expiry(context):
    provider = _with_provider(context)
    done = bind(context, provider.token(exp=int(time.time()) + 4))
    expect_equal(done.returncode, 0, done.stderr)
    expect_equal(_from_other(context, "select 1").returncode, 0, "while it is valid")
    wait_until("the address is unbound again", lambda: _from_other(context, "select 1").returncode == 2, 30, 0.5)


@case("a second identity on a bound address is refused", spoils=True)
def second_identity(context):
    provider = _with_provider(context)
    expect_equal(bind(context, provider.token(subject="user:alice")).returncode, 0, "the first")
    done = bind(context, provider.token(subject="user:bob"))
    expect(done.returncode != 0, f"the second was accepted: {done.stdout}")
    expect(bind(context, provider.token(subject="user:mallory"), address=context.env["CLIENT_IP"]).returncode != 0,
           "a static binding was taken over")


@case("revoking a binding cuts its live session in under a second, and the statement is cancelled at the target", spoils=True)
def revoked(context):
    provider = _with_provider(context)
    expect_equal(bind(context, provider.token(subject="user:alice")).returncode, 0, "bind")
    env = context.lab.client_env()
    script = (f"ip route replace {context.env['TARGET_IP']} via 198.18.1.1 src {OTHER}; "
              "psql -X -q -c 'select count(*) from generate_series(1, 3000000000)'; "
              f"ip route del {context.env['TARGET_IP']}")

    process = context.lab.start("client", ["sh", "-c", script], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    running = "select count(*) from pg_stat_activity where query like '%3000000000%' and state = 'active' and usename = 'orders_app'"
    wait_until("the statement runs", lambda: context.lab.superuser(running) == "1", 10)
    revoke_ends(context, "user:alice", process)
    wait_until("the statement is cancelled at the target", lambda: context.lab.superuser(running) == "0", 5)
    expect_equal(_from_other(context, "select 1").returncode, 2, "afterwards")


@case("a cancel request from another identity cancels nothing", spoils=True)
def foreign_cancel(context):
    provider = _with_provider(context)
    expect_equal(bind(context, provider.token(subject="user:bob")).returncode, 0, "bind")
    with context.wire() as wire:
        wire.send(query("select count(*) from generate_series(1, 5000000)"))

        other = context.lab.socket("client", socket.AF_INET)
        with other:
            other.settimeout(5)
            other.bind((OTHER, 0))
            other.connect((context.env["TARGET_IP"], 5432))
            other.sendall(struct.pack("!II", 16, 80877102) + wire.key)
            try:
                other.recv(1)
            except OSError:
                pass
        expect_equal(wire.read_reply().values(), [("5000000",)], "the running statement")


@case("the session's record names the binding, the assurance and the request that it belongs to")
def on_record(context):
    before = context.session_ids()
    context.rows("/*traceparent='00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'*/ select 1", app="ticket-4711")
    session = context.sealed_since(before)[0]
    opened = json.dumps(context.replay(session)[0])
    expect_in("static", opened, "the assurance")
    expect_in("svc:report-agent", opened, "the subject")
    expect(re.search("ticket-4711|4bf92f3577b34da6a3ce929d0e0e4736", json.dumps(context.replay(session))), "the request id")


@case("a refused login is on the record, and the session is closed with a reason")
def refused_login(context):
    before = context.session_ids()
    try:
        context.wire(password="not the password").socket.close()
        expect(False, "the wrong password was accepted")
    except WireError as error:
        expect_equal(error.fields["C"], "28P01", "the error")
    expect(context.sealed_since(before)[0]["reason"], "a reason")
