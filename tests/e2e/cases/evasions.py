"""What people do to get round a gateway: each class, and that the target never receives it unseen."""
import struct
import time

from harness import case, expect, expect_equal, expect_in
from pgwire import SYNC, WireError, bind, execute, message, parse, query, text
from weirlab import PATIENCE

SHAPES = {
    "comments": "delete /* where id = 1 */ from scratch -- where id = 1",
    "nested comments": "/* a /* b */ c */ delete from scratch",
    "white space of every kind": "delete\t\n\x0c\rfrom\nscratch",
    "a stacked statement": "select 1; delete from scratch",
    "WHERE that is always true": "delete from scratch where 1 = 1 or true",
    "quoted and qualified names": 'delete from only "public"."scratch" as s',
    "a data-changing CTE": "with d as (delete from scratch returning *) select * from d",
    "a data-changing CTE, nested": "select * from (with d as (select 1) select 2) as x, lateral (select 3) as y; with e as (delete from scratch) select 4",
    "EXPLAIN ANALYZE": "explain (analyze) delete from scratch",
    "PREPARE in SQL": "prepare p as delete from scratch",
    "DO": "do $$ begin delete from scratch; end $$",
    "DO with dynamic text": "do $x$ begin execute 'del' || 'ete from scr' || 'atch'; end $x$",
    "a rule-free CALL": "call pay_all()",
    "a dynamic query function": "select query_to_xml('delete from scratch', true, true, '')",
    "a cursor over a changing CTE": "declare c cursor for with d as (delete from scratch returning 1) select 1",
    "COPY of a changing statement": "copy (delete from scratch returning id) to stdout",
    "COPY PROGRAM": "copy scratch to program 'sh -c id'",
    "COPY to a file": "copy scratch to '/tmp/weir-evasion'",
    "reading a server file": "select pg_read_file('/etc/passwd')",
    "reading a server file, qualified and quoted": 'select "pg_catalog"."pg_read_file"($$/etc/passwd$$)',
    "reading a server file in FROM": "select * from pg_catalog.pg_read_binary_file('/etc/passwd')",
    "large object import": "select lo_import('/etc/passwd')",
    "terminating a backend": "select pg_terminate_backend(1)",
    "set_config in a SELECT": "select set_config('role', 'postgres', false)",
    "SET ROLE": "set role postgres",
    "SET LOCAL ROLE with odd case": "SeT lOcAl RoLe postgres",
    "passwords of roles": "select rolpassword from pg_authid",
    "a search_path trick": "set search_path = pg_temp, public; create temp table people as select 1",
}


def _shape_case(name, statement):
    @case(f"{name} is refused, and the target never sees it")
    def check(context):
        with context.target_never_sees(statement, "delete from scratch", "pg_read_file"), context.wire() as wire:
            reply = wire.query(statement)
            expect_equal((reply.code, reply.rows), ("42501", []), statement)
            expect_equal(wire.query("select 1").values(), [("1",)], "afterwards")
            reply = wire.pipeline(parse("", statement), bind("", ""), execute())
            expect(reply.code in ("42501", "42601"), f"in the extended protocol: {reply}")
            expect_equal(wire.query("select 1").values(), [("1",)], "afterwards")
        expect_equal(context.lab.superuser("select count(*) from scratch"), "100", "rows of scratch")


for _name, _statement in SHAPES.items():
    _shape_case(_name, _statement)


@case("a shape that looks like one but is text passes: literals, dollar quotes, identifiers")
def harmless(context):
    for statement in ("select 'delete from scratch'", "select $$ delete from scratch $$", "select 1 as \"delete from scratch\"",
                      "select U&'\\0064elete from scratch'", "select E'delete\\nfrom scratch'", "select 1 -- delete from scratch"):
        done = context.psql(statement)
        expect_equal(done.returncode, 0, f"{statement}: {done.stderr}")


