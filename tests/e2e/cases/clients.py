"""Unmodified clients through the gateway: the same answers as directly at the target, from the client's own address."""
import json
import os
import re
import signal
import subprocess
import time

from harness import case, expect, expect_equal, expect_in
from npm import node_modules
from pgwire import bind, describe, execute, message, parse, query
from weirlab import wait_until

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LEGS = {"": "TLS with a minted leaf, inject", "relay": "TLS with the target's pair, relay", "plain": "no TLS, relay"}
# No masked column in them, and no function of the shop (which taints its statement), so that the rows must be the same to the byte.
READS = [
    "select id, name, born from people order by id limit 40",
    "select o.id, o.total, count(*) from orders o join order_lines l on l.order_id = o.id group by 1, 2 order by 1 limit 25",
    "select 1 as one, null as none, E'tab\\there', '\u00e9\u4e16'",
    "select count(*) from information_schema.tables where table_schema = 'public'",
]


def _directly(lab, *statements):
    done = lab.psql(*statements, where="target")
    expect_equal(done.returncode, 0, f"directly at the target: {done.stderr}")
    return done.stdout


def _reads_case(config, ipv6, sslmode):
    protocol = "IPv6" if ipv6 else "IPv4"

    @case(f"psql with {'its defaults' if not sslmode else 'sslmode=' + sslmode} reads what the target holds ({LEGS[config]}; {protocol})",
          config=config)
    def check(context):
        done = context.psql(*READS, ipv6=ipv6, sslmode=sslmode)
        expect_equal((done.returncode, done.stderr), (0, ""), "psql")
        expect_equal(done.stdout, _directly(context.lab, *READS), "the rows")


for _config in LEGS:
    for _ipv6 in (False, True):
        _reads_case(_config, _ipv6, None)
_reads_case("", False, "disable")
_reads_case("", False, "require")


@case("psql's own catalogue queries work: \\d, \\dt+, \\df")
def psql_describes(context):
    done = context.psql("\\d orders", "\\dt+", "\\df order_count", "\\l")
    expect_equal(done.returncode, 0, done.stderr)
    expect_in("person_id", done.stdout, "\\d shows columns")


@case("psql with sslmode=verify-full trusts the target's own certificate on the relay leg", config="relay")
def verify_full(context):
    authority = os.path.join(context.lab.folder, "keys", "target-ca.crt")
    env = {**context.lab.client_env(host="orders-db.lab.example", sslmode="verify-full"), "PGHOSTADDR": context.env["TARGET_IP"],
           "PGSSLROOTCERT": authority}
    done = context.lab.run("client", ["psql", "-X", "-A", "-t", "-c", "select 'verified'"], env=env)
    expect_equal((done.returncode, done.stdout.strip()), (0, "verified"), done.stderr)


@case("psql with sslmode=verify-full and the gateway's CA trusts the minted leaf")
def verify_minted(context):
    authority = os.path.join(context.lab.folder, "keys", "ca.crt")
    env = {**context.lab.client_env(host="orders-db.lab.example", sslmode="verify-full"), "PGHOSTADDR": context.env["TARGET_IP"],
           "PGSSLROOTCERT": authority}
    done = context.lab.run("client", ["psql", "-X", "-A", "-t", "-c", "select 'verified'"], env=env)
    expect_equal((done.returncode, done.stdout.strip()), (0, "verified"), done.stderr)


@case("a wrong password is refused, by the gateway and by the target (inject, relay)")
def wrong_password(context):
    for config in ("", "relay"):
        context.use(config)
        env = {**context.lab.client_env(), "PGPASSFILE": "/dev/null", "PGPASSWORD": "not the password"}
        done = context.lab.run("client", ["psql", "-X", "-c", "select 1"], env=env)
        expect(done.returncode == 2, f"{config or 'inject'}: exit {done.returncode}")
        expect_in("password authentication failed", done.stderr, "the refusal")


@case("with inject, a login that the configuration does not name is refused before the target hears of it")
def unknown_login(context):
    mark = context.lab.log_mark()
    done = context.psql("select 1", user="postgres")
    expect(done.returncode == 2, f"exit {done.returncode}")
    expect("user=postgres" not in context.lab.log_since(mark), "the target saw the login")


def _source_case(config, ipv6):
    @case(f"the target sees the client's own address and port ({LEGS[config]}; {'IPv6' if ipv6 else 'IPv4'})", config=config)
    def check(context):
        with context.wire(ipv6=ipv6, tls=config != "plain") as wire:
            own = wire.socket.getsockname()
            seen = wire.query("select host(inet_client_addr()), inet_client_port()").values()
            expect_equal(seen, [(own[0], str(own[1]))], "what the target sees")


