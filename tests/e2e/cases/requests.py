"""Which request, which grant, which identity: every action leads back to them; who passes for somebody else stands out."""
import json
import os
import re
import time

from cases.identities import OTHER, _from_other, _with_provider, bind
from harness import case, expect, expect_equal, expect_in, expect_not_in
from npm import node_modules
from pgwire import WireError, bind as bind_message, execute, parse
from weirlab import wait_until

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def _commands(context, session):
    return [event for event in context.replay(session) if event["kind"] == "command"]


def _requests(context, before, statement):
    """What the record says of the commands whose text begins so."""
    return [(event.get("request_id", ""), event["grant"], event["outcome"]) for row in context.sealed_since(before)
            for event in _commands(context, row) if event["text"].startswith(statement)]


def _alerts(context, before, count=1):
    """Kinds of the impersonation alerts in the sessions since, once so many are there."""
    def there():
        kinds = [event["text"] for row in context.sessions(before) for event in context.replay(row)
                 if event["kind"] == "alert" and event["rule"] == "impersonation"]
        return kinds if len(kinds) >= count else None
    return wait_until(f"{count} alerts", there, 15, 0.2)


def _refused_total(context, kind):
    text = context.lab.run("gateway", ["python3", "-c", "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:9464/metrics').read().decode())"], check=True).stdout
    return int(float(re.search(rf'^weir_impersonation_refused_total{{kind="{kind}"}} (\S+)$', text, re.M).group(1)))


def _acts_session(context):
    return context.lab.weir_json("events", "--limit", "1")[0]["session"]


@case("psql's application_name goes with each command, and a comment of the statement's own comes before it")
def psql_names(context):
    before = context.session_ids()
    context.rows("select 41", f"select 42 /*traceparent='{TRACE}'*/", "select 43 /*ticket='OPS-7',route='%2Forders'*/", "set application_name = 'later'", "select 44",
                 app="ticket-4711")
    expect_equal(_requests(context, before, "select 41"), [("ticket-4711", "agents-work", "passed")], "application_name, as the login gave it")
    expect_equal(_requests(context, before, "select 42"), [(TRACE, "agents-work", "passed")], "a traceparent")
    expect_equal(_requests(context, before, "select 43"), [("ticket='OPS-7',route='%2Forders'", "agents-work", "passed")], "a sqlcommenter comment")
    expect_equal(_requests(context, before, "select 44"), [("later", "agents-work", "passed")], "application_name, as SET changed it")
    session = context.sealed_since(before)[0]
    opened, login = [next(event for event in context.replay(session) if event["kind"] == kind) for kind in ("opened", "login")]
    facts = json.loads(opened["text"])
    expect_equal((facts["subject"], facts["assurance"], facts["until"][:4]), ("svc:report-agent", "static", "2027"), "the identity, and until when")
    expect_equal((login["grant"], login["request_id"]), ("agents-work", "ticket-4711"), "the login's grant and request")


@case("node pg with a sqlcommenter comment: the id of a named statement is its Parse's, with each run of it")
def node_comments(context):
    before = context.session_ids()
    program = ("const { Client } = require('pg');"
               "(async () => { const client = new Client({ ssl: false }); await client.connect();"
               f"const text = \"select $1::int as n /*traceparent='{TRACE}'*/\";"
               "for (const n of [1, 2]) await client.query({ name: 'traced', text, values: [n] });"
               "await client.query('select 7 as plain'); await client.end(); })().catch((e) => { console.error(e); process.exit(1); });")
    env = {**context.lab.client_env(app="node-app"), "NODE_PATH": node_modules("pg@8"), "PGPASSWORD": context.passwords[context.env["PGUSER"]]}
    done = context.lab.run("client", ["node", "-e", program], env=env)
    expect_equal(done.returncode, 0, done.stderr)
    commands = [event for row in context.sealed_since(before) for event in _commands(context, row)]
    expect_equal([event["request_id"] for event in commands if event["verb"] == "execute"], [TRACE, TRACE], "of the two runs")
    expect_equal([event["request_id"] for event in commands if event["verb"] == "query"], ["node-app"], "of the plain statement")


@case("in a pipeline each statement has its own request id, and an id that is none is passed over")
def pipelined(context):
    before = context.session_ids()
    hostile = "x" * 300
    with context.wire(startup={"application_name": "pipe"}) as wire:
        texts = [f"select 51 /*traceparent='{TRACE}'*/", "select 52", "select 53 /*a='b'*/", f"select 54 /*k='{hostile}'*/",
                 "select 55 /*traceparent='00-00000000000000000000000000000000-00f067aa0ba902b7-01'*/", f"select 56 /*k='\x01',t='{TRACE}'*/"]
        wire.pipeline(*(parse(f"s{i}", text) + bind_message("", f"s{i}") + execute() for i, text in enumerate(texts)))
    found = {event["unit"]: event for row in context.sealed_since(before) for event in _commands(context, row)}
    runs = [event["request_id"] for _, event in sorted(found.items()) if event["verb"] == "execute"]
    expect_equal(runs[:4], [TRACE, "pipe", "a='b'", "pipe"], "valid, none, a key, too long")
    expect_in(runs[4], ["pipe", "traceparent='00-00000000000000000000000000000000-00f067aa0ba902b7-01'"], "no trace context: another kind of id")
    expect_equal(runs[5], TRACE, "the first that is valid")


