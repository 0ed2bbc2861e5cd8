"""A binding's key: who takes a bound address on another interface, VLAN or MAC (a new lease, a forged ARP answer, a router that
was replaced) is unbound; live flows neither take packets from there nor send answers to there."""
import contextlib
import json
import socket
import time

from capture import Capture
from cases.identities import OTHER, _from_other, _with_provider, bind
from harness import case, expect, expect_equal, expect_in
from pgwire import Wire, WireError, query
from weirlab import wait_until

OTHER6 = "fd57:1::3"
EVIL = "02:00:00:00:66:66"


def _mac(context):
    return json.loads(context.lab.run("client", ["ip", "-j", "link", "show", "dev", "eth0"], check=True).stdout)[0]["address"]


def _set_mac(context, mac):
    context.lab.run("client", ["ip", "link", "set", "dev", "eth0", "address", mac], check=True)
    context.lab.run("gateway", ["ip", "neigh", "flush", "dev", "veth-client"])  # A new lease announces itself; this client does not.


@contextlib.contextmanager
def _another_host(context, mac=EVIL):
    """The client's namespace is another machine meanwhile, with the same addresses."""
    own = _mac(context)
    _set_mac(context, mac)
    try:
        yield
    finally:
        _set_mac(context, own)


def _count(context, name):
    """Of one reason, dropped or not."""
    return context.lab.weir_json("status")["kernel"]["dropped"].get(name, 0)


def _wire(context, source=OTHER):
    ipv6 = ":" in source

    def made(family):
        plain = context.lab.socket("client", family)
        plain.bind((source, 0))
        return plain
    wire = Wire(made, (context.env["TARGET_IP6" if ipv6 else "TARGET_IP"], 5432))
    user = context.env["PGUSER"]
    wire.login(user, context.passwords[user], context.env["PGDATABASE"])
    return wire


def _bound(context, subject="user:alice", address=OTHER):
    provider = _with_provider(context)
    # Deprecated: no other case takes it for its own address.
    context.lab.run("client", ["ip", "addr", "replace", f"{OTHER6}/64", "dev", "eth0", "nodad", "preferred_lft", "0"], check=True)
    context.lab.weir("revoke", OTHER6, "--reason", "a new case")
    done = bind(context, provider.token(subject=subject), address)
    expect_equal(done.returncode, 0, done.stderr)
    return provider


def _binding(context, address=OTHER):
    return next(row for row in context.lab.weir_json("bindings") if row["address"] == address)


def _log(context):
    with open(f"{context.lab.folder}/gateway.log", encoding="utf-8", errors="replace") as file:
        return file.read()


@case("a binding by token is tied to the client's interface and MAC, as `weir bindings` tells", seconds=240, spoils=True)
def is_tied(context):
    _bound(context)
    expect_equal(_binding(context)["link"], {"interface": "veth-client", "vlan": 0, "mac": _mac(context)}, "the link")
    expect_in(f"veth-client {_mac(context)}", context.lab.weir("bindings").stdout, "weir bindings")
    expect_equal(_from_other(context, "select 1").returncode, 0, "from there")
    static = _binding(context, context.env["CLIENT_IP"])
    expect_equal(static["link"], {}, "a static binding that names no link")


@case("DHCP re-lease: the next machine with a bound address is unbound, told so, counted, and the target hears nothing of it", seconds=240, spoils=True)
def re_lease(context):
    provider = _bound(context)
    mark = context.lab.log_mark()
    with _another_host(context):
        done = _from_other(context, "select 'the next machine'")
        expect_equal(done.returncode, 2, f"psql of the next machine: {done.stdout}")
        expect_in(f"no identity is bound to {OTHER}", done.stderr, "what it is told")
        wait_until("it stands in the log", lambda: f"unbound {OTHER}:" in _log(context), 5)
        taken = bind(context, provider.token(subject="user:bob"))
        expect(taken.returncode != 0 and "bound to somebody else" in taken.stderr, f"another person there: {taken.stdout}{taken.stderr}")
        expect_equal(_from_other(context, "select 1").returncode, 2, "after that")
    expect(OTHER not in context.lab.log_since(mark), "the target saw the next machine")
    expect_equal(_from_other(context, "select 1").returncode, 0, "the first machine, back again")


