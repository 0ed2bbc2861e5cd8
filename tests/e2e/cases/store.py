"""What outlives the process: one gateway's file, a PostgreSQL that two gateways share, tickets over a restart."""
import json
import os
import re
import shutil
import sqlite3
import subprocess
import time

from cases.holds import APPROVALS, RULE, _answer, _tickets, _wait_ticket
from cases.identities import OTHER
from harness import case, expect, expect_equal, expect_in
from pgwire import query
from shared_store import SharedStore, second_lab, wait_health, with_store
from tokens import Provider
from weirlab import PATIENCE, wait_until

KEEP = """
  - {name: later, reviewers: {subjects: ["local:*"]}, deadline: 60s, at_restart: resume, if_client_leaves: keep}
  - {name: brief, reviewers: {subjects: ["local:*"]}, deadline: 8s, at_restart: resume, if_client_leaves: keep}
"""


def _edit(provider, admit="address"):
    """Approvals and an issuer."""
    def edit(text):
        issuer = (f"  issuers:\n    - name: lab-idp\n      url: {provider.issuer}\n      audience: {provider.audience}\n"
                  f"      jwks_file: {provider.write_jwks()}\n      algorithms: [EdDSA, RS256]\n      clock_skew: 5s\n  static:")
        text = re.sub(r"(?ms)^approvals:.*?(?=^\S)", "", text).replace("  static:", issuer, 1)
        text = text.replace("    unbound: explain\n", f"    unbound: explain\n    admit: {admit}\n", 1)
        return text + APPROVALS.rstrip() + KEEP
    return edit


def _provider(context):
    return Provider(os.path.join(context.folder, "idp"))


def _alone(context):
    """One gateway on its own file."""
    provider = _provider(context)
    context.use(lambda lab: lab.config_variant("kept", _edit(provider)))
    return provider


def _rule(lab, word, approval):
    with open(lab.env["EXTRA_RULES"], "w", encoding="utf-8") as file:
        file.write(RULE.format(word=word, approval=approval))
    lab.gateway_reload()


def _hold(context, approval):
    word = "h" + os.urandom(6).hex()
    context.extra_rules(RULE.format(word=word, approval=approval))
    context.lab.gateway_reload()
    return word


def _again(context, kept):
    context.running = None
    context.use(kept)


def _kept_config(context):
    provider = _provider(context)
    return lambda lab: lab.config_variant("kept", _edit(provider))


@case("what is bound and what was asked is in one private file, durable and readable; status and metrics name it", spoils=True, config=None)
def one_file(context):
    _alone(context)
    path = os.path.join(context.env["WEIR_STATE"], "store.db")
    expect_equal(os.stat(path).st_mode & 0o777, 0o600, "the mode")
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        kinds = {row[0] for row in database.execute("select kind from weir_store_item")}
        expect_equal(database.execute("pragma journal_mode").fetchone()[0], "wal", "the journal")
    expect_in("static_binding", kinds, "the kinds")
    status = context.lab.weir_json("status")
    expect_equal((status["store"]["name"], status["store"]["health"]), (path, "good"), "status")
    metrics = context.lab.run("gateway", ["curl", "-s", "http://127.0.0.1:9464/metrics"], check=True).stdout
    expect(re.search(r'weir_store_calls_total\{what="write"\} [1-9]', metrics), "the count of writes")
    expect_in("weir_store_healthy 1", metrics, "its health")


