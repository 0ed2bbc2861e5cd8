"""The kernel side: what is steered, what is left alone, and that `weir down` leaves the host as it was."""
import re
import socket
import time

from capture import Capture
from harness import case, expect, expect_equal, expect_gateway_shut_out, expect_in, expect_not_in
from pgwire import TERMINATE, query
from weirlab import wait_until


def host_state(lab):
    """Everything of the gateway's namespace that `weir up` may change."""
    commands = {
        "rules": ["ip", "rule"], "rules6": ["ip", "-6", "rule"],
        "routes": ["ip", "route", "show", "table", "all"], "routes6": ["ip", "-6", "route", "show", "table", "all"],
        "nftables": ["nft", "list", "ruleset"], "bpf": ["bpftool", "net", "show"],
        "qdiscs": ["tc", "qdisc", "show"], "links": ["ip", "-o", "link"],
        "sysctl": ["sysctl", "-a", "--pattern", r"^net\.(ipv4|ipv6)\.(conf|ip_|tcp_)"],
    }
    state = {name: lab.run("gateway", argv).stdout for name, argv in commands.items()}
    # Neighbour and time-out counters move by themselves.
    state["routes6"] = re.sub(r" expires \d+sec", "", state["routes6"])
    state["pins"] = "\n".join(sorted(lab.run("gateway", ["find", f"/run/weir-lab{lab.suffix}/bpf"]).stdout.split()))
    return state


def _same(before, after, what):
    for name, text in before.items():
        expect_equal(after[name].splitlines(), text.splitlines(), f"{what}: {name}")


@case("weir up --plan prints every rule, route, table and attachment, and makes none", config=None)
def plan(context):
    context.stop()
    before = host_state(context.lab)
    done = context.lab.run("gateway", [context.env["WEIR"], "up", "--plan", "--config", context.lab.config_path()])
    expect_equal(done.returncode, 0, done.stderr)
    for part in ("5745", "0x57450000", "veth-client", "veth-target", "198.18.2.2", "fd57:2::2"):
        expect_in(part, done.stdout, "the plan")
    _same(before, host_state(context.lab), "after --plan")


@case("weir down leaves rules, routes, filters, links and sysctls as they were before weir up", config=None)
def down_restores(context):
    context.stop()
    before = host_state(context.lab)
    context.use("")
    expect_equal(context.rows("select 1"), ["1"], "the gateway serves")
    after_up = host_state(context.lab)
    expect(after_up["rules"] != before["rules"] and after_up["pins"] != before["pins"], "weir up changed something")
    context.stop()
    _same(before, host_state(context.lab), "after weir down")
    expect_equal(context.rows("select 1", app="elsewhere"), ["1"], "without a gateway the kernel forwards")


@case("weir up twice is one; after kill and start it serves again", config=None)
def up_twice(context):
    context.use("")
    done = context.lab.weir("up")
    expect_equal(done.returncode, 0, done.stderr)
    context.lab.gateway_kill()
    context.running = None
    context.use("")
    expect_equal(context.rows("select 1"), ["1"], "after the restart")


@case("weir doctor finds nothing on a sound host, and names a listener that clashes, with the fix")
def doctor(context):
    done = context.lab.weir("doctor")
    expect_equal(done.returncode, 0, done.stdout[-800:] + done.stderr[-300:])
    context.stop()  # On a port of its own: connections of earlier cases still wait for their end on the other.
    config = context.lab.config_variant("two-ports", lambda text: text.replace("ports: [5432]", "ports: [5432, 5499]"))
    clash = context.lab.socket("gateway", socket.AF_INET)
    with clash:
        clash.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        clash.bind(("0.0.0.0", 5499))
        clash.listen()
        done = context.lab.run("gateway", [context.env["WEIR"], "doctor", "--config", config])
        expect_in("listens on every address on port 5499", done.stdout, "what doctor says")
        expect_in("bind that service to its own address", done.stdout, "the fix")


@case("src_valid_mark=1 kills every flow: doctor and weir up refuse it", config=None)
def src_valid_mark(context):
    context.stop()
    lab = context.lab
    lab.run("gateway", ["sysctl", "-qw", "net.ipv4.conf.all.src_valid_mark=1"], check=True)
    try:
        done = lab.run("gateway", [lab.env["WEIR"], "up", "--plan", "--config", lab.config_path()])
        expect(done.returncode != 0 and "src_valid_mark" in done.stdout + done.stderr, f"up --plan: {done.stdout}{done.stderr}")
        done = lab.run("gateway", [lab.env["WEIR"], "doctor", "--config", lab.config_path()])
        expect(done.returncode != 0 and "src_valid_mark" in done.stdout + done.stderr, f"doctor: {done.stdout}{done.stderr}")
    finally:
        lab.run("gateway", ["sysctl", "-qw", "net.ipv4.conf.all.src_valid_mark=0"], check=True)


@case("rp_filter 0, 1 and 2: psql works with each")
def rp_filter(context):
    try:
        for value in (1, 2, 0):
            for name in ("all", "veth-client", "veth-target", "lo"):
                context.lab.run("gateway", ["sysctl", "-qw", f"net.ipv4.conf.{name}.rp_filter={value}"], check=True)
            expect_equal(context.rows("select 1"), ["1"], f"rp_filter={value}")
    finally:
        for name in ("all", "veth-client", "veth-target", "lo"):
            context.lab.run("gateway", ["sysctl", "-qw", f"net.ipv4.conf.{name}.rp_filter=0"])


