"""A blocked statement leaves client and target as if the target had raised the error (I2)."""
import time

from harness import case, expect, expect_equal, expect_in
from pgwire import COPY_DONE, FLUSH, SYNC, bind, execute, message, parse, query, run_prepared

BLOCKED = "delete from scratch"
TOLD = "a change of a whole table is closed here"


def _count(context):
    return context.lab.superuser("select count(*) from scratch")


def _after(context, wire):
    """The session goes on, and nothing was deleted."""
    expect_equal(wire.query("select 'fine'").values(), [("fine",)], "the next statement")
    expect_equal(_count(context), "100", "rows of scratch")


def _each_leg(claim, **options):
    """The case on a plain and on a TLS client leg."""
    def register(function):
        for tls in (False, True):
            @case(f"{claim} ({'TLS' if tls else 'plain'})", **options)
            def check(context, tls=tls):
                with context.target_never_sees(BLOCKED), context.wire(tls=tls) as wire:
                    function(context, wire)
                    _after(context, wire)
        return function
    return register


@case("psql is told 42501 and our message; the target never sees the statement; exit code 1")
def psql_blocked(context):
    with context.target_never_sees(BLOCKED):
        expect_in(TOLD, context.refused(BLOCKED), "the message")
    expect_equal(_count(context), "100", "rows of scratch")


@_each_leg("idle: error and ReadyForQuery(I)")
def idle(context, wire):
    reply = wire.query(BLOCKED)
    expect_equal((reply.kinds, reply.code, reply.status), ("EZ", "42501", "I"), "the answer")
    expect_equal(reply.errors[0]["S"], "ERROR", "severity")
    expect_in(TOLD, reply.errors[0]["M"], "the message")


@_each_leg("in a transaction: it is aborted, ROLLBACK ends it")
def in_transaction(context, wire):
    wire.query("begin")
    wire.query("insert into scratch values (5001, 'undone')")
    reply = wire.query(BLOCKED)
    expect_equal((reply.code, reply.status), ("42501", "E"), "the answer")
    expect_equal(wire.query("select 1").code, "25P02", "the transaction is aborted")
    expect_equal(wire.query("commit").tags, ["ROLLBACK"], "COMMIT of an aborted transaction rolls back")


@_each_leg("in a transaction with a savepoint: ROLLBACK TO brings it back, and the rest commits")
def savepoint(context, wire):
    wire.query("begin")
    wire.query("update scratch set word = 'kept' where id = 1")
    wire.query("savepoint here")
    expect_equal(wire.query(BLOCKED).status, "E", "after the block")
    expect_equal(wire.query("rollback to here").status, "T", "after ROLLBACK TO")
    expect_equal(wire.query("select word from scratch where id = 1").values(), [("kept",)], "work before the savepoint")
    expect_equal(wire.query("commit").tags, ["COMMIT"], "commit")


@_each_leg("in an aborted transaction: our error, still aborted")
def in_aborted(context, wire):
    wire.query("begin")
    wire.query("select 1 / 0")
    reply = wire.query(BLOCKED)
    expect(reply.code in ("42501", "25P02") and reply.status == "E", f"the answer: {reply}")
    wire.query("rollback")


@_each_leg("many statements in one Query: the whole message is refused, nothing of it runs")
def many(context, wire):
    reply = wire.query(f"insert into scratch values (5002, 'not'); {BLOCKED}; select 2")
    expect_equal((reply.kinds, reply.code, reply.status), ("EZ", "42501", "I"), "the answer")
    expect_equal(wire.query("select count(*) from scratch where id = 5002").values(), [("0",)], "the first statement")


@_each_leg("in a pipeline: what came before is answered, the rest is skipped to Sync, what follows Sync runs")
def in_pipeline(context, wire):
    wire.send(parse("", "select 10"), bind("", ""), execute(),
              parse("", BLOCKED), bind("", ""), execute(),
              parse("", "select 11"), bind("", ""), execute(), SYNC,
              parse("", "select 12"), bind("", ""), execute(), SYNC)
    first, second = wire.read_reply(), wire.read_reply()
    expect_equal((first.values(), first.code, first.status), ([("10",)], "42501", "I"), "the first segment")
    expect_equal((second.values(), second.errors), ([("12",)], []), "the second segment")


@_each_leg("in a pipeline, earlier work of the same segment rolls back as after an error of the target")
def pipeline_rolls_back(context, wire):
    reply = wire.pipeline(parse("", "insert into scratch values (5003, 'not')"), bind("", ""), execute(),
                          parse("", BLOCKED), bind("", ""), execute())
    expect_equal((reply.code, reply.status), ("42501", "I"), "the answer")
    expect_equal(wire.query("select count(*) from scratch where id = 5003").values(), [("0",)], "the insert")


@_each_leg("in a pipeline inside a transaction block: aborted until ROLLBACK")
def pipeline_in_transaction(context, wire):
    wire.query("begin")
    reply = wire.pipeline(parse("", BLOCKED), bind("", ""), execute())
    expect_equal((reply.code, reply.status), ("42501", "E"), "the answer")
    expect_equal(wire.query("rollback").status, "I", "rollback")


