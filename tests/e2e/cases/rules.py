"""Rules, grants and reload: what an operator changes takes effect at once, and never half."""
import os
import re

from harness import case, expect, expect_equal, expect_in
from pgwire import bind, execute, parse, run_prepared

WORD_RULE = """rules:
  - id: word
    why: "a test"
    severity: high
    where: {{protocol: postgres, direction: to_target}}
    what: {{words: ["{word}"]}}
    then: block
    message: "that word is closed here"
    examples: {{match: ["select '{word}'"], no_match: ["select 'another'"]}}
"""


def _random_word():
    return "w" + os.urandom(6).hex()


@case("a random word put into the extra rules blocks after reload, also in live sessions and for statements prepared before", spoils=True)
def random_word(context):
    word = _random_word()
    with context.wire() as wire:
        wire.pipeline(parse("before", f"select '{word}'"))
        expect_equal(wire.pipeline(run_prepared("before")).values(), [(word,)], "before the reload")
        expect_equal(wire.query(f"select '{word}'").values(), [(word,)], "before the reload")
        context.extra_rules(WORD_RULE.format(word=word))
        context.lab.gateway_reload()
        with context.target_never_sees(word):
            expect_equal(wire.query(f"select '{word}'").code, "42501", "a new statement in the live session")
            expect_equal(wire.pipeline(run_prepared("before")).code, "42501", "the statement that was prepared before")
            expect_in("that word is closed here", context.refused(f"select 1 as {word}"), "a new session")
        expect_equal(wire.query("select 'another'").values(), [("another",)], "what the rule does not name")


@case("a portal opened before the reload is judged again when it is used", spoils=True)
def portal_before_reload(context):
    word = _random_word()
    with context.wire() as wire:
        wire.query("begin")
        wire.pipeline(parse("s", f"select i, '{word}' from generate_series(1, 10) as i"), bind("p", "s"), execute("p", 2))
        context.extra_rules(WORD_RULE.format(word=word))
        context.lab.gateway_reload()
        reply = wire.pipeline(execute("p", 2))
        expect_equal((reply.code, reply.rows), ("42501", []), "the open portal")


@case("a wrong rule file leaves the old rules in force: reload fails loudly, status says so", spoils=True)
def wrong_file(context):
    word = _random_word()
    context.extra_rules(WORD_RULE.format(word=word))
    context.lab.gateway_reload()
    context.extra_rules("rules:\n  - id: broken\n    wat: {}\n")
    done = context.lab.weir("reload", "--reason", "a test")
    expect_equal(done.returncode, 2, f"exit code of reload: {done.stdout}{done.stderr}")
    expect_in("extra-rules.yaml:", done.stderr + done.stdout, "the message names the file and the line")
    context.refused(f"select '{word}'")
    expect_in("refused", context.lab.weir("status").stdout, "status")


@case("weir check names every mistake with its line, and the nearest key")
def check_lines(context):
    def spoil(text):
        return text.replace("  unbound: explain", "  unbond: explain").replace("durability: before-forward", "durability: sometimes")
    path = context.lab.config_variant("spoilt", spoil)
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    done = context.lab.run("gateway", [context.env["WEIR"], "check", "--config", path])
    expect_equal(done.returncode, 2, "exit code")
    output = done.stdout + done.stderr
    for mistake in ("unbond", "sometimes"):
        number = next(i for i, line in enumerate(lines, 1) if mistake in line)
        expect_in(f"gateway-spoilt.yaml:{number}:", output, mistake)
    expect_in("unbound", output, "the nearest key")


@case("every shipped rule proves its own examples: weir rules test")
def rules_test(context):
    done = context.lab.weir("rules", "test")
    expect_equal(done.returncode, 0, done.stdout[-500:] + done.stderr[-500:])


