"""Fail closed (I9): with the engine dead, or a part of the kernel side flushed, nothing target-bound passes raw.

Sequence numbers do not tell the two apart for sure: all namespaces share one kernel and one secret for initial numbers, and
any number may come up by chance.  Hops do: the gateway's own packets leave it with 64, a forwarded one came with fewer.
"""
import json
import threading
import time

from capture import SYN, Capture, is_within
from harness import case, expect, expect_equal
from pgwire import WireError, query
from weirlab import LabError, wait_until

OWN_HOPS = 64            # Of every packet that a host here sends itself.
RAW_HOPS = 33            # Of the clients whose packets are looked for: known with or without a router between.
FORCED = 0x1DEA0000      # The client's first sequence number where its acknowledgements matter; what it may send follows.
WINDOW = 64 << 20


def raw_packets(capture, env):
    """Packets at the target that the gateway did not send itself: the client's flow past it."""
    return [p for p in capture.packets
            if p.target_port == int(env["TARGET_PORT"]) and p.target in (env["TARGET_IP"], env["TARGET_IP6"]) and p.hops != OWN_HOPS]


class Load:
    """A session that asks as fast as it can, and comes back when it is cut; its packets are known by their hops."""

    def __init__(self, context, ipv6=False):
        self.context, self.ipv6, self.answers, self.stopping = context, ipv6, 0, False
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        wait_until("the load is served", lambda: self.answers > 20, 15)
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.thread.join(30)

    def _run(self):
        while not self.stopping:
            try:
                with self.context.wire(hops=RAW_HOPS, ipv6=self.ipv6, timeout=2) as wire:
                    while not self.stopping:
                        if wire.query(f"select 'load {self.answers}', repeat('x', 2000)").status is None:
                            break
                        self.answers += 1
            except (OSError, EOFError, LabError, WireError, ValueError, KeyError):  # KeyError: the lab's variables are being read again.
                time.sleep(0.05)


@case("kill -9 of the engine: nothing of the client reaches the target, old flows and new ones, IPv4 and IPv6", spoils=True)
def killed(context):
    with Load(context) as four, Load(context, ipv6=True) as six:
        with Capture(context.lab, "target", context.folder, expression="tcp port 5432") as capture:
            time.sleep(0.3)
            context.lab.gateway_kill()
            dead = time.time()
            count = four.answers, six.answers
            time.sleep(3)
            expect_equal((four.answers, six.answers), count, "answers after the kill")
    expect_equal(raw_packets(capture, context.env), [], "raw packets at the target")
    late = [p for p in capture.packets if p.at > dead + 0.5 and p.target_port == 5432 and p.size]
    expect_equal(late, [], "payload at the target after the kill")
    expect_equal([p for p in capture.packets if p.at > dead + 0.5 and p.flags & SYN and p.target_port == 5432], [], "SYNs at the target after the kill")


@case("with the engine dead a new client is told at once (closed_answer: reset), and after a start it is served", spoils=True)
def told(context):
    context.lab.gateway_kill()
    started = time.monotonic()
    done = context.psql("select 1")
    expect(done.returncode == 2 and time.monotonic() - started < 5, f"exit {done.returncode} after {time.monotonic() - started:.1f} s: {done.stderr}")
    context.running = None
    context.use("")
    expect_equal(context.rows("select 1"), ["1"], "after the start")


@case("with the kernel side up and no engine ever started, nothing passes", config=None, spoils=True)
def not_started(context):
    context.stop()
    lab = context.lab
    done = lab.run("gateway", [lab.env["WEIR"], "up", "--config", lab.config_path()])
    expect_equal(done.returncode, 0, done.stderr)
    try:
        with Capture(lab, "target", context.folder, expression="tcp port 5432") as capture:
            expect_equal(context.psql("select 1").returncode, 2, "psql's exit code")
            expect_equal(context.psql("select 1", ipv6=True).returncode, 2, "psql's exit code, IPv6")
        expect_equal([p for p in capture.packets if p.source in (context.env["CLIENT_IP"], context.env["CLIENT_IP6"])], [], "packets at the target")
    finally:
        lab.run("gateway", [lab.env["WEIR"], "down", "--config", lab.config_path()])


@case("what these cases look for is seen when it is there: without Weir, the client's packets at the target are raw", config=None, spoils=True)
def oracle(context):
    context.stop()
    lab = context.lab
    for ipv6 in (False, True):
        lab.run("gateway", [lab.env["WEIR"], "down", "--config", lab.config_path()])
        with Capture(lab, "target", context.folder, expression="tcp port 5432") as capture:
            with context.wire(hops=RAW_HOPS, ipv6=ipv6, login=False) as wire:
                expect(wire.tls(), "the target itself answers")
        expect(raw_packets(capture, context.env), f"raw packets at the target (IPv6: {ipv6}): {capture.packets}")
    context.use("")
    with Capture(lab, "target", context.folder, expression="tcp port 5432") as capture:
        with context.wire(hops=RAW_HOPS) as wire:
            expect_equal(wire.query("select 1").values(), [("1",)], "through Weir")
    expect([p for p in capture.packets if p.source == context.env["CLIENT_IP"]], "the gateway's own packets")
    expect_equal(raw_packets(capture, context.env), [], "raw packets at the target, through Weir")