def _live_flow_case(source):
    @case(f"a live flow of {source} takes no packet from another MAC: dropped, counted, with a notice", seconds=240, spoils=True)
    def check(context):
        _bound(context, address=source)
        with _wire(context, source) as wire:
            expect_equal(wire.query("select 1").values(), [("1",)], "as bound")
            before = _count(context, "binding_mac")
            with _another_host(context), context.target_never_sees("from another machine"):
                wire.send(query("select 'from another machine'"))
                wait_until("the packet is dropped", lambda: _count(context, "binding_mac") > before, 10)
                time.sleep(1)
            wait_until("it stands in the log", lambda: f"{source}" in _log(context) and "binding_mac" in _log(context), 5)


_live_flow_case(OTHER)
_live_flow_case(OTHER6)


def _scapy(context, lines):
    script = "from scapy.all import *; conf.verb = 0\n" + lines
    done = context.lab.run("client", ["/usr/bin/python3", "-c", script], timeout=40)  # Debian's own: it has scapy
    expect_equal(done.returncode, 0, done.stderr[-400:])


def _gateway_mac(context):
    return json.loads(context.lab.run("gateway", ["ip", "-j", "link", "show", "dev", "veth-client"], check=True).stdout)[0]["address"]


@case("ARP spoofing: a neighbour's frame with the right sequence number is dropped, the same frame of the bound host is not", seconds=240, spoils=True)
def forged_frame(context):
    _bound(context)
    own, gateway = _mac(context), _gateway_mac(context)
    with _wire(context) as wire:
        with Capture(context.lab, "client", context.folder, expression=f"tcp and host {OTHER}") as capture:
            expect_equal(wire.query("select 1").values(), [("1",)], "as bound")
        mine = [p for p in capture.packets if p.source == OTHER]
        theirs = [p for p in capture.packets if p.target == OTHER and p.size]
        place = max(p.sequence + p.size for p in mine), max(p.sequence + p.size for p in theirs)

        def frame(mac, text):
            return (f"sendp(Ether(src='{mac}', dst='{gateway}') / IP(src='{OTHER}', dst='{context.env['TARGET_IP']}') / "
                    f"TCP(sport={wire.socket.getsockname()[1]}, dport=5432, flags='PA', seq={place[0]}, ack={place[1]}) / {query(text)!r}, iface='eth0')\n")
        before = _count(context, "binding_mac")
        with context.target_never_sees("by a neighbour"):
            _scapy(context, frame(EVIL, "select 'by a neighbour'"))
            time.sleep(0.5)
        expect(_count(context, "binding_mac") > before, "the frame was not counted")
        mark = context.lab.log_mark()
        _scapy(context, frame(own, "select 'by the host itself'"))
        wait_until("the same frame from the bound MAC passes", lambda: "by the host itself" in context.lab.log_since(mark), 5)


@case("ARP spoofing: while the gateway's neighbour table is poisoned, no answer of a bound host's session goes to the other MAC", seconds=240, spoils=True)
def poisoned(context):
    _bound(context)
    with _wire(context) as wire:
        expect_equal(wire.query("select 1").values(), [("1",)], "before")
        before = _count(context, "guard_mac")
        time.sleep(1.1)  # Linux believes the first answer for a second (locktime).
        # This session's own: a socket that an earlier engine left behind may still repeat what it had sent.
        own = f"tcp port {wire.socket.getsockname()[1]} and ether dst {EVIL}"
        try:
            with Capture(context.lab, "client", context.folder, expression=own) as capture:
                _scapy(context, f"sendp(Ether(src='{EVIL}', dst='{_gateway_mac(context)}') / ARP(op=2, hwsrc='{EVIL}', psrc='{OTHER}', "
                                f"hwdst='{_gateway_mac(context)}', pdst='198.18.1.1'), iface='eth0')\n")
                expect_in(EVIL, context.lab.run("gateway", ["ip", "neigh", "show", OTHER]).stdout, "the gateway's neighbour table")
                wire.send(query("select 'an answer for nobody else'"))
                wait_until("the answer is dropped", lambda: _count(context, "guard_mac") > before, 10)
            expect_equal([p for p in capture.packets if p.size], [], "bytes for the other MAC")
        finally:
            context.lab.run("gateway", ["ip", "neigh", "flush", "dev", "veth-client"])
        expect_equal(wire.read_reply().values(), [("an answer for nobody else",)], "the bound host, once the table is right again")


