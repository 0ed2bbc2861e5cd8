"""A name that means something else from one statement to the next: masks and grants follow it (I4)."""
import re
from contextlib import contextmanager

from harness import case, expect, expect_equal, expect_in
from pgwire import bind, execute, message, parse
from weirlab import wait_until

HARMLESS = "create or replace view looks as select name as word from people"
REVEALING = "create or replace view looks as select email as word from people"
READ = "select word from looks"


def _may_create(lab):
    """The lab's configuration, with a grant for changes of the schema, also of objects that nobody knows yet, and without
    the refusal of copies of masked columns: the mask alone must hold."""
    def edit(text):
        text = text.replace("in_filters: block", "in_filters: allow")
        return re.sub(r"verbs: \[read, write\]\n    objects: .*", 'verbs: [read, write, ddl]\n    objects: ["*"]', text)
    return lab.config_variant("ddl", edit)


@contextmanager
def _view(context):
    """A view of the client's own that shows nothing masked; yields the addresses that must not come."""
    context.lab.superuser("drop view if exists looks", "grant create on schema public to orders_app", HARMLESS, "alter view looks owner to orders_app")
    try:
        yield context.lab.superuser("select email from people").split()
    finally:
        context.lab.superuser("drop view if exists looks", "revoke create on schema public from orders_app")


def _shown(reply):
    return [row[0] for row in reply.values()]


def _hides(emails, reply, where):
    expect_equal(reply.errors, [], where)
    shown = _shown(reply)
    expect_equal(len(shown), len(emails), f"{where}: rows")
    expect(not set(shown) & set(emails), f"{where}: {sorted(set(shown) & set(emails))[:3]}")


@case("a view that its session replaces under the same name is masked from the next statement on", config=_may_create)
def replaced(context):
    with _view(context) as emails, context.wire() as wire:
        expect("*" not in "".join(_shown(wire.query(READ))), "names are not masked")
        expect_equal(wire.query(REVEALING).errors, [], "the view is replaced")
        _hides(emails, wire.query(READ), "right after it was replaced")
        expect_equal(wire.query(HARMLESS).errors, [], "and put back")
        expect("*" not in "".join(_shown(wire.query(READ))), "names are not masked again")


@case("a view replaced inside a transaction is masked there, though nobody else can see it yet", config=_may_create)
def in_transaction(context):
    with _view(context) as emails, context.wire() as wire:
        for statement in ("begin", REVEALING):
            expect_equal(wire.query(statement).errors, [], statement)
        _hides(emails, wire.query(READ), "inside the transaction")
        expect_equal(wire.query("rollback").errors, [], "rollback")
        expect("*" not in "".join(_shown(wire.query(READ))), "after the rollback names are not masked")


@case("who holds the lock of a view that they replaced may use a table that they just made", config=_may_create)
def own_lock(context):
    with _view(context), context.wire() as wire:
        for statement in ("begin", REVEALING, "create table of_this_transaction (i int)"):
            expect_equal(wire.query(statement).errors, [], statement)
        reply = wire.query("select i from of_this_transaction")  # The catalogue cannot read the view before this transaction ends.
        expect_equal((reply.errors, reply.rows), ([], []), "the new table")
        expect_equal(wire.query("rollback").status, "I", "rollback")


@case("a view replaced and read in one text, or in one pipeline, is masked", config=_may_create)
def at_once(context):
    with _view(context) as emails, context.wire() as wire:
        _hides(emails, wire.query(f"{REVEALING}; {READ}"), "one text")
        expect_equal(wire.query(HARMLESS).errors, [], "put back")
        wire.send(parse("", REVEALING), bind("", ""), execute(), parse("", READ), bind("", ""), execute(), message("S"))
        _hides(emails, wire.read_reply(), "one pipeline")


@case("a statement prepared before the view was replaced is masked after it, in its own session and in another", config=_may_create)
def prepared_before(context):
    with _view(context) as emails, context.wire() as wire, context.wire() as other:
        for session in (wire, other):
            session.send(parse("p", READ), bind("", "p"), execute(), message("S"))
            expect("*" not in "".join(_shown(session.read_reply())), "names are not masked")
        expect_equal(wire.query(REVEALING).errors, [], "the view is replaced")
        wire.send(bind("", "p"), execute(), message("S"))
        _hides(emails, wire.read_reply(), "its own session")

        def is_masked():
            other.send(bind("", "p"), execute(), message("S"))
            return not set(_shown(other.read_reply())) & set(emails)
        wait_until("another session's statement is masked", is_masked, 2, 0.1)


@case("a temporary table that hides a table of the same name is masked", config=_may_create)
def temporary(context):
    with _view(context) as emails, context.wire() as wire:
        expect_equal(wire.query("create temp table orders as select email as note from people").errors, [], "the temporary table")
        reply = wire.query("select note from orders")
        if reply.errors:  # A refusal is as good: nobody knows what it holds.
            expect_in("42501", [reply.code], "the refusal")
        else:
            expect(not set(_shown(reply)) & set(emails), "addresses came out of the temporary table")


@case("a copy of a masked column into a view or a table of another name is refused as the rule says")
def copied(context):
    for statement in ("create view copies as select email from people", "create table copies as select email from people",
                      "create temp table copies as select email from people", "insert into scratch select 1, email from people"):
        with context.target_never_sees(statement):
            context.refused(statement)


@case("a table that somebody else has just made is found by its name: the grant covers it at once")
def just_made(context):
    for turn in range(3):
        context.lab.superuser(f"drop table if exists made_{turn}", f"create table made_{turn} (id int)", f"insert into made_{turn} values (7)")
        expect_equal(context.rows(f"select id from made_{turn}"), ["7"], f"turn {turn}")
        context.lab.superuser(f"drop table made_{turn}")
