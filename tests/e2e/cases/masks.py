"""A masked value reaches neither the client nor anything that is kept (I4)."""
import base64
import os
import re
import subprocess

from harness import case, expect, expect_equal, expect_in, expect_not_in
from pgwire import bind, describe, execute, parse

WHO = 77   # The person that these cases look at.


def _secrets(context):
    email, card, tax = context.lab.superuser(f"select email, card, tax_id from people where id = {WHO}").split("|")
    return email, card, tax


def _hidden(secrets, output, where):
    """No original, nor its readable head, nor its usual disguises."""
    lowered = output.lower()
    joined = re.sub(r"[\s|,;{}()\"']", "", lowered)     # A value that came in pieces, a row or a column each.
    for secret in secrets:
        for form in {secret, secret[::-1], secret.encode().hex(), base64.b64encode(secret.encode()).decode(), secret[:-4]}:
            expect_not_in(form.lower(), lowered, where)
            expect_not_in(form.lower(), joined, f"{where}, put together")


# Each reads masked columns of one person.  A refusal is as good as a mask; the value is what must not come.
READS = {
    "plain": "select email, card, tax_id from people where id = {id}",
    "star": "select * from people where id = {id}",
    "whole row": "select p from people p where id = {id}",
    "alias": "select email as x, card as y from people as q where id = {id}",
    "quoted names": 'select "email" from "public"."people" where "id" = {id}',
    "cast": "select email::varchar(200), cast(card as text) from people where id = {id}",
    "binary cast": "select email::bytea, convert_to(card, 'UTF8') from people where id = {id}",
    "concatenation": "select 'mail: ' || email || ';' || card from people where id = {id}",
    "functions": "select upper(email), reverse(card), md5(tax_id) || substr(email, 1, 12), overlay(card placing '' from 1 for 1) from people where id = {id}",
    "encode": "select encode(email::bytea, 'hex'), encode(card::bytea, 'base64') from people where id = {id}",
    "format": "select format('%s-%s', email, card) from people where id = {id}",
    "substrings": "select substr(email, 1, 5), substr(email, 6, 60) from people where id = {id}",
    "subquery": "select (select email from people where id = {id}), (select array_agg(card) from people where id = {id})",
    "derived table": "select a, b from (select email as a, card as b, id from people) as t where id = {id}",
    "CTE": "with p as (select * from people) select email, tax_id from p where id = {id}",
    "recursive CTE": "with recursive p as (select id, email from people where id = {id} union all select 0, email from p where id > 0) select * from p",
    "join": "select p.email, o.id from orders o join people p on p.id = o.person_id where p.id = {id} limit 3",
    "join using": "select * from people join (select id from people) as q using (id) where id = {id}",
    "lateral": "select x.e from people p, lateral (select p.email as e) as x where p.id = {id}",
    "union": "select email from people where id = {id} union all select 'x'",
    "values": "select * from (values ((select email from people where id = {id}))) as v",
    "case": "select case when id = {id} then email end from people where id = {id}",
    "coalesce": "select coalesce(notes, email), nullif(card, ''), greatest(email, '') from people where id = {id}",
    "aggregate": "select string_agg(email, ','), max(card), min(tax_id) from people where id = {id}",
    "window": "select first_value(email) over (), lag(card, 0) over () from people where id = {id}",
    "json": "select row_to_json(p), to_jsonb(p), json_build_object('e', email), jsonb_agg(card) over () from people p where id = {id}",
    "json rows": "select json_agg(p) from people p where id = {id}",
    "xml": "select xmlforest(email, card) from people where id = {id}",
    "query to xml": "select query_to_xml('select email from people where id = {id}', true, true, '')",
    "table to xml": "select table_to_xml('people', true, true, '')",
    "view": "select contact, card_text from contacts where id = {id}",
    "view of a join": "select email from order_totals where email is not null and id = (select min(id) from orders where person_id = {id})",
    "function": "select person_email({id})",
    "function in FROM": "select * from person_email({id})",
    "table": "table people",
    "splitting": "select regexp_split_to_table(email, '@') from people where id = {id}",
    "unnest": "select unnest(array[email, card]) from people where id = {id}",
    "string to table": "select string_to_table(card, '') from people where id = {id}",
    "RETURNING": "update people set notes = notes where id = {id} returning email, card",
    "RETURNING in a CTE": "with u as (update people set notes = notes where id = {id} returning *) select email from u",
    "copy query": "copy (select email, card from people where id = {id}) to stdout",
    "copy table": "copy people to stdout",
    "copy csv": "copy (select * from people where id = {id}) to stdout (format csv, header)",
    "copy expression": "copy (select upper(email) || card from people where id = {id}) to stdout (format csv, force_quote *)",
    "cursor": "begin; declare c cursor for select email, card from people where id = {id}; fetch all from c; commit",
    "notice": "select tell_email({id})",
    "error of a function": "select fail_with_email({id})",
    "error of a cast": "select email::int from people where id = {id}",
    "error of a cast, by way of a subquery": "select (select card || 'x' from people where id = {id})::int",
    "detail of a duplicate key": "insert into people (id, name, email) select id, name, email from people where id = {id}",
    "explain": "explain (analyze, verbose) select email from people where id = {id}",
    "temporary copy": "create temp table t as select email from people where id = {id}; select * from t",
    "insert into another table": "insert into scratch select 7000, email from people where id = {id} returning word",
}