@case("the same person signed in from another MAC is bound anew: the old flow is cut and never becomes the new binding's", seconds=240, spoils=True)
def bound_anew(context):
    provider = _bound(context)
    first = _binding(context)["id"]
    with _wire(context) as wire:
        with _another_host(context):
            done = bind(context, provider.token(subject="user:alice"))
            expect_equal(done.returncode, 0, done.stderr)
            again = _binding(context)
            expect(again["id"] > first and again["link"]["mac"] == EVIL, f"the new binding: {again}")
            expect_equal(_from_other(context, "select 1").returncode, 0, "the new machine")
            with context.target_never_sees("of the old flow"):
                try:
                    wire.send(query("select 'of the old flow'"))
                    expect_equal(wire.read_reply().rows, [], "the old flow")
                except (OSError, EOFError, WireError):
                    pass
        expect_equal(_from_other(context, "select 1").returncode, 2, "the first machine, with its old lease")


@case("an address bound to somebody else meanwhile: a live flow of before never lives on as theirs", seconds=240, spoils=True)
def never_as_somebody_else(context):
    provider = _bound(context)
    with _wire(context) as wire:
        expect_equal(context.lab.weir("revoke", "user:alice", "--reason", "a test").returncode, 0, "revoke")
        expect_equal(bind(context, provider.token(subject="user:bob")).returncode, 0, "bob")
        with context.target_never_sees("as alice"):
            try:
                wire.send(query("select 'as alice'"))
                expect_equal(wire.read_reply().rows, [], "the old flow")
            except (OSError, EOFError):
                pass
    before = context.session_ids()
    expect_equal(_from_other(context, "select 1").returncode, 0, "bob himself")
    expect_equal(context.sealed_since(before)[0]["subject"], "user:bob", "whose session it is")


@case("behind a router the MAC is not part of the key; two hosts behind one address are one, and the second identity is refused", seconds=240, spoils=True)
def routed(context):
    provider = _with_provider(context)
    behind = "198.18.9.2"
    context.lab.run("client", ["ip", "addr", "replace", f"{behind}/32", "dev", "lo"], check=True)
    context.lab.run("gateway", ["ip", "route", "replace", "198.18.9.0/24", "via", context.env["CLIENT_IP"]], check=True)
    try:
        context.lab.weir("revoke", behind, "--reason", "a new case")
        expect_equal(bind(context, provider.token(subject="user:carol"), behind).returncode, 0, "bind")
        expect_equal(_binding(context, behind)["link"], {"interface": "veth-client", "vlan": 0}, "the link")
        with _another_host(context), _wire(context, behind) as wire:  # The router was replaced.
            expect_equal(wire.query("select 1").values(), [("1",)], "through another router")
        expect(bind(context, provider.token(subject="user:dave"), behind).returncode != 0, "a second identity behind the same address")
    finally:
        context.lab.run("gateway", ["ip", "route", "del", "198.18.9.0/24"])
        context.lab.run("client", ["ip", "addr", "del", f"{behind}/32", "dev", "lo"])


@case("nobody answers at an address on link: it is not bound, since its MAC is not known; with mac: never it is", seconds=240, spoils=True)
def nobody_there(context):
    provider = _with_provider(context)
    done = bind(context, provider.token(subject="user:erin"), "198.18.1.77")
    expect(done.returncode != 0, f"bound: {done.stdout}")
    expect_in("no host answers at 198.18.1.77", done.stderr, "what is told")
    path = context.lab.config_variant("no-mac", lambda text: text.replace("  static:", "  address_bindings: {mac: never}\n  static:", 1), base="issuer")
    context.use(lambda _: path)
    expect_equal(bind(context, provider.token(subject="user:erin"), "198.18.1.77").returncode, 0, "with mac: never")
    expect_equal(_binding(context, "198.18.1.77")["link"], {"interface": "veth-client", "vlan": 0}, "the link")
    context.lab.weir("revoke", "198.18.1.77", "--reason", "done")


@case("a static binding that names a MAC or a VLAN holds there alone", seconds=240, spoils=True)
def static_tie(context):
    own = _mac(context)

    def tied(name, words):
        return lambda _: context.lab.config_variant(name, lambda text: text.replace(f"{{address: {context.env['CLIENT_IP']},", f"{{address: {context.env['CLIENT_IP']}, {words},", 1))
    context.use(tied("tied", f'interface: veth-client, vlan: 0, mac: "{own}"'))
    expect_equal(context.psql("select 1").returncode, 0, "as tied")
    with _another_host(context):
        expect_in("no identity is bound to", context.psql("select 1").stderr, "another MAC")
    context.use(tied("vlan", "vlan: 7"))
    expect_in("no identity is bound to", context.psql("select 1").stderr, "an untagged frame where VLAN 7 is bound")