@case("weir sessions --request finds what carried an id, live and sealed, by a part of it too, and the look is on the record")
def searched(context):
    trace_id = os.urandom(16).hex()
    trace = f"00-{trace_id}-{os.urandom(8).hex()}-01"
    before = context.session_ids()
    context.rows(f"select 61 /*traceparent='{trace}'*/", "select 62")
    context.rows("select 63")
    context.sealed_since(before, 2)
    with context.wire() as wire:
        wire.query(f"select 64 /*traceparent='{trace}'*/")

        def found():
            rows = context.lab.weir_json("sessions", "--request", trace_id, "--since", "1h")
            texts = [command["text"][:9] for row in rows for command in row["request_commands"]]
            return (rows, texts) if len(rows) == 2 else None
        rows, texts = wait_until("both sessions are found", found, 10, 0.2)
        expect_equal(texts, ["select 64", "select 61"], "the commands, newest session first")
        expect_equal([row["is_live"] for row in rows], [True, False], "one lives")
    context.sealed_since(before, 3)
    expect_equal(len(context.lab.weir_json("sessions", "--request", trace)), 2, "both sealed")
    expect_equal(context.lab.weir_json("sessions", "--request", "f" * 32), [], "nobody's")
    table = context.lab.weir("sessions", "--request", trace).stdout
    expect_in("2 events with that request", table, "the table's end")
    acts = context.lab.weir_json("events", "--act", "sessions")
    expect_in(f"request {trace}", [act["object"] for act in acts], "the looks")
    expect_in(f"request {trace}", context.lab.weir("replay", str(rows[0]["id"])).stdout, "replay shows it")


def _with_required(name="request-required", more=""):
    def edit(text):
        return text.replace("    verbs: [read, write]\n", "    verbs: [read, write]\n    request_id: required\n" + more, 1)
    return lambda lab: lab.config_variant(name, edit)


@case("request_id: required blocks a command without one, says how to give one, and lets the ways to give one pass", config=_with_required(), spoils=True)
def required(context):
    before = context.session_ids()
    with context.wire() as wire:
        def ask(text):
            return wire.query(text).code or "fine"
        expect_equal(ask("select 71"), "42501", "no id")
        expect_equal(ask("begin"), "fine", "a transaction begins")
        expect_equal(ask("select 72 /*ticket='7'*/"), "fine", "a comment")
        expect_equal(ask("commit"), "fine", "and ends")
        expect_equal(ask("set application_name = 'ticket-8'"), "fine", "a way to give one")
        expect_equal(ask("select 73"), "fine", "with the session's")
        expect_equal(ask("set application_name = ''"), "fine", "it is taken back")
        with context.target_never_sees("select 74"):
            expect_equal(ask("select 74"), "42501", "no id again")
        expect_equal(wire.pipeline(parse("", "select $1::int /*ticket='9'*/"), bind_message("", "", ["1"]), execute()).code, None, "a prepared statement with one")
        expect_equal(wire.pipeline(parse("", "select 75"), bind_message("", ""), execute()).code, "42501", "a prepared statement without one")
    refused = [event for row in context.sealed_since(before) for event in _commands(context, row) if event["verdict"] == "block"]
    expect(all(event["rule"] == "request-id" for event in refused) and len(refused) >= 3, f"the rule: {[event['rule'] for event in refused]}")
    expect_in("traceparent='00-...'", refused[0]["reason"], "how to give one")