def _read_case(name, statement):
    @case(f"masked columns stay masked: {name}")
    def check(context):
        secrets = _secrets(context)
        done = context.psql(statement.format(id=WHO), timeout=30)
        _hidden(secrets, done.stdout + done.stderr, "what psql printed")


for _name, _statement in READS.items():
    _read_case(_name, _statement)


@case("a partial mask keeps the length and the last four characters")
def partial(context):
    secrets = _secrets(context)
    got = context.rows(f"select email, card, tax_id from people where id = {WHO}")[0].split("|")
    for secret, value in zip(secrets, got):
        expect_equal((len(value), value[-4:]), (len(secret), secret[-4:]), "the masked value")
        expect(value != secret, "the value is masked")


@case("columns that no rule masks arrive unchanged beside masked ones, NULL stays NULL")
def neighbours(context):
    context.lab.superuser(f"update people set card = null where id = {WHO + 1}")
    got = context.rows(f"select id, name, born, card from people where id = {WHO + 1}")
    wanted = context.lab.superuser(f"select id, name, born, null from people where id = {WHO + 1}")
    expect_equal(got, [wanted], "the row")


def _binary_case(tls):
    @case(f"masks hold in binary format, through a prepared statement and a portal with a row limit ({'TLS' if tls else 'plain'})")
    def check(context):
        secrets = _secrets(context)
        with context.wire(tls=tls) as wire:
            wire.send(parse("s", "select id, email, card from people where id >= $1::int order by id"), describe("S", "s"),
                      bind("p", "s", [str(WHO)], [1]), execute("p", 1), execute("p", 2), bind("q", "s", [str(WHO)], [0, 1, 0]),
                      execute("q", 1))
            reply = wire.pipeline()
            expect_equal(reply.errors, [], "no error")
            expect_equal(len(reply.rows), 4, "rows")
            data = b"|".join(value or b"" for row in reply.rows for value in row).decode("latin-1")
            _hidden(secrets, data, "the rows")
            expect_equal(len(reply.rows[0][1]), len(secrets[0]), "the masked value's size")


_binary_case(False)
_binary_case(True)


@case("COPY in binary format is masked or refused")
def copy_binary(context):
    secrets = _secrets(context)
    argv = ["psql", "-X", "-q", "-c", f"copy (select id, email, card from people where id = {WHO}) to stdout (format binary)"]
    done = context.lab.run("client", argv, env=context.lab.client_env(), binary=True)
    _hidden(secrets, done.stdout.decode("latin-1"), "the copied bytes")


FILTERS = {
    "WHERE equality": "select id from people where email = 'a@b.c'",
    "WHERE LIKE": "select count(*) from people where card like '4111%'",
    "ORDER BY": "select id from people order by email",
    "ORDER BY position of an expression": "select id, email || '' from people order by 2",
    "GROUP BY": "select count(*) from people group by tax_id",
    "HAVING": "select id from people group by id having max(email) > 'm'",
    "JOIN": "select p.id from people p join people q on p.email = q.email",
    "CASE": "select case when email > 'm' then 1 else 0 end from people",
    "a subquery's filter": "select id from orders where person_id in (select id from people where email like 'a%')",
    "DISTINCT ON": "select distinct on (email) id from people",
    "a window": "select rank() over (order by card) from people",
}


def _filter_case(name, statement):
    @case(f"a masked column cannot be guessed by {name}: blocked")
    def check(context):
        with context.target_never_sees(statement):
            context.refused(statement)


for _name, _statement in FILTERS.items():
    _filter_case(_name, _statement)