@case("a password in the store's url is a mistake that is told without it, and a damaged store is one that ends the start", spoils=True)
def mistakes(context):
    path = context.lab.config_variant("store-password", lambda text: text + '\nstore: "postgresql://weir:s3cretfake@db/weir"\n')
    done = context.lab.run("gateway", [context.env["WEIR"], "check", "--config", path])
    expect(done.returncode != 0, "weir check")
    expect_in("holds a password", done.stdout + done.stderr, "the words")
    expect("s3cretfake" not in done.stdout + done.stderr, "the password is shown")
    context.lab.gateway_stop()
    store = os.path.join(context.env["WEIR_STATE"], "store.db")
    for name in (store, store + "-wal", store + "-shm"):
        if os.path.exists(name):
            os.rename(name, name + ".away")
    with open(store, "w", encoding="utf-8") as file:
        file.write("not a database" * 100)
    shutil.chown(store, "weir", "weir")
    try:
        done = context.lab.run("gateway", ["bash", os.path.join(os.path.dirname(context.env["WEIR"]), "..", "..", "..", "scripts", "lab.sh"), "--name", context.lab.name, "gateway", "start"], timeout=90)
        expect(done.returncode != 0, "a start with a damaged store")
        with open(context.env["WEIR_LOG"], encoding="utf-8") as log:
            expect_in("store.db is damaged", log.read(), "the words")
    finally:
        context.lab.gateway_stop()
        for name in (store, store + "-wal", store + "-shm"):
            if os.path.exists(name):
                os.remove(name)
            if os.path.exists(name + ".away"):
                os.rename(name + ".away", name)
        context.running = None


def _resumed(name, end):
    @case(f"a ticket that is open when the gateway ends ({name}) is kept, and its approval lets the same command through once", seconds=120, spoils=True, config=None)
    def check(context):
        kept = _kept_config(context)
        context.use(kept)
        word = _hold(context, "later")
        with context.target_never_sees(word):
            with context.wire() as wire:
                wire.send(query(f"select '{word}'"))
                ticket = _wait_ticket(context, word)
                time.sleep(1)  # It is in the store soon, not at once.
                end(context)
            _again(context, kept)
            shown = context.lab.weir_json("tickets", str(ticket["number"]))
            expect_equal((shown["state"], shown["kept"]), ("open", True), "after the start")
            expect_equal(_answer(context, "approve", ticket, "CHG-18").returncode, 0, "approve")
            with context.wire() as wire:  # Another command is not that one.
                wire.send(query(f"select 2, '{word}'"))
                other = _wait_ticket(context, word)
                expect(other["number"] != ticket["number"], "other bytes got by")
                _answer(context, "deny", other)
                expect_equal(wire.read_reply().code, "42501", "other bytes")
        before = context.session_ids()
        with context.wire() as wire:
            expect_equal(wire.query(f"select '{word}'").values(), [(word,)], "the same command")
            wire.send(query(f"select '{word}'"))
            second = _wait_ticket(context, word)
            expect(second["number"] != ticket["number"], "an approval let two through")
            _answer(context, "deny", second)
            expect_equal(wire.read_reply().code, "42501", "the second time")
        notes = [event["text"] for event in context.replay(context.sealed_since(before)[0]) if event["kind"] == "note"]
        expect(any(f"ticket {ticket['number']} was approved by local:" in note and "CHG-18" in note for note in notes), f"the notes: {notes}")


_resumed("kill -9", lambda context: context.lab.gateway_kill())
_resumed("stop", lambda context: context.lab.gateway_stop())


@case("where the approval says deny, what is open at a stop, a kill and a start is never passed", seconds=120, spoils=True, config=None)
def denied_at_restart(context):
    kept = _kept_config(context)
    for end in (context.lab.gateway_stop, context.lab.gateway_kill):
        _again(context, kept)
        word = _hold(context, "local")
        with context.target_never_sees(word):
            with context.wire() as wire:
                wire.send(query(f"select '{word}'"))
                ticket = _wait_ticket(context, word)
                time.sleep(1)
                end()
            _again(context, kept)
            states = {t["number"]: t["state"] for t in _tickets(context, "--all")}
            expect(states[ticket["number"]] in ("denied", "withdrawn"), f"the ticket: {states[ticket['number']]}")
            expect(_answer(context, "approve", ticket).returncode != 0, "an approval after the restart")
            with context.wire() as wire:
                wire.send(query(f"select '{word}'"))
                other = _wait_ticket(context, word)
                expect(other["number"] != ticket["number"], "the old ticket")
                _answer(context, "deny", other)
                wire.read_reply()