@case("standard_conforming_strings=off does not make two statements of one: by SET, startup option, set_config")
def grammar(context):
    trick = "select 'a\\' , 'b; delete from scratch; --'"
    with context.target_never_sees("b; delete from scratch"):
        with context.wire() as wire:
            wire.query("set standard_conforming_strings = off")
            wire.query(trick)
        with context.wire() as wire:
            wire.pipeline(parse("", "set standard_conforming_strings = off"), bind("", ""), execute(),
                          parse("", trick), bind("", ""), execute())
        with context.wire() as wire:
            wire.query("select set_config('standard_conforming_strings', 'off', false)")
            wire.query(trick)
        for options in ({"standard_conforming_strings": "off"}, {"options": "-c standard_conforming_strings=off"}):
            try:
                with context.wire(startup=options) as wire:
                    wire.query(trick)
            except (WireError, EOFError, ConnectionError):
                pass
    expect_equal(context.lab.superuser("select count(*) from scratch"), "100", "rows of scratch")


@case("a foreign client_encoding is refused: by startup option and by SET")
def encoding(context):
    with context.wire() as wire:
        wire.query("set client_encoding to 'SJIS'")
        expect(wire.query("select 'x'").code is not None or wire.parameters.get("client_encoding") == "UTF8", "a foreign encoding")
    try:
        with context.wire(startup={"client_encoding": "BIG5"}) as wire:
            expect(wire.query("select 'x'").code is not None, "by startup option")
    except (WireError, EOFError, ConnectionError):
        pass


@case("one byte a packet, and messages cut anywhere, are judged as a whole")
def cuts(context):
    with context.target_never_sees("delete from scratch"), context.wire() as wire:
        wire.send_slowly(query("select 'slow'"))
        expect_equal(wire.read_reply().values(), [("slow",)], "a query in single bytes")
        wire.send_slowly(query("delete from scratch"))
        expect_equal(wire.read_reply().code, "42501", "a blocked one")
        wire.send_slowly(parse("", "select 5") + bind("", "") + execute() + SYNC)
        expect_equal(wire.read_reply().values(), [("5",)], "a pipeline")


@case("half a command never reaches the target")
def half(context):
    with context.target_never_sees("half_a_command"):
        with context.wire() as wire:
            wire.send(query("select 'half_a_command', " + "'x'" * 50)[:-20])
            time.sleep(0.5)
        with context.wire(tls=True) as wire:
            wire.send(query("select 'half_a_command'")[:-3])
            time.sleep(0.3)


@case("bytes smuggled between SSLRequest and the TLS hello are refused, not passed")
def smuggled(context):
    startup = struct.pack("!I", 196608) + text("user") + text("smuggler") + text("database") + text("shop") + b"\0"
    with context.target_never_sees("smuggler"), context.wire(login=False) as wire:
        wire.send(struct.pack("!II", 8, 80877103) + struct.pack("!I", len(startup) + 4) + startup)
        try:
            data = wire.socket.recv(4096)
            while data and len(data) < 4096:
                more = wire.socket.recv(4096)
                if not more:
                    break
                data += more
        except (ConnectionError, TimeoutError) as error:
            expect(not isinstance(error, TimeoutError), "the connection hangs")


@case("GSSENCRequest is declined and the login goes on; SSLRequest twice is refused")
def gss(context):
    with context.wire(login=False) as wire:
        wire.send(struct.pack("!II", 8, 80877104))
        expect_equal(wire.read_bytes(1), b"N", "the answer to GSSENCRequest")
        wire.login(context.env["PGUSER"], context.passwords[context.env["PGUSER"]], context.env["PGDATABASE"])
        expect_equal(wire.query("select 1").values(), [("1",)], "afterwards")


@case("protocol 3.2, an unknown minor version, is negotiated or refused, never misread")
def minor_version(context):
    with context.wire(login=False) as wire:
        body = struct.pack("!I", 0x00030002) + text("user") + text(context.env["PGUSER"]) + text("database") + text("shop") + b"\0"
        wire.send(struct.pack("!I", len(body) + 4) + body)
        kind, _ = wire.read_message()
        expect(kind in "vRE", f"the first answer is {kind!r}")


