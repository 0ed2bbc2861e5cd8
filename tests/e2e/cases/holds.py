"""A held command waits for a reviewer, bound to its exact bytes; nobody's silence lets it pass."""
import os
import re
import socket
import struct
import time

from harness import case, expect, expect_equal, expect_in
from pgwire import bind, describe, execute, parse, query
from weirlab import wait_until

RULE = """rules:
  - id: asks
    why: "a test"
    severity: high
    where: {{protocol: postgres, direction: to_target}}
    what: {{words: ["{word}"]}}
    then: hold
    approval: {approval}
    message: "a reviewer must see this"
    examples: {{match: ["select '{word}'"], no_match: ["select 'another'"]}}
"""

APPROVALS = """
approvals:
  - {name: local, reviewers: {subjects: ["local:*"]}, deadline: 60s}
  - {name: second, reviewers: {subjects: ["local:*"]}, deadline: 60s}
  - {name: short, reviewers: {subjects: ["local:*"]}, deadline: 1s}
  - {name: elsewhere, reviewers: {groups: [dba]}, deadline: 60s}
"""


def _with_approvals(lab):
    return lab.config_variant("approvals", lambda text: re.sub(r"(?ms)^approvals:.*?(?=^\S)", "", text) + APPROVALS)


def _hold(context, approval="local"):
    """A rule that holds what says the word; the word."""
    word = "h" + os.urandom(6).hex()
    context.extra_rules(RULE.format(word=word, approval=approval))
    context.lab.gateway_reload()
    return word


def _tickets(context, *arguments):
    return context.lab.weir_json("tickets", *arguments)


def _wait_ticket(context, word, states=("open",)):
    """The ticket of the statement with that word.  One with a short deadline may be seen only when it has expired: add that to
    `states`."""
    def opened():
        found = [ticket for ticket in _tickets(context, "--all") if word in ticket["statement"] and ticket["state"] in states]
        return found[0] if found else None
    return wait_until(f"a ticket is {' or '.join(states)}", opened, 10, 0.1)


def _answer(context, verb, ticket, reason="a test"):
    return context.lab.weir(verb, str(ticket["number"]), "--reason", reason)


def _notes(context, session):
    return [event["text"] for event in context.replay(session) if event["kind"] == "note"]


@case("an approved command passes once, after the answer; the client was told its ticket, the record tells the whole of it",
      config=_with_approvals, spoils=True)
def approved(context):
    word = _hold(context)
    before = context.session_ids()
    with context.wire() as wire:
        mark = context.lab.log_mark()
        wire.send(query(f"select '{word}'"))
        ticket = _wait_ticket(context, word)
        time.sleep(0.5)
        expect(word not in context.lab.log_since(mark), "the target saw a held statement")
        expect_equal((ticket["subject"], ticket["target"], ticket["rule"]), ("svc:report-agent", "orders-db", "asks"), "the ticket")
        expect_equal(len(ticket["digest"]), 64, "the digest")
        done = _answer(context, "approve", ticket, "CHG-17")
        expect_equal(done.returncode, 0, done.stdout + done.stderr)
        reply = wire.read_reply()
        expect_equal(reply.values(), [(word,)], f"the answer: {reply}")
        expect(any(f"ticket {ticket['number']}" in notice["M"] for notice in reply.notices), f"the notices: {reply.notices}")
        again = _answer(context, "approve", ticket)
        expect(again.returncode != 0, "a second approval")
        with context.target_never_sees(word):
            wire.send(query(f"select '{word}'"))
            other = _wait_ticket(context, word)
            expect(other["number"] != ticket["number"], "the same bytes need another approval")
            _answer(context, "deny", other)
            expect_equal(wire.read_reply().code, "42501", "the second time")
    session = context.sealed_since(before)[0]
    expect_equal(session["blocked"], 1, "the count of what was refused")
    notes = _notes(context, session)
    expect(any(f"ticket {ticket['number']} was approved by local:" in note and "CHG-17" in note for note in notes), f"the notes: {notes}")
    held = [event for event in context.replay(session) if event["kind"] == "command" and word in (event["text"] or "")]
    expect_equal([(event["verdict"], event["outcome"]) for event in held], [("hold", "passed"), ("hold", "blocked")], "the commands")


