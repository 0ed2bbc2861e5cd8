"""`weir bypass`: new flows of one target pass raw for a while, sessions that live stay inspected, and it ends by itself, also
without an engine; what passed is counted, and every start and end stands on the record."""
import json
import re
import socket
import subprocess
import time

from capture import Capture
from cases.api import _call, _with_api
from cases.changes import _as_login, _two_people
from cases.identities import OTHER, _from_other
from harness import case, expect, expect_equal, expect_gateway_shut_out, expect_in, expect_not_in
from pgwire import query
from weirlab import wait_until

RAW_HOPS = 99           # Kept by a forwarded packet, less one; the engine's own packets have their own.


def _bypass(context, seconds, *more):
    done = context.lab.weir("bypass", "orders-db", "--for", f"{seconds}s", "--reason", "INC-42", *more)
    expect_equal(done.returncode, 0, done.stderr)
    return done


def _raw(capture, context):
    """Packets with bytes that came to the target as the client sent them."""
    return [p for p in capture.packets if p.source == context.env["CLIENT_IP"] and p.hops == RAW_HOPS - 1 and p.size]


def _acts(context, name):
    return context.lab.weir_json("events", "--act", name)


def _kernel(context):
    status = json.loads(context.lab.weir("status", "--json").stdout)   # Its exit code tells of a bypass.
    return {row["target"]: row for row in status["kernel"]["bypasses"] if row["left_seconds"] > 0}


@case("a bypass lets new flows of its target pass raw, counts them, ends by itself and cuts them; live sessions stay inspected", seconds=90, spoils=True)
def a_bypass(context):
    before = context.session_ids()
    with context.wire(hops=RAW_HOPS) as inspected, Capture(context.lab, "target", context.folder, expression="tcp port 5432") as capture:
        expect_equal(inspected.query("select 1").values(), [("1",)], "inspected")
        _bypass(context, 6)
        status = context.lab.weir("status")
        expect_in("BYPASS   new flows to orders-db pass raw", status.stdout, "weir status")
        expect_equal(status.returncode, 1, "weir status, exit code")
        expect_in("new flows to orders-db pass raw", context.lab.weir("doctor").stdout, "weir doctor")
        expect_in("orders-db", context.lab.weir("bypass", "--list").stdout, "weir bypass --list")
        with context.wire(hops=RAW_HOPS) as raw:
            expect_equal(raw.query("select 2").values(), [("2",)], "raw")
            expect_equal(inspected.query("select 3").values(), [("3",)], "the live session")
            row = _kernel(context)["orders-db"]
            expect(row["flows"] == 1 and row["bytes_to_target"] > 100 and row["bytes_to_client"] > 100, f"the counts: {row}")
            expect_equal(_from_other(context, "select 4").returncode, 0, "nobody is asked who they are")
            wait_until("it is over", lambda: not _kernel(context), 15, 0.5)
            with context.target_never_sees("after the end"):
                try:
                    raw.send(query("select 'after the end'"))
                    expect_equal(raw.read_reply().rows, [], "the raw flow after the end")
                except (OSError, EOFError):
                    pass
        expect_equal(inspected.query("select 5").values(), [("5",)], "the live session goes on")
        expect_equal(context.rows("select 6"), ["6"], "a new session is inspected")
    expect(_raw(capture, context), "no raw packet was seen: the capture proves nothing")
    expect_equal(len(context.sealed_since(before, 2)), 2, "sessions on the record: the live one and the last one")
    start, end = _acts(context, "bypass")[0], wait_until("its end is on the record", lambda: _acts(context, "bypass-ended"), 10)[0]
    expect_equal((start["reason"], end["reason"]), ("INC-42", "INC-42"), "the reasons")
    expect_in("orders-db: 2 flows", end["object"], "the counts on the record")
    expect_equal(context.lab.weir("status").returncode, 0, "weir status afterwards")
    told = [alert for alert in context.lab.weir_json("alerts", "list") if alert["event"] == "bypass"]
    expect(told and told[0]["severity"] == "high" and "INC-42" in told[0]["text"], f"the alerts: {told}")


@case("a bypass is refused without a reason, without a time, for too long, for no target, and while one is on", spoils=True)
def refused(context):
    weir = context.lab.weir
    expect_equal(weir("bypass", "orders-db", "--for", "5s").returncode, 2, "no reason")
    expect_equal(weir("bypass", "orders-db", "--reason", "x").returncode, 2, "no time")
    done = weir("bypass", "orders-db", "--for", "2h", "--reason", "x")
    expect(done.returncode == 2 and "bypass.max" in done.stderr, f"too long: {done.returncode} {done.stderr}")
    expect_equal(weir("bypass", "no-such-db", "--for", "5s", "--reason", "x").returncode, 1, "no such target")
    expect_equal(_kernel(context), {}, "after the refusals")
    expect_equal(weir("bypass", "orders-db", "--end", "--reason", "x").returncode, 1, "none is on")
    _bypass(context, 60)
    expect_equal(weir("bypass", "orders-db", "--for", "60s", "--reason", "longer").returncode, 2, "one is on")
    with context.wire() as raw:
        expect_equal(raw.query("select 1").values(), [("1",)], "raw")
        done = weir("bypass", "orders-db", "--end", "--reason", "INC-42 is solved", "--json")
        expect_in('"flows":1', done.stdout, "what passed")
        with context.target_never_sees("ended early"):
            try:
                raw.send(query("select 'ended early'"))
                expect_equal(raw.read_reply().rows, [], "the raw flow after --end")
            except (OSError, EOFError):
                pass
    expect_equal(_acts(context, "bypass-end")[0]["reason"], "INC-42 is solved", "the end on the record")
    _bypass(context, 30)  # A raw flow of the earlier one is none of this one.
    weir("bypass", "orders-db", "--end", "--reason", "done", check=True)


