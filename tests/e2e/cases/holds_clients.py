"""What is held, with the clients that people use: psql, node pg, and libpq in pipeline mode; approved, denied, late, cancelled,
left, approved twice, approved by who asked, and with other bytes."""
import json
import os
import re
import signal
import subprocess
import sys
import time

from cases.changes import _as_login
from cases.holds import APPROVALS, RULE, _answer, _tickets, _wait_ticket
from harness import case, expect, expect_equal, expect_in
from npm import node_modules
from tokens import Provider
from weirlab import wait_until

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROVIDERS = {}
CLIENTS = ("psql", "node pg", "libpq pipeline")
MORE = """  - {name: two, reviewers: {subjects: ["local:*"]}, min_reviewers: 2, deadline: 60s}
  - {name: tokens, reviewers: {groups: [agents]}, deadline: 60s}
"""


def _config(lab):
    """The approvals of holds.py and more, and an issuer whose tokens reviewers may show."""
    PROVIDERS[lab.folder] = provider = Provider(os.path.join(lab.folder, "idp-holds"))   # With keys of its own.
    jwks = provider.write_jwks()

    def edit(text):
        issuer = (f"  issuers:\n    - name: lab-idp\n      url: {provider.issuer}\n      audience: {provider.audience}\n"
                  f"      jwks_file: {jwks}\n      algorithms: [EdDSA, RS256]\n      clock_skew: 5s\n  static:")
        return re.sub(r"(?ms)^approvals:.*?(?=^\S)", "", text).replace("  static:", issuer, 1) + APPROVALS + MORE
    return lab.config_variant("holds-clients", edit)


class Held:
    """A client whose statement is held, and its ticket."""

    def __init__(self, context, client, approval="local", parameter=None):
        self.context, self.client = context, client
        self.word = "h" + os.urandom(6).hex()
        self.states = ("open", "expired") if approval == "short" else ("open",)
        context.extra_rules(RULE.format(word=self.word, approval=approval))
        context.lab.gateway_reload()
        self.start(f"select '{self.word}'")

    def start(self, statement):
        lab = self.context.lab
        env = {**lab.client_env(), "WEIR_TEST_SQL": statement, "PGPASSWORD": self.context.passwords[self.context.env["PGUSER"]]}
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        if self.client == "psql":
            self.process = lab.psql_start("select 'first'", statement, "select 'behind'", arguments=("-v", "ON_ERROR_STOP=0"))
        elif self.client == "node pg":
            self.process = lab.start("client", ["node", os.path.join(HERE, "held_client.cjs")], env={**env, "NODE_PATH": node_modules("pg@8")}, **options)
        else:
            self.process = lab.start("client", [sys.executable, os.path.join(HERE, "libpq_pipeline.py")], env=env, **options)
        self.ticket = _wait_ticket(self.context, self.word, self.states)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def end(self):
        """All that the client saw: text of psql, or the answers."""
        if self.client == "psql":
            text, _ = self.process.communicate(timeout=30)
            return text
        text, _ = self.process.communicate(timeout=30)
        expect_equal(self.process.returncode, 0, f"{self.client}: {text}")
        return json.loads(text.splitlines()[-1])

    def expect_rows(self):
        seen = self.end()
        if self.client == "psql":
            expect_equal([line for line in seen.splitlines() if line in ("first", self.word, "behind")], ["first", self.word, "behind"], f"what psql saw: {seen}")
            expect_in(f"ticket {self.ticket['number']}", seen, "the notice")
            return
        expect_equal((seen["first"], seen["held"], seen["behind"]), ({"rows": [["first"]]}, {"rows": [[self.word]]}, {"rows": [["behind"]]}), f"what {self.client} saw")
        expect(any(f"ticket {self.ticket['number']}" in notice for notice in seen["notices"]), f"the notices: {seen['notices']}")

    def expect_refused(self, code, words=""):
        seen = self.end()
        if self.client == "psql":
            expect_in(f"ERROR:  {code}", seen, "what psql saw")
            expect_in(words, seen, "the reason")
            expect("behind" in seen.splitlines(), f"what comes after it: {seen}")
            return
        expect_equal((seen["first"], seen["held"].get("code")), ({"rows": [["first"]]}, code), f"what {self.client} saw: {seen}")
        expect_in(words, seen["held"]["message"], "the reason")
        # In a pipeline what is behind an error is skipped up to the Sync.
        expect_equal(seen["behind"], {"code": "aborted"} if self.client == "libpq pipeline" else {"rows": [["behind"]]}, "what comes after it")


def _state(context, ticket):
    return {each["number"]: each["state"] for each in _tickets(context, "--all")}[ticket["number"]]


def _each_client(claim, **options):
    def register(function):
        for client in CLIENTS:
            case(f"{client}: {claim}", config=_config, spoils=True, seconds=240, **options)(lambda context, client=client: function(context, client))
        return function
    return register