@_each_leg("a refused Parse leaves the earlier statement of that name in force, also the unnamed one")
def names_survive(context, wire):
    wire.pipeline(parse("mine", "select 21"), parse("", "select 20"))
    expect_equal(wire.pipeline(parse("other", BLOCKED)).code, "42501", "the refused Parse")
    expect_equal(wire.pipeline(run_prepared("mine")).values(), [("21",)], "the named statement")
    reply = wire.pipeline(bind("", "other"), execute())
    expect(reply.code in ("26000", "42501"), f"the refused name does not exist: {reply}")


@_each_leg("a blocked statement after Flush is answered without a Sync")
def flushed(context, wire):
    wire.send(parse("", "select 31"), bind("", ""), execute(), FLUSH)
    kinds = [wire.read_message()[0] for _ in range(4)]
    expect_equal("".join(kinds), "12DC", "the first answers")
    wire.send(parse("", BLOCKED), FLUSH)
    kind, _ = wire.read_message()
    expect_equal(kind, "E", "the refusal comes without Sync")
    wire.send(SYNC)
    expect_equal(wire.read_reply().status, "I", "after Sync")


@_each_leg("EXECUTE of a statement prepared in SQL, EXPLAIN ANALYZE and a CTE do not get round the rule")
def nested(context, wire):
    for statement in (f"explain analyze {BLOCKED}", "with d as (delete from scratch returning 1) select count(*) from d",
                      f"prepare p as {BLOCKED}", f"/* */ -- x\n DELETE/**/FROM scratch"):
        reply = wire.query(statement)
        expect_equal((reply.code, reply.rows), ("42501", []), statement)


@case("a syntax error is the parser's own: 42601, its message and position")
def syntax_error(context):
    with context.wire() as wire:
        reply = wire.query("select from where")
        expect_equal((reply.code, reply.errors[0].get("P")), ("42601", "13"), "the error")
        expect_in('syntax error at or near "where"', reply.errors[0]["M"], "the message")
        expect_equal(wire.query("select 1").values(), [("1",)], "afterwards")


@case("a refusal while COPY data is under way reaches the client, and the session goes on")
def copy_refused(context):
    with context.target_never_sees("to program"), context.wire() as wire:
        reply = wire.query("copy scratch to program 'cat'")
        expect_equal((reply.code, reply.status), ("42501", "I"), "COPY TO PROGRAM")
        wire.send(query("copy scratch from program 'cat'"), message("d", b"1\tx\n"), COPY_DONE)
        reply = wire.read_reply()
        expect_equal((reply.code, reply.status), ("42501", "I"), "COPY FROM PROGRAM, data sent in advance")
        expect_equal(wire.query("select 3").values(), [("3",)], "afterwards")


@case("the record of a blocked statement: verdict, rule, and that the target never saw it")
def on_record(context):
    before = context.session_ids()
    context.refused("delete from scratch where true")
    session = context.sealed_since(before)[0]
    expect_equal(session["blocked"], 1, "blocked commands of the session")
    events = [e for e in context.replay(session) if e["kind"] == "command" and e["verdict"] == "block"]
    expect_equal([(e["rule"], e["text"]) for e in events], [("whole-table-change", "delete from scratch where true")], "the event")
    expect_equal(events[0]["outcome"], "blocked", "its outcome")


@case("a pipeline's units have their fates on the record: passed, refused, skipped")
def fates(context):
    before = context.session_ids()
    with context.wire() as wire:
        wire.pipeline(parse("", "select 41"), bind("", ""), execute(), parse("", BLOCKED), bind("", ""), execute(),
                      parse("", "select 42"), bind("", ""), execute())
        wire.send(message("X"))
    session = context.sealed_since(before)[0]
    outcomes = [e["outcome"] for e in context.replay(session) if e["kind"] == "command"]
    for wanted in ("passed", "skipped"):
        expect_in(wanted, " ".join(outcomes), "outcomes")
    sequence = [e["seq"] for e in context.replay(session)]
    expect_equal(sequence, list(range(1, len(sequence) + 1)), "no gap in the sequence")


@case("a protocol violation ends the session with 08P01 and is on the record")
def violation(context):
    before = context.session_ids()
    with context.wire() as wire:
        wire.send(b"Q\x00\x00\x00\x02")
        reply = wire.read_reply()
        expect_equal((reply.code, reply.status), ("08P01", None), "the answer")
    session = context.sealed_since(before)[0]
    expect(session["reason"], "the session has a reason")


@case("function calls and replication mode are refused, not passed")
def refused_protocols(context):
    with context.wire() as wire:
        wire.send(message("F", b"\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00"))
        reply = wire.read_reply()
        expect(reply.errors and not reply.rows, f"FunctionCall: {reply}")
    mark = context.lab.log_mark()
    try:
        with context.wire(startup={"replication": "database"}) as wire:
            expect(wire.query("IDENTIFY_SYSTEM").code is not None, "replication command")
    except Exception as error:
        expect(not isinstance(error, TimeoutError), "no answer")
    time.sleep(0.2)
    expect("IDENTIFY_SYSTEM" not in context.lab.log_since(mark), "the target saw it")