@case("a command that two rules hold for different reviewers needs both", config=_with_approvals, spoils=True)
def two_approvals(context):
    word = "h" + os.urandom(6).hex()
    one, other = RULE.format(word=word, approval="local"), RULE.format(word=word, approval="second")
    context.extra_rules(one + other.partition("rules:\n")[2].replace("id: asks", "id: asks-too"))
    context.lab.gateway_reload()
    with context.target_never_sees(word), context.wire() as wire:
        wire.send(query(f"select '{word}'"))
        first = _wait_ticket(context, word)
        _answer(context, "approve", first)
        second = _wait_ticket(context, word)
        expect_equal((first["approval"], second["approval"]), ("local", "second"), "the approvals")
        _answer(context, "deny", second)
        expect_equal(wire.read_reply().code, "42501", "one approval of two")
    with context.wire() as wire:
        wire.send(query(f"select '{word}'"))
        for _ in range(2):
            _answer(context, "approve", _wait_ticket(context, word))
        expect_equal(wire.read_reply().values(), [(word,)], "both approved")


@case("a target that goes away while a command is held ends the session; its ticket is withdrawn", config=_with_approvals, spoils=True)
def target_gone(context):
    word = _hold(context)
    with context.target_never_sees(word), context.wire() as wire:
        wire.send(query(f"select '{word}'"))
        ticket = _wait_ticket(context, word)
        context.lab.superuser("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'orders_app'")
        reply = wire.read_reply()
        expect_equal((reply.code, reply.status), ("57P01", None), "what the client hears")
        wait_until("the ticket is withdrawn", lambda: any(t["number"] == ticket["number"] and t["state"] == "withdrawn" for t in _tickets(context, "--all")), 10, 0.2)


@case("a denied command is refused with the reviewer's words and leaves the session in step", config=_with_approvals, spoils=True)
def denied(context):
    word = _hold(context)
    with context.target_never_sees(word), context.wire() as wire:
        wire.query("begin")
        wire.send(query(f"select '{word}'"))
        expect_equal(_answer(context, "deny", _wait_ticket(context, word), "not on a Friday").returncode, 0, "deny")
        reply = wire.read_reply()
        expect_equal((reply.code, reply.status), ("42501", "E"), "in a transaction")
        expect_in("not on a Friday", reply.errors[0]["M"], "the reason")
        expect_equal(wire.query("rollback").status, "I", "the rollback")
        expect_equal(wire.query("select 'another'").values(), [("another",)], "what comes after")


@case("nobody answers: the command is refused at its deadline", config=_with_approvals, spoils=True)
def expired(context):
    word = _hold(context, "short")
    with context.target_never_sees(word), context.wire() as wire:
        reply = wire.query(f"select '{word}'")
        expect_equal(reply.code, "42501", "the answer")
        expect_in("expired", reply.errors[0]["M"], "the reason")
    expect([t for t in _tickets(context, "--all") if word in t["statement"] and t["state"] == "expired"], "the ticket")


@case("who may not review cannot answer, and an approval that nobody has set up holds nothing open", config=_with_approvals, spoils=True)
def not_a_reviewer(context):
    word = _hold(context, "elsewhere")
    with context.target_never_sees(word), context.wire() as wire:
        wire.send(query(f"select '{word}'"))
        ticket = _wait_ticket(context, word)
        done = _answer(context, "approve", ticket)
        expect_equal(done.returncode, 4, f"approve: {done.stdout}{done.stderr}")
        time.sleep(0.3)
        expect_equal(_wait_ticket(context, word)["number"], ticket["number"], "it is still open")