@_each_client("a held command passes once it is approved, with what came before and behind it in order")
def approved(context, client):
    with Held(context, client) as held:
        time.sleep(0.5)
        expect(held.process.poll() is None, "it waits")
        expect_equal(_answer(context, "approve", held.ticket, "CHG-17").returncode, 0, "approve")
        held.expect_rows()


@_each_client("a denied command is refused with the reviewer's words, and the session goes on")
def denied(context, client):
    with Held(context, client) as held, context.target_never_sees(held.word):
        expect_equal(_answer(context, "deny", held.ticket, "not on a Friday").returncode, 0, "deny")
        held.expect_refused("42501", "not on a Friday")


@_each_client("nobody answers: the command is refused at its deadline, and a late approval is none")
def late(context, client):
    with Held(context, client, "short") as held, context.target_never_sees(held.word):
        held.expect_refused("42501", "expired")
        done = _answer(context, "approve", held.ticket)
        expect_equal(done.returncode, 4, f"a late approval: {done.stdout}{done.stderr}")
        expect_equal(_state(context, held.ticket), "expired", "the ticket")


@_each_client("the client's own cancel withdraws the ticket; it hears 57014, and an approval behind it is none")
def cancelled(context, client):
    with Held(context, client) as held, context.target_never_sees(held.word):
        held.process.send_signal(signal.SIGINT)
        wait_until("the ticket is withdrawn", lambda: _state(context, held.ticket) == "withdrawn", 10, 0.1)
        expect_equal(_answer(context, "approve", held.ticket).returncode, 4, "an approval of what was cancelled")
        if client == "psql":
            expect_in("ERROR:  57014", held.end(), "what psql saw")   # It ends with the command that was cancelled.
        else:
            held.expect_refused("57014")


@_each_client("a client that is killed withdraws its ticket, and an approval behind it is none")
def left(context, client):
    with Held(context, client) as held, context.target_never_sees(held.word):
        held.process.kill()
        wait_until("the ticket is withdrawn", lambda: _state(context, held.ticket) == "withdrawn", 10, 0.1)
        expect_equal(_answer(context, "approve", held.ticket).returncode, 4, "an approval of what nobody waits for")


@_each_client("where two must approve, one who does so twice is one; a second reviewer lets it pass, a third is too late")
def approved_twice(context, client):
    with Held(context, client, "two") as held:
        number = str(held.ticket["number"])
        mark = context.lab.log_mark()
        expect_equal(_as_login(context, 4001, "approve", number, "--reason", "one").returncode, 0, "the first")
        again = _as_login(context, 4001, "approve", number, "--reason", "again")
        expect_equal(again.returncode, 1, f"the same once more: {again.stdout}{again.stderr}")
        time.sleep(0.5)
        expect(held.process.poll() is None and held.word not in context.lab.log_since(mark), "one approval of two")
        expect_equal(_as_login(context, 4002, "approve", number, "--reason", "two").returncode, 0, "the second")
        held.expect_rows()
        expect_equal(_as_login(context, 4003, "approve", number, "--reason", "three").returncode, 4, "the third")


@_each_client("who asked for it cannot approve it, also with a token that holds a reviewer's group")
def own_request(context, client):
    provider = PROVIDERS[context.lab.folder]
    with Held(context, client, "tokens") as held, context.target_never_sees(held.word):
        def by(subject):
            return context.lab.run("gateway", [context.env["WEIR"], "approve", str(held.ticket["number"]), "--reason", "mine", "--token-file", "-", "--config", context.env["WEIR_CONFIG"]],
                                   input=provider.token(subject=subject, groups=("agents",)) + "\n")
        own = by("svc:report-agent")
        expect_equal(own.returncode, 4, own.stdout + own.stderr)
        expect_in("your own", own.stderr, "why not")
        expect_equal(_answer(context, "approve", held.ticket).returncode, 4, "somebody in no group")
        expect(held.process.poll() is None, "it still waits")
        expect_equal(_answer(context, "deny", held.ticket).returncode, 4, "somebody in no group")
        held.process.kill()


@_each_client("an approval is for those bytes: others have a ticket and a digest of their own, which nobody approved")
def other_bytes(context, client):
    with Held(context, client) as held:
        first = held.ticket
        expect_equal(_answer(context, "approve", first).returncode, 0, "approve")
        held.expect_rows()
        mark = context.lab.log_mark()
        held.start(f"select  '{held.word}'")
        expect(held.ticket["number"] != first["number"] and held.ticket["digest"] != first["digest"], "a space more is another command")
        expect_equal(_answer(context, "approve", first).returncode, 4, "the old ticket")
        time.sleep(0.3)
        expect(held.word not in context.lab.log_since(mark), "it waits for its own approval")
        expect_equal(_answer(context, "deny", held.ticket, "another one").returncode, 0, "deny")
        held.expect_refused("42501", "another one")