@case("SET ROLE in every disguise is refused, recorded, counted and alerted as an impersonation; RESET ROLE passes")
def set_role(context):
    before, counted = context.session_ids(), _refused_total(context, "set-role")
    statements = ["set role orders_app", "set local role orders_app", "set session authorization orders_app", "select set_config('role', 'orders_app', false)",
                  "select set_config('ro' || 'le', 'orders_app', false)", "do $$ begin set role orders_app; end $$", "do $$ begin execute 'set ro' || 'le orders_app'; end $$",
                  "prepare p(text) as select set_config('role', $1, false)", "create function pg_temp.f() returns text language sql as $$ select set_config('role', 'orders_app', false) $$",
                  "select 1; set role orders_app"]
    with context.wire() as wire:
        for statement in statements:
            expect_equal(wire.query(statement).code, "42501", statement)
        expect_equal(wire.pipeline(parse("", "select set_config($1, $2, false)"), bind_message("", "", ["role", "orders_app"]), execute()).code, "42501", "by parameters")
        expect_equal(wire.query("reset role; select current_user").values(), [(context.env["PGUSER"],)], "who we are")
    kinds = _alerts(context, before, len(statements) + 1)
    expect_equal(set(kinds), {"set-role"}, "the alerts' kinds")
    expect(_refused_total(context, "set-role") - counted >= len(statements) + 1, "the metric")
    session = context.sealed_since(before)[0]
    expect(session["alerts"] >= len(statements) + 1, "the manifest counts them")
    told = wait_until("somebody is told", lambda: [each for each in context.lab.weir_json("alerts", "list") if each["rule"] == "impersonation" and each["subject"] == "svc:report-agent"], 10, 0.3)
    expect_equal(told[0]["severity"], "high", "the alert's severity")


@case("a login name that no grant lists is refused and alerted as an impersonation")
def foreign_login(context):
    before, counted = context.session_ids(), _refused_total(context, "login")
    try:
        context.wire(user="postgres", password="x").socket.close()
        expect(False, "the login was admitted")
    except WireError as error:
        expect_equal(error.fields["C"], "28000", "the error")
    expect_equal(_alerts(context, before), ["login"], "the alert")
    expect_equal(_refused_total(context, "login"), counted + 1, "the metric")


@case("a token that bound an address is refused from another one, and alerted as a replay", spoils=True)
def replayed_token(context):
    provider = _with_provider(context)
    token = provider.token(subject="user:alice")
    expect_equal(bind(context, token).returncode, 0, "the first")
    context.lab.run("client", ["ip", "addr", "replace", "198.18.1.4/24", "dev", "eth0"], check=True)
    counted = _refused_total(context, "token-replay")
    expect(bind(context, token, address="198.18.1.4").returncode != 0, "the second was accepted")
    expect_equal(_refused_total(context, "token-replay"), counted + 1, "the metric")
    lines = context.replay(_acts_session(context))
    expect_equal([line["text"] for line in lines if line["kind"] == "alert"], ["token-replay"], "the alert, beside the act")
    wait_until("somebody is told", lambda: [each for each in context.lab.weir_json("alerts", "list") if each["rule"] == "impersonation" and each["target"] == ""], 10, 0.3)


@case("a binding that is used after its end is refused and alerted", seconds=90, spoils=True)
def expired_binding(context):
    provider = _with_provider(context)
    expect_equal(bind(context, provider.token(subject="user:alice", exp=int(time.time()) + 4)).returncode, 0, "bind")
    expect_equal(_from_other(context, "select 1").returncode, 0, "while it is valid")
    wait_until("the binding has ended", lambda: all(b["subject"] != "user:alice" for b in context.lab.weir_json("bindings")), 30, 0.5)
    time.sleep(1.5)  # The engine's tick.
    before, counted = context.session_ids(), _refused_total(context, "expired-binding")
    done = _from_other(context, "select 1")
    expect_equal(done.returncode, 2, "after its end")
    expect_in("sign in", done.stderr, "what the client is told")
    expect_not_in("alice", done.stderr, "but not who it was")
    expect_equal(set(_alerts(context, before)), {"expired-binding"}, "the alerts: libpq tries TLS, then plain")
    expect_equal(_refused_total(context, "expired-binding") - counted, len(_alerts(context, before)), "the metric")
    reasons = [event["reason"] for row in context.sessions(before) for event in context.replay(row) if event["kind"] == "alert"]
    expect_in("user:alice", reasons[0], "the record says whose it was")


@case("an agent with a person's delegated token is refused a grant for people, and alerted", spoils=True)
def agents_token(context):
    provider = _with_provider(context)
    config = context.env["WEIR_CONFIG"]
    with open(config, encoding="utf-8") as file:
        text = file.read()
    with open(config, "w", encoding="utf-8") as file:
        file.write(text.replace("    verbs: [read, write]\n", "    verbs: [read, write]\n    used_by: people\n", 1))
    expect_equal(context.lab.weir("reload", "--reason", "a grant for people").returncode, 0, "reload")
    expect_equal(bind(context, provider.token(subject="user:alice")).returncode, 0, "alice herself")
    expect_equal(_from_other(context, "select 1").returncode, 0, "she may")
    context.lab.weir("revoke", OTHER, "--reason", "next")
    expect_equal(bind(context, provider.token(subject="user:alice", act={"sub": "svc:assistant"})).returncode, 0, "her agent")
    before, counted = context.session_ids(), _refused_total(context, "agent")
    done = _from_other(context, "select 1")
    expect_equal(done.returncode, 2, "it may not")
    expect_in("is for people", done.stderr, "what it is told")
    expect_equal(set(_alerts(context, before)), {"agent"}, "the alerts: libpq tries TLS, then plain")
    expect_equal(_refused_total(context, "agent") - counted, len(_alerts(context, before)), "the metric")
    facts = json.loads(context.replay(context.sealed_since(before)[0])[0]["text"])
    expect_equal((facts["subject"], facts["acting_for"]), ("user:alice", ["svc:assistant"]), "the chain is on the record")