for _config in LEGS:
    _source_case(_config, False)
_source_case("", True)


def _pgbench_case(config, mode, sslmode):
    @case(f"pgbench -M {mode} reads and writes without one failure, all on the record (sslmode={sslmode}; {LEGS[config]})", config=config)
    def check(context):
        before = context.session_ids()
        transactions = 0
        for arguments in (["-S", "-t", "100"], ["-t", "25"]):
            argv = ["pgbench", "-n", "-M", mode, "-c", "4", "-j", "2", *arguments]
            done = context.lab.run("client", argv, env=context.lab.client_env(sslmode=sslmode), timeout=50)
            expect_equal(done.returncode, 0, f"{' '.join(argv)}: {done.stderr[-600:]}")
            count = re.search(r"number of transactions actually processed: (\d+)/(\d+)", done.stdout)
            expect(count and count[1] == count[2], f"all transactions ran: {done.stdout[-400:]}")
            transactions += int(count[1])
        sessions = context.sealed_since(before, 8)
        expect(sum(s["commands"] for s in sessions) >= transactions, f"{sessions} hold fewer commands than {transactions}")


for _mode in ("simple", "extended", "prepared"):
    for _sslmode in ("disable", "require"):
        _pgbench_case("", _mode, _sslmode)
_pgbench_case("relay", "prepared", "require")
_pgbench_case("plain", "extended", "prefer")


def _node_case(config, tls):
    @case(f"node pg: parameters, named statements, transactions, errors ({'TLS' if tls else 'plain'}; {LEGS[config]})", config=config,
          seconds=240)
    def check(context):
        env = {**context.lab.client_env(), "NODE_PATH": node_modules("pg@8"), "WEIR_TEST_TLS": "1" if tls else "",
               "PGPASSWORD": context.passwords[context.env["PGUSER"]]}
        done = context.lab.run("client", ["node", os.path.join(HERE, "node_client.cjs")], env=env)
        expect_equal(done.returncode, 0, done.stderr[-800:])
        answers = json.loads(done.stdout)
        expect_equal(answers, {"parameter": 42, "named": [1, 2, 3], "count": 100, "failed": "22012", "blocked": "42501",
                               "after": "fine", "rolled_back": 0, "large": 20000}, "what node saw")


_node_case("", False)
_node_case("", True)
_node_case("relay", True)


def _copy_case(form):
    @case(f"COPY out and in, format {form}: the bytes are those of a direct connection")
    def check(context):
        out = f"copy (select id, person_id, placed_at, paid, total, note from orders order by id) to stdout (format {form})"
        argv = ["psql", "-X", "-q", "-c", out]
        env = context.lab.client_env()
        through = context.lab.run("client", argv, env=env, binary=True)
        expect_equal((through.returncode, through.stderr), (0, b""), "copy out")
        expect_equal(through.stdout == context.lab.run("target", argv, env=env, binary=True).stdout, True, "the copied bytes are equal")
        context.lab.superuser("drop table if exists copied", "create table copied (like orders)")
        into = context.lab.run("client", ["psql", "-X", "-q", "-c", f"copy copied from stdin (format {form})"], env=env,
                               input=through.stdout, binary=True)
        expect_equal((into.returncode, into.stderr), (0, b""), "copy in")
        expect_equal(context.lab.superuser("select count(*) from (table orders except table copied) as d", "select count(*) from copied"),
                     "0\n3000", "what the target holds")


for _form in ("text", "csv", "binary"):
    _copy_case(_form)


@case("COPY in that fails half-way leaves the session usable, with the target's own error")
def copy_fails(context):
    with context.wire() as wire:
        wire.send(query("copy scratch from stdin"))
        expect_equal(wire.read_reply().kinds, "G", "copy in begins")
        wire.send(message("d", b"1001\tfine\n"), message("d", b"not a number\tx\n"), message("c"))
        reply = wire.read_reply()
        expect_equal((reply.code, reply.status), ("22P02", "I"), "the error")
        expect_equal(wire.query("select count(*) from scratch").values(), [("100",)], "afterwards")