@case("a bypass ends without an engine too: raw until its end, then closed; the next engine puts the end on the record", seconds=90, spoils=True)
def without_engine(context):
    before = len(_acts(context, "bypass-ended"))
    _bypass(context, 8)
    with context.wire() as raw:
        context.lab.gateway_kill()
        path, context.running = context.running, None
        expect_equal(raw.query("select 'no engine'").values(), [("no engine",)], "raw, with the engine dead")
        expect_equal(context.psql("select 1").returncode, 0, "a new flow")
        wait_until("it is closed", lambda: context.psql("select 1").returncode == 2, 20, 0.5)
        with context.target_never_sees("too late"):
            try:
                raw.send(query("select 'too late'"))
                expect_equal(raw.read_reply().rows, [], "the raw flow")
            except (OSError, EOFError):
                pass
    # Not the lab's own start, which begins with `weir down`: the kernel's count is still there.
    engine = context.lab.start("gateway", [context.env["WEIR"], "run", "--config", context.env["WEIR_CONFIG"]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        ended = wait_until("its end is on the record", lambda: list(_acts(context, "bypass-ended"))[before:] and _acts(context, "bypass-ended"), 10, 0.3)
        expect(re.match(r"orders-db: \d+ flows, to the target [1-9]", ended[0]["object"]), f"the counts on the record: {ended[0]}")
        expect_equal(context.rows("select 1"), ["1"], "inspected again")
    finally:
        engine.terminate()
        engine.wait(20)
    context.use(lambda _: path)


@case("the egress guard lets out exactly the target's own flows: no other port, no flow that began elsewhere, nothing of the host", spoils=True)
def guard(context):
    def edit(text):
        return text.replace("targets:\n  - name: orders-db", "targets:\n  - name: other-db\n    protocol: postgres\n    addresses: [198.18.2.2]\n    ports: [5433]\n    tls: {to_client: none, to_target: none}\n"
                            "    login: relay\n  - name: orders-db", 1)
    context.use(lambda _: context.lab.config_variant("two-targets", edit))
    _bypass(context, 40)
    with Capture(context.lab, "target", context.folder, expression="tcp port 5433 or tcp port 5432") as capture:
        expect_equal(context.psql("select 1").returncode, 0, "the bypassed target")
        attempt = context.lab.socket("client", socket.AF_INET)
        attempt.settimeout(3)
        attempt.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, RAW_HOPS)
        with attempt:
            try:
                attempt.connect((context.env["TARGET_IP"], 5433))
                attempt.sendall(b"raw bytes")
                attempt.recv(1)
            except OSError:
                pass
        expect_gateway_shut_out(context)
        time.sleep(0.3)
    expect_equal([p for p in capture.packets if p.target_port == 5433 and p.hops == RAW_HOPS - 1], [], "raw packets for the other target")
    context.lab.weir("bypass", "orders-db", "--end", "--reason", "done", check=True)


@case("over the API a bypass is an administrator's alone", spoils=True)
def over_the_api(context):
    provider = _with_api(context)
    body = {"target": "orders-db", "for": "30s", "reason": "INC-43"}
    for groups in (("dba",), ("audit",), ("agents",)):
        expect_equal(_call(context, "POST", "/v1/bypasses", provider.token(groups=groups), body)[0], 403, f"{groups}")
    admin = provider.token(groups=("platform",))
    expect_equal(_call(context, "POST", "/v1/bypasses", admin, {**body, "reason": ""})[0] // 100, 4, "no reason")
    expect_equal(_call(context, "POST", "/v1/bypasses", admin, body)[0], 201, "an administrator")
    status, text = _call(context, "GET", "/v1/bypasses", admin)
    expect(status == 200 and "orders-db" in text and "INC-43" in text, f"the list: {status} {text}")
    expect_equal(_from_other(context, "select 1").returncode, 0, f"{OTHER}, who is bound to nobody")
    expect_equal(_call(context, "POST", "/v1/bypasses/end", admin, {"target": "orders-db", "reason": "done"})[0], 200, "its end")
    expect_equal(_from_other(context, "select 1").returncode, 2, "afterwards")
    expect_equal(_acts(context, "bypass")[0]["by"]["role"], "admin", "the act")
    expect_not_in("orders-db", _call(context, "GET", "/v1/bypasses", admin)[1], "the list afterwards")


@case("where changes.second_person names it, a bypass is off until somebody else approves it", spoils=True)
def second_person(context):
    _two_people(context, ", bypass")
    asked = _as_login(context, 1000, "bypass", "orders-db", "--for", "30s", "--reason", "INC-44")
    expect_equal(asked.returncode, 1, asked.stdout + asked.stderr)
    expect_equal(_kernel(context), {}, "before it is approved")
    expect_equal(_from_other(context, "select 1").returncode, 2, f"{OTHER}, who is bound to nobody")
    waiting = context.lab.weir_json("changes")
    expect_equal([(change["act"], change["reason"]) for change in waiting], [("bypass", "INC-44")], "what waits")
    number = str(waiting[0]["number"])
    expect_equal(_as_login(context, 1000, "changes", "approve", number, "--reason", "me too").returncode, 4, "who asked")
    done = _as_login(context, 1001, "changes", "approve", number, "--reason", "agreed")
    expect_equal(done.returncode, 0, done.stdout + done.stderr)
    expect(_kernel(context)["orders-db"]["left_seconds"] <= 30, "its time begins with the approval")
    context.lab.weir("bypass", "orders-db", "--end", "--reason", "done", check=True)