@case("what is made from a masked column tells nothing: neither a part at any place, nor a length, nor which rows are alike")
def derived(context):
    for expression in ("length(email)", "substr(card, 1, 6)", "reverse(email)", "md5(email)", "ascii(email)", "left(card, 1) || '....'",
                       "email::varchar(3)", "octet_length(card)::numeric", "concat(id, email)"):
        rows = set(context.rows(f"select {expression} from people")) - {""}  # A NULL stays one.
        expect_equal(len(rows), 1, f"different answers to {expression}")


@case("a value that we masked is not written back: it would destroy the data")
def write_back(context):
    secrets = _secrets(context)
    masked = context.rows(f"select email from people where id = {WHO}")[0]
    context.refused(f"update people set email = '{masked}' where id = {WHO}")
    expect_equal(context.lab.superuser(f"select email from people where id = {WHO}"), secrets[0], "the stored value")


@case("masked values are counted in the session")
def counted(context):
    before = context.session_ids()
    context.rows("select email, card from people order by id limit 10")
    expect(context.sealed_since(before)[0]["masked"] >= 20, "values masked")


def _everything_kept(context):
    """All bytes that the gateway keeps or writes: state folder (also unpacked), log, metrics."""
    for folder, _, names in os.walk(context.env["WEIR_STATE"]):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    data = file.read()
                yield path, data
                for frame in data.split(b"\x28\xb5\x2f\xfd")[1:]:
                    out = subprocess.run(["zstdcat"], input=b"\x28\xb5\x2f\xfd" + frame, capture_output=True).stdout
                    if out:
                        yield f"{path} (zstd)", out
    with open(context.env["WEIR_LOG"], "rb") as file:
        yield context.env["WEIR_LOG"], file.read()
    done = context.lab.run("gateway", ["curl", "-s", "http://127.0.0.1:9464/metrics"], binary=True)
    yield "metrics", done.stdout


@case("a random masked value is nowhere in what is kept: raw, reversed, hex, base64, also in unpacked archives; nor a literal of it",
      seconds=120)
def nowhere(context):
    word = os.urandom(9).hex()
    email, card = f"{word}@example.invalid", "4111111111111111"
    context.lab.superuser(f"insert into people (id, name, email, card, tax_id) values (9100, 'Random Person', '{email}', '{card}', 'XX{word}')"
                          " on conflict (id) do update set email = excluded.email, tax_id = excluded.tax_id")
    before = context.session_ids()
    count = 0
    for statement in ("select * from people where id = 9100", "select email from people where id >= 9100", "copy (select * from people where id = 9100) to stdout",
                      "select fail_with_email(9100)", "select tell_email(9100)",
                      f"insert into people (id, name, email) values (9101, 'Other', '{email}')",
                      f"update people set tax_id = 'XX{word}' where id = 9101",
                      f"select id from people where email = '{email}'"):
        done = context.psql(statement)
        if word not in statement:
            expect_not_in(word, done.stdout + done.stderr, f"what psql shows of {statement}")
        count += 1
    with context.wire(tls=True) as wire:
        wire.pipeline(parse("", "update people set email = $1 where id = 9101"), bind("", "", [email]), execute())
        wire.pipeline(parse("", "select email from people where id = $1::int"), bind("", "", ["9100"], [1]), execute())
    context.sealed_since(before, count + 1)
    raw = word.encode()
    forms = {"raw": raw, "reversed": raw[::-1], "hex": raw.hex().encode(), "upper-case": raw.upper(), "UTF-16": word.encode("utf-16-le")}
    # base64 of a text that holds the word, at each of the three alignments, without the edges.
    for shift in range(3):
        forms[f"base64 at {shift}"] = base64.b64encode(b"x" * shift + raw)[4:-4]
    for place, data in _everything_kept(context):
        for form, needle in forms.items():
            expect(needle not in data, f"the value stands in {place}, {form}")


@case("mask rules follow a reload in a live session")
def reload_in_session(context):
    context.extra_rules("""rules:
  - id: mask-notes
    why: "a test"
    severity: low
    where: {targets: [orders-db], direction: to_client}
    what: {columns: ["public.scratch.word"]}
    then: mask
    mask: {as: full}
    examples: {match: ["select word from scratch"], no_match: ["select id from scratch"]}
""")
    with context.wire() as wire:
        expect_equal(wire.query("select word from scratch where id = 5").values(), [("word 5",)], "before the reload")
        context.lab.gateway_reload()
        value = wire.query("select word from scratch where id = 5").values()
        expect(value and value[0][0] != "word 5", f"after the reload: {value}")
        context.extra_rules("rules: []\n")
        context.lab.gateway_reload()
        expect_equal(wire.query("select word from scratch where id = 5").values(), [("word 5",)], "after taking it out")