@case("an Execute of COPY FROM STDIN with a pipelined Sync keeps both sides in step")
def copy_in_pipeline(context):
    with context.wire() as wire:
        wire.send(parse("", "copy scratch from stdin"), bind("", ""), execute(), message("S"))
        reply = wire.read_reply()
        expect_in("G", reply.kinds, "copy in begins")
        wire.send(message("d", b"2001\tsynced\n"), message("c"), message("S"))
        reply = wire.read_reply()
        expect_equal((reply.errors, reply.status), ([], "I"), "the copy's end")
        expect_equal(wire.query("delete from scratch where id = 2001 returning word").values(), [("synced",)], "afterwards")
        expect_equal(wire.query("select 7").values(), [("7",)], "and after that")


@case("Ctrl-C in psql cancels the running statement at the target")
def cancel(context):
    process = context.lab.psql_start("select count(*) from generate_series(1, 2000000000)")
    wait_until("the statement runs", lambda: context.lab.superuser(
        "select count(*) from pg_stat_activity where query like '%2000000000%' and state = 'active' and usename = 'orders_app'") == "1", 10)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=15)
    expect_in("57014", output, "psql says that it was cancelled")
    wait_until("it is gone at the target", lambda: context.lab.superuser(
        "select count(*) from pg_stat_activity where query like '%2000000000%' and state = 'active' and usename = 'orders_app'") == "0", 10)


@case("a portal with a row limit is resumed where it stopped; Flush without Sync answers")
def portal(context):
    with context.wire() as wire:
        wire.send(parse("", "select id from orders order by id"), bind("", ""), describe("P", ""), execute("", 3), message("H"))
        kinds = [wire.read_message()[0] for _ in range(7)]
        expect_equal("".join(kinds), "12TDDDs", "the first three rows, portal suspended")
        reply = wire.pipeline(execute("", 2))
        expect_equal([r[0] for r in reply.values()], ["4", "5"], "the next two rows")


@case("changed settings, notices and notifications reach the client")
def notices(context):
    with context.wire() as wire:
        expect_in("S", wire.query("set timezone to 'Europe/Berlin'").kinds, "ParameterStatus")
        reply = wire.query("select tell_email(0)")
        expect_equal(len(reply.notices), 1, "the function's notice")
        with context.wire() as other:
            wire.query("listen weir_test")
            other.query("notify weir_test, 'hello'")
            expect_in("A", wire.query("select 1").kinds, "the notification")


@case("a result of 20 MB arrives whole, and a slow reader loses nothing")
def large(context):
    statement = "select repeat(md5(i::text), 32) as filler from generate_series(1, 20000) as i"
    with context.wire(receive_buffer=8192) as wire:
        wire.send(query(statement))
        time.sleep(1)
        reply = wire.read_reply()
        expect_equal((len(reply.rows), reply.status), (20000, "I"), "rows")
        expect(all(len(row[0]) == 1024 for row in reply.rows), "a row is cut")


@case("a statement of 3 MB is judged and passed")
def long_statement(context):
    with context.wire() as wire:
        expect_equal(wire.query("select length('" + "x" * 3_000_000 + "')").values(), [("3000000",)], "its answer")


@case("a client that ends with FIN, with RST or without Terminate leaves no backend at the target")
def endings(context):
    def backends():
        return context.lab.superuser("select count(*) from pg_stat_activity where application_name = 'ending'")
    for end in ("terminate", "fin", "reset"):
        wire = context.wire(startup={"application_name": "ending"})
        expect_equal(backends(), "1", "a backend")
        if end == "terminate":
            wire.send(message("X"))
        if end == "reset":
            wire.reset()
        else:
            wire.socket.close()
        wait_until(f"the backend is gone after {end}", lambda: backends() == "0", 10)


@case("MTU 1300 behind the gateway: large statements and large results pass")
def small_mtu(context):
    lab = context.lab
    for where, device in (("gateway", "veth-target"), ("target", "eth0")):
        lab.run(where, ["ip", "link", "set", device, "mtu", "1300"], check=True)
    try:
        # The target's end forgets: its first large segments meet the gateway's smaller link.
        lab.run("target", ["ip", "link", "set", "eth0", "mtu", "1500"], check=True)
        with context.wire() as wire:
            expect_equal(wire.query("select length('" + "x" * 400_000 + "')").values(), [("400000",)], "large statement")
            reply = wire.query("select repeat('y', 1000) from generate_series(1, 3000)")
            expect_equal(len(reply.rows), 3000, "large result")
    finally:
        for where, device in (("gateway", "veth-target"), ("target", "eth0")):
            lab.run(where, ["ip", "link", "set", device, "mtu", "1500"], check=True)
        lab.run("target", ["ip", "route", "flush", "cache"])