@case("no grant, no command: a login without write may not write, and nobody reads staff_pay")
def grants(context):
    expect_equal(context.rows("select count(*) from scratch", user="report_ro"), ["100"], "a read")
    for statement, user in (("insert into scratch values (8001, 'x')", "report_ro"), ("update scratch set word = 'x' where id = 1", "report_ro"),
                            ("select salary from staff_pay", "orders_app"), ("select count(*) from staff_pay", "report_ro"),
                            ("select * from public.staff_pay", "orders_app"), ("create table mine (i int)", "orders_app"),
                            ("drop table scratch", "orders_app"), ("truncate scratch", "orders_app"), ("alter table scratch add column x int", "orders_app"),
                            ("grant select on scratch to public", "orders_app"), ("create role x", "orders_app"),
                            ("set role postgres", "orders_app"), ("set session authorization postgres", "orders_app"),
                            ("with x as (insert into scratch values (8002, 'x') returning id) select * from x", "report_ro"),
                            ("select pay_order(1)", "report_ro"), ("call pay_all()", "report_ro")):
        with context.target_never_sees(statement):
            context.refused(statement, user=user)


@case("an alert rule lets the command pass and says so on the record", spoils=True)
def alert(context):
    word = _random_word()
    context.extra_rules(WORD_RULE.format(word=word).replace("then: block", "then: alert"))
    context.lab.gateway_reload()
    before = context.session_ids()
    expect_equal(context.rows(f"select '{word}'"), [word], "the answer")
    events = context.replay(context.sealed_since(before)[0])
    expect(any(e["kind"] == "alert" for e in events), "an alert event")


@case("a rule in observe mode is recorded as decided and not carried out", spoils=True)
def observe(context):
    word = _random_word()
    context.extra_rules(WORD_RULE.format(word=word).replace("    then: block", "    then: block\n    mode: observe"))
    context.lab.gateway_reload()
    before = context.session_ids()
    expect_equal(context.rows(f"select '{word}'"), [word], "the answer")
    events = [e for e in context.replay(context.sealed_since(before)[0]) if e["kind"] == "command" and word in (e["text"] or "")]
    expect_equal([(e["verdict"], e["rule"]) for e in events], [("block", "word")], "the event")


@case("a terminate rule ends the session with the protocol's own message", spoils=True)
def terminate(context):
    word = _random_word()
    context.extra_rules(WORD_RULE.format(word=word).replace("then: block", "then: terminate"))
    context.lab.gateway_reload()
    with context.target_never_sees(word), context.wire() as wire:
        reply = wire.query(f"select '{word}'")
        expect(reply.errors and reply.errors[0]["S"] == "FATAL" and reply.status is None, f"the end: {reply}")


@case("weir reload --set overrides one key from then on, and a wrong one changes nothing", spoils=True)
def reload_set(context):
    word = _random_word()
    context.extra_rules(WORD_RULE.format(word=word))
    context.lab.gateway_reload()
    done = context.lab.weir("reload", "--reason", "a test", "--set", "targets[orders-db].mode=sometimes")
    expect_equal(done.returncode, 2, f"a wrong override: {done.stdout}{done.stderr}")
    context.refused(f"select '{word}'")
    context.lab.weir("reload", "--reason", "a test", "--set", "targets[orders-db].mode=observe", check=True)
    expect_equal(context.rows(f"select '{word}'"), [word], "observed, not refused")
    context.lab.gateway_reload()
    expect_equal(context.rows(f"select '{word}'"), [word], "a later reload keeps it")
    context.lab.weir("reload", "--reason", "a test", "--set", "targets[orders-db].mode=enforce", check=True)
    context.refused(f"select '{word}'")


def _relay_with_minted(lab):
    return lab.config_variant("blind", lambda text: re.sub(r"(?m)^      (certificate|key)_file: keys/target.*\n", "", text), "relay")


@case("a target whose capability verdict is refused tells each client why, and what would mend it", config=_relay_with_minted)
def capability_refused(context):
    done = context.psql("select 1")
    expect(done.returncode != 0, "the login is refused")
    expect_in("clients bind a SCRAM login to the certificate", done.stderr, "the reason")
    expect_in("login: inject", done.stderr, "the fix")