def _length_case(name, data):
    @case(f"{name} ends the session with an error, and nothing of it is passed")
    def check(context):
        with context.target_never_sees("evil_length"), context.wire() as wire:
            wire.send(data)
            reply = wire.read_reply()
            expect(reply.status is None or reply.errors, f"the answer: {reply}")


_length_case("a negative length", b"Q\xff\xff\xff\xff" + b"select 'evil_length'\0")
_length_case("a length below four", b"Q\0\0\0\3" + b"select 'evil_length'\0")
_length_case("an unknown message type", message("~", b"evil_length\0"))
_length_case("a statement without its final zero", message("Q", b"select 'evil_length'"))
_length_case("a Bind with more values than it carries", message("B", b"\0\0\0\0\x7f\xff" + b"evil_length"))


@case("a length of 1 GB does not hold the gateway: the session ends or is refused, others go on")
def huge_length(context):
    with context.wire() as wire:
        wire.send(b"Q" + struct.pack("!I", 1 << 30) + b"select 'evil_length'")
        expect_equal(context.rows("select 1"), ["1"], "another session")


@case("statements built to break a parser are answered, and other sessions are not delayed", seconds=120)
def monsters(context):
    monsters = {"terms": "select 1" + "+-1" * 30_000, "parentheses": "select " + "(" * 10_000 + "1" + ")" * 10_000,
                "a long list": "select 1 where 1 in (" + ",".join(["1"] * 200_000) + ")"}
    for name, statement in monsters.items():
        with context.wire(timeout=60) as wire, context.wire() as other:
            wire.send(query(statement))
            started = time.monotonic()
            expect_equal(other.query("select 1").values(), [("1",)], "another session")
            expect(time.monotonic() - started < 1 * PATIENCE, f"another session waited {time.monotonic() - started:.2f} s for {name}")
            reply = wire.read_reply()
            expect(reply.status == "I" or reply.errors, f"{name}: {reply.kinds}")
    expect(context.is_alive(), "the engine lives")


@case("65,535 parameters are passed or refused, never misread")
def many_parameters(context):
    with context.wire(timeout=60) as wire:
        sql = "select " + "+".join(f"${i}::int" for i in range(1, 2001))
        reply = wire.pipeline(parse("", sql), bind("", "", ["1"] * 2000), execute())
        expect_equal(reply.values(), [("2000",)], "2,000 parameters")
        reply = wire.pipeline(parse("", "select 1"), bind("", "", ["1"] * 65535), execute())
        expect(reply.code is not None, "a Bind with too many")


@case("a cancel request with a made-up key cancels nothing")
def foreign_cancel(context):
    with context.wire() as wire:
        wire.send(query("select count(*) from generate_series(1, 3000000)"))
        with context.wire(login=False) as other:
            other.send(struct.pack("!IIII", 16, 80877102, struct.unpack("!I", wire.key[:4])[0], 12345))
            try:
                other.socket.recv(1)
            except OSError:
                pass
        expect_equal(wire.read_reply().values(), [("3000000",)], "the running statement")


@case("re-use of a statement name in one pipeline is judged under the old and the new text")
def name_race(context):
    with context.target_never_sees("delete from scratch"), context.wire() as wire:
        wire.send(parse("n", "select 1"), message("C", b"S" + text("n")), parse("n", "delete from scratch"), bind("", "n"), execute(), SYNC)
        reply = wire.read_reply()
        expect_equal(reply.code, "42501", "the re-used name")
    expect_equal(context.lab.superuser("select count(*) from scratch"), "100", "rows of scratch")


@case("a SQL-level PREPARE cannot be used by Bind to get round a rule")
def sql_prepare(context):
    with context.target_never_sees("delete from scratch"), context.wire() as wire:
        wire.query("prepare sneaky as delete from scratch")
        reply = wire.pipeline(bind("", "sneaky"), execute())
        expect(reply.code is not None and not reply.tags, f"the Bind: {reply}")