NEVER_USED = "  - {name: nobody-uses, who: {groups: [nobody]}, targets: [orders-db], verbs: [read], until: 2037-01-01T00:00:00Z}\n"


@case("uses of grants are counted; what nobody used says since when it is counted", spoils=True)
def grant_uses(context):
    def uses():
        return {grant["name"]: grant["uses"] for grant in context.lab.weir_json("grants")}

    def unused(*arguments):
        return [grant["name"] for grant in context.lab.weir_json("grants", *arguments)]
    config = context.env["WEIR_CONFIG"]
    with open(config, encoding="utf-8") as file:
        text = file.read()

    def put_in_force(configuration):
        with open(config, "w", encoding="utf-8") as file:
            file.write(configuration)
        expect_equal(context.lab.weir("reload", "--reason", "a grant that nobody uses").returncode, 0, "reload")
    put_in_force(text.replace("grants:\n", "grants:\n" + NEVER_USED, 1))
    before = uses()  # They outlive an engine.
    context.rows("select 81", "select 82")
    wait_until("they are counted", lambda: uses()["agents-work"]["count"] >= before["agents-work"]["count"] + 2, 10, 0.3)
    grants = uses()
    expect_equal(grants["agents-work"]["last_subject"], "svc:report-agent", "who used it last")
    expect_equal(grants["agents-read"], before["agents-read"], "the other grant")
    expect_equal((grants["nobody-uses"]["count"], grants["nobody-uses"]["last"]), (0, None), "the one that nobody uses")
    wait_until("it says since when it is counted", lambda: uses()["nobody-uses"]["since"], 10, 0.3)
    wait_until("it is unused for a second", lambda: "nobody-uses" in unused("--unused", "1s"), 10, 0.3)
    done = context.lab.weir("grants", "--unused", "90d")
    expect_not_in("nobody-uses", done.stdout, "--unused 90d: too young to tell")
    expect_in("counted for less than 90d", done.stderr, "and says so")
    put_in_force(text)


@case("weir explain asks the running engine: its bindings, its catalogue, its rules; nothing reaches the target, and the look is on the record")
def explained(context):
    base = ["--target", "orders-db", "--login", context.env["PGUSER"], "--database", "shop"]
    wait_until("the catalogue is read after the start", lambda: context.lab.weir_json(
        "explain", "--who", context.env["CLIENT_IP"], *base, "--sql", "select 1")["by"]["catalogue"] == "read", 10, 0.3)
    with context.target_never_sees("select email from people where id = 99"):
        told = context.lab.weir_json("explain", "--who", context.env["CLIENT_IP"], *base, "--sql", "select email from people where id = 99")
    expect_equal((told["verdict"], told["grant"], told["by"]["source"], told["by"]["catalogue"]), ("allow", "agents-work", "engine", "read"), "the verdict")
    expect_equal(told["masks"], ["email: masked by mask-people"], "the catalogue resolved the name")
    by_subject = context.lab.weir_json("explain", "--who", "svc:report-agent", *base, "--sql", "drop table orders")
    expect_equal(by_subject["verdict"], "block", "by subject")
    expect_equal({grant["grant"]: grant["admits"] for grant in by_subject["grants"]}, {"agents-read": False, "agents-work": False}, "each grant")
    late = context.lab.weir_json("explain", "--who", "svc:report-agent", "--group", "agents", *base, "--at", "2031-01-01T00:00:00Z", "--sql", "select 1")
    expect_in("has ended", json.dumps(late["grants"]), "at another time")
    parameter = context.lab.weir_json("explain", "--who", context.env["CLIENT_IP"], *base, "--sql", "select $1", "--param", "x")
    expect_equal(parameter["verdict"], "allow", "with a parameter")
    offline = context.lab.weir_json("explain", "--offline", "--who", context.env["CLIENT_IP"], *base, "--sql", "select 1")
    expect_equal(offline["by"]["source"], "disk", "offline")
    expect_equal(context.lab.weir("explain", "--who", "user:nobody", *base, "--sql", "select 1").returncode, 1, "nobody has a binding of that name")
    acts = context.lab.weir_json("events", "--act", "explain")
    expect_in("svc:report-agent on orders-db", [act["object"] for act in acts], "the looks")
    expect_not_in("drop table", json.dumps(acts), "no statement on the record of looks")