@case("`ct state invalid drop` of the host's own firewall does not touch steered flows")
def conntrack(context):
    rules = ("table inet weir_test { chain f { type filter hook forward priority 0; ct state invalid drop; }\n"
             "chain i { type filter hook input priority 0; ct state invalid drop; }\n"
             "chain o { type filter hook output priority 0; ct state invalid drop; }\n}\n")
    context.lab.run("gateway", ["nft", "-f", "-"], input=rules, check=True)
    try:
        expect_equal(context.rows("select 1"), ["1"], "a new session")
        expect_equal(len(context.rows("select repeat('x', 1000) from generate_series(1, 3000)")), 3000, "a large result")
    finally:
        context.lab.run("gateway", ["nft", "delete", "table", "inet", "weir_test"])


@case("what is not target-bound is untouched: other ports of the target, other hosts, ping of the gateway")
def untouched(context):
    lab = context.lab
    server = lab.start("target", ["python3", "-m", "http.server", "--bind", context.env["TARGET_IP"], "8080", "--directory", "/proc/self/task"])
    try:
        fetch = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5", f"http://{context.env['TARGET_IP']}:8080/"]
        wait_until("another port of the target answers", lambda: lab.run("client", fetch).stdout == "200", 10, 0.2)
    finally:
        server.kill()
        server.wait()
    expect_equal(lab.run("client", ["ping", "-c", "1", "-W", "2", "198.18.1.1"]).returncode, 0, "ping of the gateway")


@case("a flow that is older than the gateway is reset: nothing of it is passed unjudged", config=None)
def older_flow(context):
    context.stop()
    with context.wire(startup={"application_name": "elsewhere"}) as wire:
        expect_equal(wire.query("select 1").values(), [("1",)], "directly, before the gateway")
        context.use("")
        with context.target_never_sees("older_flow"):
            wire.send(query("select 'older_flow'"))
            try:
                reply = wire.read_reply()
                expect(not reply.rows, f"the old flow still answers: {reply}")
            except (OSError, EOFError):
                pass


@case("a reconnect from the same client port, ten times, is served from the client's own address")
def port_reuse(context):
    for turn in range(10):
        with context.wire(source_port=45454) as wire:
            own = wire.socket.getsockname()
            seen = wire.query("select host(inet_client_addr()), inet_client_port()").values()[0]
            expect_equal((own[1], seen[0]), (45454, own[0]), f"turn {turn}")
            if turn % 2:
                wire.reset()
            else:
                wire.send(TERMINATE)
                while wire.socket.recv(4096):  # Who closes first keeps the port: that is to be the gateway.
                    pass


@case("a burst of 100 connections at once is served")
def burst(context):
    wires = []
    try:
        for _ in range(100):
            wires.append(context.wire())
        for wire in wires:
            expect_equal(wire.query("select 1").values(), [("1",)], "a session of the burst")
    finally:
        for wire in wires:
            wire.socket.close()


@case("weir status --json has the engine's pid and the kernel's counters, and they move")
def status(context):
    before = context.lab.weir_json("status")
    expect_equal(before["engine"]["pid"], int(context.env["WEIR_PID"]), "engine.pid")
    context.rows("select 1")
    after = context.lab.weir_json("status")
    expect(after["kernel"]["steered"] > before["kernel"]["steered"], f"kernel.steered: {before['kernel']} {after['kernel']}")
    expect("passed" in after["kernel"] and isinstance(after["kernel"]["dropped"], dict), f"kernel: {after['kernel']}")


@case("Prometheus metrics are served, and hold no statement text")
def metrics(context):
    context.rows("select 'metrics_probe'")
    done = context.lab.run("gateway", ["curl", "-s", "--max-time", "5", "http://127.0.0.1:9464/metrics"])
    expect_equal(done.returncode, 0, "curl")
    expect_in("# TYPE weir_", done.stdout, "the metrics")
    expect_not_in("metrics_probe", done.stdout, "the metrics")


@case("a target-bound packet that no engine socket sent is dropped and counted, from any interface (egress guard)")
def egress_guard(context):
    def dropped():
        return sum(context.lab.weir_json("status")["kernel"]["dropped"].values())
    before = dropped()
    expect_gateway_shut_out(context)
    wait_until("the drop is counted", lambda: dropped() > before, 5)


@case("UDP and fragments to the target's port, and IPv6 extension headers, do not pass the gateway")
def odd_packets(context):
    script = ("from scapy.all import *; conf.verb = 0; s = conf.L3socket(iface='eth0')\n"
              "t = '%s'; t6 = '%s'\n"
              "for p in fragment(IP(dst=t, flags=0) / TCP(dport=5432, sport=40001, flags='A') / (b'evil' * 500), fragsize=400): s.send(p)\n"
              "s.send(IPv6(dst=t6) / IPv6ExtHdrDestOpt() / TCP(dport=5432, sport=40002, flags='S'))\n"
              "s.send(IPv6(dst=t6) / IPv6ExtHdrFragment(offset=0, m=1, nh=6) / TCP(dport=5432, sport=40003, flags='S'))\n"
              "s.send(IP(dst=t) / TCP(dport=5432, sport=40004, flags='PA') / b'evil')\n"
              % (context.env["TARGET_IP"], context.env["TARGET_IP6"]))
    with Capture(context.lab, "target", context.folder, expression="ip or ip6") as capture:
        done = context.lab.run("client", ["/usr/bin/python3", "-c", script], timeout=40)  # Debian's own: it has scapy
        expect_equal(done.returncode, 0, done.stderr[-400:])
        time.sleep(0.5)
    leaked = [p for p in capture.packets if p.source_port in range(40001, 40005)]
    expect_equal(leaked, [], "packets at the target")