@case("kill in the middle of a large result: not one raw byte of the target reaches the client after it", seconds=90, spoils=True)
def killed_in_result(context):
    for tls in (False, True):
        if not context.is_alive():
            context.running = None
            context.use("")
        with context.wire(sequence=FORCED, hops=RAW_HOPS, tls=tls, receive_buffer=65536) as wire:
            with Capture(context.lab, "client", context.folder, expression="tcp port 5432") as at_client, \
                    Capture(context.lab, "target", context.folder, expression="tcp port 5432") as at_target:
                wire.send(query("select repeat('z', 1000) from generate_series(1, 2000000)"))
                for _ in range(200):
                    wire.socket.recv(65536)
                context.lab.gateway_kill()
                for _ in range(40):
                    try:
                        if not wire.socket.recv(65536):
                            break
                    except OSError:
                        break
                    time.sleep(0.05)
                time.sleep(1)
        own = [p for p in at_client.packets if p.source_port == 5432 and p.size]
        expect(own, "the result was under way")
        # The gateway's client leg acknowledges the forced numbers; the target itself would acknowledge the gateway's.
        raw = [p for p in own if p.hops != OWN_HOPS or not is_within(p.acknowledged, FORCED, WINDOW)]
        expect_equal(raw[:3], [], f"raw packets of the target at the client (TLS: {tls})")
        expect_equal(raw_packets(at_target, context.env), [], "raw packets of the client at the target")


def _bpf_links(lab):
    """Attachments of the gateway's namespace, as bpftool lists them."""
    links = json.loads(lab.run("gateway", ["bpftool", "-j", "link", "show"], check=True).stdout)
    programs = {p["id"]: p.get("name", "") for p in json.loads(lab.run("gateway", ["bpftool", "-j", "prog", "show"], check=True).stdout)}
    return [(link["id"], link["type"], programs.get(link.get("prog_id"), "")) for link in links]


FLUSHES = {
    "the policy rules": [["ip", "rule", "flush"], ["ip", "rule", "add", "from", "all", "lookup", "main", "pref", "32766"],
                         ["ip", "-6", "rule", "flush"], ["ip", "-6", "rule", "add", "from", "all", "lookup", "main", "pref", "32766"]],
    "Weir's routing table": [["ip", "route", "flush", "table", "5745"], ["ip", "-6", "route", "flush", "table", "5745"]],
    "the host's nftables": [["nft", "flush", "ruleset"]],
    "the target's link (down and up)": [["ip", "link", "set", "veth-target", "down"], ["ip", "link", "set", "veth-target", "up"],
                                        ["ip", "-6", "addr", "replace", "fd57:2::1/64", "dev", "veth-target", "nodad"]],
    "the client's link (down and up)": [["ip", "link", "set", "veth-client", "down"], ["ip", "link", "set", "veth-client", "up"],
                                        ["ip", "-6", "addr", "replace", "fd57:1::1/64", "dev", "veth-client", "nodad"]],
    "all qdiscs of the client's link": [["tc", "qdisc", "del", "dev", "veth-client", "clsact"]],
}


def _flush_case(name, commands):
    @case(f"flushing {name} under load lets no raw packet through, and service comes back", spoils=True)
    def check(context):
        with Load(context) as four, Load(context, ipv6=True):
            with Capture(context.lab, "target", context.folder, expression="tcp port 5432") as capture:
                for _ in range(3):
                    for argv in commands:
                        context.lab.run("gateway", argv)
                    time.sleep(0.7)
                count = four.answers
                wait_until("the load is served again", lambda: four.answers > count + 5, 20)
        expect_equal(raw_packets(capture, context.env)[:3], [], "raw packets at the target")


for _name, _commands in FLUSHES.items():
    _flush_case(_name, _commands)


@case("detaching any one of the kernel attachments under load lets no raw packet through", seconds=180, spoils=True)
def detached(context):
    lab = context.lab
    context.stop()
    before = set(_bpf_links(lab))
    context.use("")
    attachments = [link for link in _bpf_links(lab) if link not in before]
    expect(len(attachments) >= 3, f"attachments: {attachments}")
    for _, kind, program in attachments:
        if not context.is_alive():
            context.running = None
        context.use("")
        current = [link for link in _bpf_links(lab) if link not in before and link[1:] == (kind, program)]
        expect(current, f"{kind} {program} is attached")
        with Load(context) as load:
            with Capture(lab, "target", context.folder, expression="tcp port 5432") as capture:
                done = lab.run("gateway", ["bpftool", "link", "detach", "id", str(current[0][0])])
                time.sleep(1.5)
            del load
        expect_equal(raw_packets(capture, context.env)[:3], [], f"raw packets at the target without {kind} {program} ({done.stderr.strip()})")
        context.stop()


@case("the guard also holds with the engine dead and every policy rule and route of Weir gone", spoils=True)
def dead_and_flushed(context):
    context.lab.gateway_kill()
    for argv in FLUSHES["the policy rules"] + FLUSHES["Weir's routing table"]:
        context.lab.run("gateway", argv)
    with Capture(context.lab, "target", context.folder, expression="tcp port 5432") as capture:
        expect_equal(context.psql("select 1", timeout=30).returncode, 2, "psql's exit code")
        expect_equal(context.psql("select 1", ipv6=True, timeout=30).returncode, 2, "psql's exit code, IPv6")
    # The dead engine's own connections may still be saying goodbye, from the gateway's address.
    expect_equal([p for p in capture.packets if p.source in (context.env["CLIENT_IP"], context.env["CLIENT_IP6"])], [], "packets at the target")