@case("a client that leaves may come back for its answer until the deadline, and what is blocked meanwhile stays blocked", seconds=120, spoils=True, config=None)
def client_comes_back(context):
    kept = _kept_config(context)
    context.use(kept)
    word = _hold(context, "later")
    with context.wire() as wire:
        wire.send(query(f"select '{word}'"))
        ticket = _wait_ticket(context, word)
    wait_until("nobody waits", lambda: context.lab.weir_json("tickets", str(ticket["number"]))["kept"], 10, 0.1)
    with context.wire() as wire:  # Still open: who comes back waits on.
        wire.send(query(f"select '{word}'"))
        wait_until("somebody waits", lambda: not context.lab.weir_json("tickets", str(ticket["number"]))["kept"], 10, 0.1)
        _answer(context, "approve", ticket)
        expect_equal(wire.read_reply().values(), [(word,)], "the answer")
    word = _hold(context, "later")
    with context.target_never_sees(word):
        with context.wire() as wire:
            wire.send(query(f"select '{word}'"))
            ticket = _wait_ticket(context, word)
        wait_until("nobody waits", lambda: context.lab.weir_json("tickets", str(ticket["number"]))["kept"], 10, 0.1)
        expect_equal(_answer(context, "approve", ticket).returncode, 0, "approve")
        context.extra_rules(RULE.format(word=word, approval="later").replace("then: hold\n    approval: later", "then: block"))
        context.lab.gateway_reload()
        with context.wire() as wire:
            expect_equal(wire.query(f"select '{word}'").code, "42501", "approved, and closed meanwhile")
    word = _hold(context, "brief")
    with context.target_never_sees(word):
        with context.wire() as wire:
            wire.send(query(f"select '{word}'"))
            ticket = _wait_ticket(context, word)
        wait_until("nobody waits", lambda: context.lab.weir_json("tickets", str(ticket["number"]))["kept"], 10, 0.1)
        _answer(context, "approve", ticket)
        time.sleep(8.5)
        with context.wire() as wire:
            wire.send(query(f"select '{word}'"))
            other = _wait_ticket(context, word)
            expect(other["number"] != ticket["number"], "an approval after its deadline")
            _answer(context, "deny", other)
            wire.read_reply()


class Gateways:
    """Two gateways on one store; `one` is the lab's own."""

    def __init__(self, context, store, other, admit):
        self.context, self.store, self.one, self.other = context, store, context.lab, other
        self.provider = _provider(context)
        edit = with_store(_edit(self.provider, admit), store.section())
        # One machine behind both: a binding holds for its MAC.
        mac = json.loads(self.one.run("client", ["ip", "-j", "link", "show", "dev", "eth0"], check=True).stdout)[0]["address"]
        other.run("client", ["ip", "link", "set", "dev", "eth0", "address", mac], check=True)
        other.run("gateway", ["ip", "neigh", "flush", "dev", "veth-client"])
        context.use(lambda lab: lab.config_variant("shared", edit))
        other.gateway_start(other.config_variant("shared", edit))
        for lab in (self.one, other):
            lab.run("client", ["ip", "addr", "replace", f"{OTHER}/24", "dev", "eth0"], check=True)

    def bind(self, lab, token):
        path = os.path.join(self.context.folder, "token")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(token)
        return lab.weir("bind", "--address", OTHER, "--token-file", path)

    def psql(self, lab, statement):
        """From the second address; the exit code and what it printed."""
        route, back = f"ip route replace {lab.env['TARGET_IP']} via 198.18.1.1 src {OTHER}", f"ip route del {lab.env['TARGET_IP']}"
        return lab.run("client", ["sh", "-c", f"{route}; psql -X -q -A -t -c \"{statement}\"; code=$?; {back}; exit $code"], env=lab.client_env())