@case("a client that leaves, and one that cancels, withdraw their tickets", config=_with_approvals, spoils=True)
def withdrawn(context):
    word = _hold(context)
    with context.target_never_sees(word):
        with context.wire() as wire:
            wire.send(query(f"select '{word}'"))
            gone = _wait_ticket(context, word)
        with context.wire() as wire:
            wire.send(query(f"select 1, '{word}'"))
            cancelled = wait_until("the second ticket", lambda: next((t for t in _tickets(context) if t["number"] > gone["number"]), None), 10, 0.1)
            with context.lab.socket("client", socket.AF_INET) as other:
                other.settimeout(5)
                other.connect((context.env["TARGET_IP"], int(context.env["TARGET_PORT"])))
                other.sendall(struct.pack("!II", 16, 80877102) + wire.key)
                other.recv(1)
            reply = wire.read_reply()
            expect_equal((reply.code, reply.status), ("57014", "I"), "the cancelled command")
            expect_equal(wire.query("select 'another'").values(), [("another",)], "what comes after")
        states = {t["number"]: t["state"] for t in _tickets(context, "--all")}
        expect_equal((states[gone["number"]], states[cancelled["number"]]), ("withdrawn", "withdrawn"), "the tickets")
        expect(_answer(context, "approve", gone).returncode != 0, "an approval of a withdrawn ticket")


@case("in a pipeline what came before the held run passes, what is behind it waits; the ticket shows the parameters",
      config=_with_approvals, spoils=True)
def pipelined(context):
    word = _hold(context)
    value = "p" + os.urandom(5).hex()
    with context.wire() as wire:
        mark = context.lab.log_mark()
        wire.send(parse("", "select 'first'"), bind("", ""), execute(), parse("", f"select $1::text, '{word}'", [25]), bind("", "", [value]), describe("P", ""), execute(),
                  parse("", "select 'behind'"), bind("", ""), execute(), b"S\0\0\0\4")
        ticket = _wait_ticket(context, word)
        expect_equal(ticket["parameters"], f'["{value}"]', "the parameters")
        seen = wait_until("the target has what came before", lambda: (lambda log: log if "select 'first'" in log else None)(context.lab.log_since(mark)), 10)
        expect("'behind'" not in seen and f"execute <unnamed>: select $1::text, '{word}'" not in seen, "held, or behind it")
        expect_equal(_answer(context, "approve", ticket).returncode, 0, "approve")
        reply = wire.read_reply()
        expect_equal(reply.values(), [("first",), (value, word), ("behind",)], f"the answers: {reply}")


@case("other parameters are another command: each run of a prepared statement asks anew", config=_with_approvals, spoils=True)
def prepared(context):
    word = _hold(context)
    with context.wire() as wire:
        wire.pipeline(parse("s", f"select $1::text, '{word}'", [25]))
        digests = []
        for value in ("one", "two"):
            wire.send(bind("", "s", [value]), execute(), b"S\0\0\0\4")
            ticket = _wait_ticket(context, word)
            digests.append(ticket["digest"])
            _answer(context, "approve", ticket)
            expect_equal(wire.read_reply().values(), [(value, word)], "the answer")
        expect(digests[0] != digests[1], "the digests")


@case("a reload that closes what is held is asked again before the release", config=_with_approvals, spoils=True)
def judged_again(context):
    word = _hold(context)
    with context.target_never_sees(word), context.wire() as wire:
        wire.send(query(f"select '{word}'"))
        ticket = _wait_ticket(context, word)
        context.extra_rules(RULE.format(word=word, approval="local").replace("then: hold\n    approval: local", "then: block"))
        context.lab.gateway_reload()
        expect_equal(_answer(context, "approve", ticket).returncode, 0, "approve")
        expect_equal(wire.read_reply().code, "42501", "approved, and closed meanwhile")


@case("what is held when the engine dies never passes; its ticket is denied at the next start", config=_with_approvals, spoils=True)
def restarted(context):
    word = _hold(context)
    with context.target_never_sees(word):
        with context.wire() as wire:
            wire.send(query(f"select '{word}'"))
            ticket = _wait_ticket(context, word)
            context.lab.gateway_kill()
        context.running = None
        context.use(_with_approvals)
        states = {t["number"]: t["state"] for t in _tickets(context, "--all")}
        expect_equal(states[ticket["number"]], "denied", "the ticket")
        expect(_answer(context, "approve", ticket).returncode != 0, "an approval after the restart")