def _gateways(claim, seconds=240, admit="address"):
    def register(function):
        @case(claim, seconds=seconds, spoils=True, config=None)
        def check(context):
            store = SharedStore()
            try:
                with second_lab(context.lab) as other:
                    try:
                        function(Gateways(context, store, other, admit))
                    finally:
                        context.lab.gateway_stop()  # Before its store goes.
                        context.running = None
            finally:
                store.end()
        return check
    return register


@_gateways("bind on one gateway, use on the other; revoke on one, cut on the other within a second; a token binds one address over both")
def bindings_shared(two):
    expect(two.psql(two.other, "select 1").returncode != 0, "an unbound address got in")
    token = two.provider.token(subject="user:alice")
    expect_equal(two.bind(two.one, token).returncode, 0, "the bind")
    wait_until("the other lets them in", lambda: two.psql(two.other, "select 1").returncode == 0, 5, 0.1)
    expect_equal(two.bind(two.other, two.provider.token(subject="user:bob")).returncode == 0, False, "the address is somebody's")
    route = f"ip route replace {two.other.env['TARGET_IP']} via 198.18.1.1 src {OTHER}"
    two.other.run("client", ["sh", "-c", route], check=True)
    live = two.other.start("client", ["psql", "-X", "-q", "-A", "-t", "-c", "select pg_sleep(30)"], env=two.other.client_env(), stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
    try:
        running = "select count(*) from pg_stat_activity where query = 'select pg_sleep(30)' and state = 'active'"
        wait_until("the statement runs at the target", lambda: two.other.superuser(running) == "1", 10, 0.1)
        expect_equal(two.one.weir("revoke", "user:alice", "--reason", "a test").returncode, 0, "the revoke")
        before = time.monotonic()
        code = live.wait(timeout=10)
        took = time.monotonic() - before
        expect(code != 0 and took < 1.0 * PATIENCE, f"cut after {took:.2f} s, exit {code}")
        wait_until("the statement is gone from the target", lambda: two.other.superuser(running) == "0", 2, 0.05)
    finally:
        live.kill()
        live.wait()
        two.other.run("client", ["ip", "route", "del", two.other.env["TARGET_IP"]])
    expect(two.psql(two.other, "select 1").returncode != 0, "after the revoke")
    expect(two.bind(two.other, token).returncode != 0, "a revoked token bound again")


@_gateways("a token shown on the wire at one gateway is revoked at the other, which never saw it: its session is cut, its statement gone, and nobody takes it again", admit="either")
def wire_revoked_elsewhere(two):
    token = two.provider.token(subject="user:ann")
    env = {**two.other.client_env(sslmode="require"), "PGPASSWORD": token}
    env.pop("PGPASSFILE", None)
    live = two.other.start("client", ["psql", "-X", "-q", "-c", "select pg_sleep(31)"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        running = "select count(*) from pg_stat_activity where query = 'select pg_sleep(31)' and state = 'active'"
        wait_until("the statement runs at the target", lambda: two.other.superuser(running) == "1", 10, 0.1)
        done = two.one.weir("revoke", "user:ann", "--reason", "a test")
        expect_equal(done.returncode, 0, done.stderr)
        expect(live.wait(timeout=10) != 0, "the session went on")
        wait_until("the statement is gone from the target", lambda: two.other.superuser(running) == "0", 2, 0.05)
    finally:
        live.kill()
        live.wait()
    for lab in (two.other, two.one):
        refused = lab.run("client", ["psql", "-X", "-q", "-c", "select 1"], env={**lab.client_env(sslmode="require"), "PGPASSWORD": token, "PGPASSFILE": "/nonexistent"})
        expect(refused.returncode != 0, "a revoked token was taken")
        expect_in("revoked", refused.stderr, "why")


@_gateways("a command held at one gateway is listed, approved and denied at the other, each once")
def tickets_shared(two):
    context, word = two.context, "h" + os.urandom(6).hex()
    for lab in (two.one, two.other):
        _rule(lab, word, "local")

    def there(number, state):
        return wait_until(f"ticket {number} is {state} at the other", lambda: next((t for t in two.other.weir_json("tickets", "--all") if t["number"] == number and t["state"] == state), None), 5, 0.05)

    with context.wire() as wire:
        wire.send(query(f"select '{word}'"))
        ticket = _wait_ticket(context, word)
        shown = there(ticket["number"], "open")
        expect_equal((shown["statement"], shown["digest"], shown["gateway"]), (ticket["statement"], ticket["digest"], ticket["gateway"]), "what the other shows")
        done = two.other.weir("approve", str(ticket["number"]), "--reason", "CHG-19")
        expect_equal(done.returncode, 0, done.stdout + done.stderr)
        before = time.monotonic()
        expect_equal(wire.read_reply().values(), [(word,)], "released")
        expect(time.monotonic() - before < 1.5 * PATIENCE, "released late")
        expect(_answer(context, "approve", ticket).returncode != 0, "a second approval, at the first")
        expect(two.other.weir("approve", str(ticket["number"]), "--reason", "x").returncode != 0, "a second approval, at the other")
        with context.target_never_sees(word):
            wire.send(query(f"select '{word}'"))
            ticket = _wait_ticket(context, word)
            there(ticket["number"], "open")
            expect_equal(two.other.weir("deny", str(ticket["number"]), "--reason", "not today").returncode, 0, "deny")
            reply = wire.read_reply()
            expect_equal(reply.code, "42501", "denied at the other")
            expect_in("not today", reply.errors[0]["M"], "the reason")
            wire.send(query(f"select 3, '{word}'"))
            ticket = _wait_ticket(context, word)
    there(ticket["number"], "withdrawn")


@_gateways("a store that is away refuses new bindings and answers in words and lets the rest go on; back, all of it works again", seconds=300)
def store_away(two):
    context, word = two.context, "h" + os.urandom(6).hex()
    _rule(two.one, word, "local")
    expect_equal(two.bind(two.one, two.provider.token(subject="user:alice")).returncode, 0, "the bind")
    with context.wire() as wire, context.wire() as held:
        held.send(query(f"select '{word}'"))
        ticket = _wait_ticket(context, word)
        time.sleep(0.5)
        two.store.stop()
        wait_health(two.one, "failed")
        expect_equal(wire.query("select 'goes on'").values(), [("goes on",)], "a live session")
        expect_equal(two.psql(two.one, "select 1").returncode, 0, "who is bound")
        done = two.bind(two.one, two.provider.token(subject="user:alice"))
        expect(done.returncode != 0, "a bind without a store")
        expect_in("nothing has changed", done.stdout + done.stderr, "the words")
        done = _answer(context, "approve", ticket)
        expect(done.returncode != 0, "an approval without a store")
        expect_in("nothing has changed", done.stdout + done.stderr, "the words")
        two.store.start()
        wait_health(two.one, "good")
        wait_health(two.other, "good")
        wait_until("an approval is taken again", lambda: _answer(context, "approve", ticket).returncode == 0, 20, 0.5)
        expect_equal(held.read_reply().values(), [(word,)], "released")
        expect_equal(two.bind(two.one, two.provider.token(subject="user:alice")).returncode, 0, "the bind is renewed")
    # A connection that is cut, and a revoke just then: the other learns of it all the same.
    wait_until("the other lets them in", lambda: two.psql(two.other, "select 1").returncode == 0, 10, 0.2)
    two.store.sql("select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name like 'weir gw-lab-%'")
    wait_until("the revoke is taken", lambda: two.one.weir("revoke", "user:alice", "--reason", "a test").returncode == 0, 10, 0.2)
    wait_until("the other lets nobody in", lambda: two.psql(two.other, "select 1").returncode != 0, 9, 0.2)