@case("what a reviewer could not be shown whole is refused, and SQL's own PREPARE is no way round an approval", config=_with_approvals, spoils=True)
def not_hidden(context):
    word = _hold(context)
    with context.target_never_sees(word), context.wire() as wire:
        reply = wire.query(f"select '{word}' /* {'x' * 300_000} */")
        expect_equal(reply.code, "42501", "300 kB")
        expect_in("too large to be shown", reply.errors[0]["M"], "the reason")
        reply = wire.query(f"prepare later as select '{word}'")
        expect_equal(reply.code, "42501", "PREPARE")
        expect_in("send it itself", reply.errors[0]["M"], "the reason")
        expect_equal(_tickets(context), [], "no ticket was opened for either")
        wire.send(query(f"select '{word}' /* {'y' * 20_000} */"))
        ticket = _wait_ticket(context, word)
        whole = context.lab.weir_json("tickets", str(ticket["number"]))
        expect_in("y" * 20_000, whole["statement"], "asked for by its number it is whole")
        expect_in("bytes in all", ticket["statement"], "the list says that it is cut")
        _answer(context, "deny", ticket)
        wire.read_reply()


@case("a reviewer asks the target's planner: EXPLAIN of the general form by the catalogue's login; no value leaves, nothing runs, the look is on the record",
      config=_with_approvals, spoils=True)
def estimated(context):
    word = _hold(context)
    value = "v" + os.urandom(6).hex()
    context.lab.superuser("grant select, delete on people to weir_catalogue")
    try:
        with context.target_never_sees(value), context.wire() as wire:
            mark = context.lab.log_mark()
            rows = context.lab.superuser("select count(*) from people")
            wire.send(query(f"delete from people as {word} where name <> '{value}'"))
            ticket = _wait_ticket(context, word)
            made = context.lab.weir_json("tickets", str(ticket["number"]), "--estimate")
            expect_equal(made["number"], ticket["number"], "the ticket beside it")
            expect_in("Delete on people", made["estimate"]["plan"], "the plan")
            expect("$1" in made["estimate"]["statement"] and value not in str(made), f"what was planned: {made['estimate']}")
            shown = context.lab.weir("tickets", str(ticket["number"]), "--estimate", check=True).stdout
            expect_in("Delete on people", shown, "the estimate for people")
            log = context.lab.log_since(mark)
            expect_in("explain execute", log, "the target was asked")
            expect(value not in log, "a value of the held statement reached the target")
            _answer(context, "deny", ticket)
            expect_equal(wire.read_reply().code, "42501", "the answer")
            late = context.lab.weir("tickets", str(ticket["number"]), "--estimate")
            expect_equal(late.returncode, 4, f"an answered ticket: {late.stderr}")
            expect_in("waits no more", late.stderr, "why")
            expect_equal(context.lab.superuser("select count(*) from people"), rows, "what is in the table")
    finally:
        context.lab.superuser("revoke all on people from weir_catalogue")
    acts = context.lab.weir_json("events", "--act", "estimate")
    expect(acts and f"ticket {ticket['number']}" in acts[0]["object"], f"the acts: {acts[:2]}")


@case("there is no estimate where the catalogue's login may not read, or where planning could call what is not known; it says which", config=_with_approvals, spoils=True)
def not_estimated(context):
    word = _hold(context)
    for statement, why in ((f"select 1 as {word} from people", "grant it to weir_catalogue"),
                           (f"select who as {word} from contacts", "is a view"),
                           (f"select 1 as {word}; select 2", "2 statements")):
        with context.target_never_sees(word), context.wire() as wire:
            wire.send(query(statement))
            ticket = _wait_ticket(context, word)
            answer = context.lab.weir("tickets", str(ticket["number"]), "--estimate")
            expect_equal(answer.returncode, 4, f"{statement}: {answer.stdout}{answer.stderr}")
            expect_in(why, answer.stderr, statement)
            _answer(context, "deny", ticket)
            expect_equal(wire.read_reply().code, "42501", "the answer")
