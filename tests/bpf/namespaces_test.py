#!/usr/bin/env python3
"""The kernel side as a whole, in network namespaces: claims of DESIGN 5 and of "Packets and kernel" in the list of evasions.

Usage: namespaces_test.py --driver PATH [NAME...]      exit 77: not root, nothing was tried
"""
import argparse
import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

import namespace_lab
from namespace_lab import CLIENT, CLIENT6, PORT, TARGET, TARGET6, Sniffer, World, run, until

SYN, RST, ACK = 2, 4, 16
DRIVER = ""


class Case(unittest.TestCase):
    routers = False

    def setUp(self):
        self.world = World(DRIVER, routers=self.routers)
        self.addCleanup(self.world.close)

    def exchange(self, s, size=100_000):
        """Sends `size` bytes and has them come back."""
        sent, got = os.urandom(size), b""
        sender = threading.Thread(target=s.sendall, args=(sent,))
        sender.start()
        while len(got) < size:
            part = s.recv(65536)
            self.assertTrue(part, f"closed after {len(got)} of {size} bytes")
            got += part
        sender.join()
        self.assertEqual(got, sent)

    def refused(self, family=4, **options):
        with self.assertRaises(ConnectionRefusedError):
            self.world.connect(family, **options).close()

    def silent(self, family=4):
        with self.assertRaises(TimeoutError):
            self.world.connect(family, seconds=0.7).close()

    def raw(self, place, packet, destination):
        """An IPv4 packet with a header of our own."""
        with self.world.inside(place):
            s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        with s:
            s.sendto(packet, (destination, 0))

    @staticmethod
    def ipv4(source, destination, protocol, payload, fragment=0):
        header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 7, fragment, 64, protocol, 0, socket.inet_aton(source),
                             socket.inet_aton(destination))
        return header + payload

    @staticmethod
    def tcp(source_port, destination_port, flags, source, destination, payload=b"", sequence=1000, acknowledged=2000):
        header = struct.pack("!HHIIBBHHH", source_port, destination_port, sequence, acknowledged, 5 << 4, flags, 512, 0, 0)
        pseudo = socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!BBH", 0, 6, len(header) + len(payload))
        data = pseudo + header + payload + b"\0" * (len(payload) % 2)
        total = sum(struct.unpack(f"!{len(data) // 2}H", data))
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        return header[:16] + struct.pack("!H", ~total & 0xFFFF) + header[18:] + payload


class Relay(Case):
    def test_target_sees_the_clients_own_address_and_port(self):
        self.world.up()
        self.world.start()
        for family, client in ((4, CLIENT), (6, CLIENT6)):
            with self.world.connect(family) as s:
                self.assertEqual(self.world.greet(s), f"peer {client} {s.getsockname()[1]}")
                self.exchange(s)
        status = self.world.status()
        self.assertTrue(status["listening"])
        self.assertTrue(all(piece["in_place"] for piece in status["pieces"]), status["pieces"])
        self.assertGreater(status["steered"], 0)

    def test_coming_back_from_the_same_port_keeps_it(self):
        self.world.up()
        engine = self.world.start()
        for turn in range(5):
            with self.world.connect(port=45000) as s:
                self.assertEqual(self.world.greet(s), f"peer {CLIENT} 45000")
                s.shutdown(socket.SHUT_WR)
                self.assertEqual(s.recv(1), b"")
            engine.wait("closed", turn + 1)
            # The client's own TIME_WAIT would be in its way, not in ours.
            run(*self.world.enter("client"), "ss", "-K", "sport", "=", ":45000")
        self.assertEqual(len(engine.find("opened", kept=True)), 5)

    def test_source_gateway_dials_from_the_gateways_address(self):
        self.world.up(target={"source": "gateway"})
        engine = self.world.start()
        with self.world.connect() as s:
            self.assertTrue(self.world.greet(s).startswith("peer 198.18.2.1 "))
            self.exchange(s)
            s.sendall(b"send 100000000")
            s.recv(1000)
            self.assertEqual(engine.tell("cut-session 1", "cut")["count"], 1)
            with self.assertRaises(ConnectionResetError):
                while s.recv(1 << 20):
                    pass

    def test_rp_filter_may_be_anything_and_conntrack_may_be_strict(self):
        run(*self.world.in_gateway(), "nft", "-f", "-", input="table inet strict { chain i { type filter hook input priority 0; ct state invalid drop; }; "
            "chain f { type filter hook forward priority 0; ct state invalid drop; }; chain o { type filter hook output priority 0; ct state invalid drop; }; }")
        self.world.up()
        self.world.start()
        for value in (0, 1, 2):
            self.world.sysctl("gateway", f"net.ipv4.conf.all.rp_filter={value}", f"net.ipv4.conf.gc.rp_filter={value}", f"net.ipv4.conf.gt.rp_filter={value}")
            with self.world.connect() as s:
                self.world.greet(s)
                self.exchange(s)
        self.world.engine.kill()
        self.refused()
        self.refused(6)

    def test_syn_cookies_find_the_listener_that_made_them(self):
        self.world.up()
        self.world.start()
        self.world.sysctl("gateway", "net.ipv4.tcp_syncookies=2")
        for family in (4, 6):
            for _ in range(8):
                with self.world.connect(family) as s:
                    self.world.greet(s)

    def test_untargeted_traffic_passes_untouched(self):
        self.world.up()
        self.world.start()
        with self.world.inside("target"):
            server = socket.create_server((TARGET, 9999))
        with server, self.world.connect(to_port=9999) as s:
            accepted, peer = server.accept()
            with accepted:
                self.assertEqual(peer[0], CLIENT)
                self.assertEqual(accepted.getsockopt(socket.IPPROTO_IP, socket.IP_TTL), 64)
        self.assertGreater(self.world.counted("other_port"), 0)


class Closed(Case):
    def test_no_engine_yet_means_no_way(self):
        sniffer = Sniffer(self.world, "target")
        self.world.up()
        self.refused()
        self.refused(6)
        self.assertEqual([f for f in sniffer.frames() if PORT in (f[5], f[6])], [])
        self.assertGreaterEqual(self.world.dropped("engine_away"), 2)

    def test_closed_answer_drop_is_silent(self):
        self.world.up(target={"closed_answer": "drop"})
        self.silent()
        self.silent(6)

    def test_killed_in_the_middle_of_a_result_leaks_not_one_raw_byte(self):
        self.world.up()
        engine = self.world.start()
        at_client, at_target = Sniffer(self.world, "client"), Sniffer(self.world, "target")
        with self.forced_sequence() as s:
            self.world.greet(s)
            s.sendall(b"send 1000000000")
            for _ in range(200):
                s.recv(65536)
            engine.kill()
            s.settimeout(3)
            with contextlib.suppress(OSError):
                while s.recv(1 << 20):
                    pass
            time.sleep(0.5)
            with contextlib.suppress(OSError):
                s.sendall(b"more")
        self.refused()
        self.assertEqual(at_client.forwarded(), [])
        self.assertEqual(at_target.forwarded(), [])
        self.assertGreater(self.world.dropped("return_no_socket"), 0)

    @contextlib.contextmanager
    def forced_sequence(self):
        """Namespaces share one secret for initial sequence numbers: a raw leak could look like the right stream."""
        with self.world.inside("client"):
            s = socket.socket()
        with s:
            s.settimeout(namespace_lab.WAIT)
            s.setsockopt(socket.IPPROTO_TCP, 19, 1)            # TCP_REPAIR
            s.setsockopt(socket.IPPROTO_TCP, 20, 2)            # TCP_REPAIR_QUEUE: send
            s.setsockopt(socket.IPPROTO_TCP, 21, 0x12345678)   # TCP_QUEUE_SEQ
            s.setsockopt(socket.IPPROTO_TCP, 19, -1)           # off, without a window probe
            s.connect((TARGET, PORT))
            yield s

    def test_host_listener_on_the_port_is_never_reached(self):
        self.world.up()
        with self.world.inside("gateway"):
            wildcard = socket.create_server(("0.0.0.0", PORT))
            with wildcard:
                self.refused()
                self.world.detach("dispatch")   # Even with sk_lookup gone nothing is marked for this host without an engine.
                self.refused()
                wildcard.setblocking(False)
                with self.assertRaises(BlockingIOError):
                    wildcard.accept()

    def test_on_failure_open_forwards_while_there_is_no_engine(self):
        self.world.up(target={"on_failure": "open"})
        sniffer = Sniffer(self.world, "target")
        with self.world.connect() as s:
            self.assertEqual(self.world.greet(s).split()[1], CLIENT)
            self.exchange(s)
            self.assertNotEqual(sniffer.forwarded(), [])
            self.world.start()
            with self.assertRaises(OSError):   # The raw flow ends once there is an engine.
                self.exchange(s)
        with self.world.connect() as s:
            self.world.greet(s)
            sniffer.frames()
            self.exchange(s)
            self.assertEqual(sniffer.forwarded(), [])


class Guard(Case):
    def load(self, stop):
        """New connections and bytes on old ones, until told to stop."""
        def work():
            while not stop.is_set():
                with contextlib.suppress(OSError, AssertionError), self.world.connect(seconds=0.3) as s:
                    self.world.greet(s)
                    for _ in range(20):
                        s.sendall(b"x" * 5000)
                        s.recv(65536)
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        return threads

    def pieces(self):
        gateway = self.world.in_gateway()
        return {
            "rule": lambda: [run("ip", "-n", self.world.ns("gateway"), *f, "rule", "del", "priority", "100") for f in ([], ["-6"])],
            "route": lambda: [run("ip", "-n", self.world.ns("gateway"), *f, "route", "flush", "table", "5745") for f in ([], ["-6"])],
            "dispatch": lambda: self.world.detach("dispatch"),
            "steer_client": lambda: self.world.detach("steer_client"),
            "steer_target": lambda: self.world.detach("steer_target"),
            "nft": lambda: run(*gateway, "nft", "flush", "ruleset"),
            "send_redirects": lambda: self.world.sysctl("gateway", "net.ipv4.conf.all.send_redirects=1"),
        }

    def test_nothing_leaks_when_a_piece_is_flushed_under_load_and_the_watch_puts_it_back(self):
        self.world.up()
        engine = self.world.start()
        at_target, at_client = Sniffer(self.world, "target"), Sniffer(self.world, "client")
        stop = threading.Event()
        threads = self.load(stop)
        try:
            for name, flush in self.pieces().items():
                with self.subTest(flushed=name):
                    time.sleep(0.1)
                    losses = len(engine.find("loss"))
                    flush()
                    engine.wait("loss", losses + 1)
                    until(lambda: all(piece["in_place"] for piece in self.world.status()["pieces"]), "all is in place again")
                    self.assertTrue(all(loss["restored"] for loss in engine.find("loss")), engine.find("loss"))
                    self.assertEqual(at_target.forwarded(), [])
                    self.assertEqual(at_client.forwarded(), [])
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        with self.world.connect() as s:
            self.world.greet(s)

    def test_guard_alone_holds_while_nobody_restores(self):
        self.world.up()
        engine = self.world.start()
        at_target, at_client = Sniffer(self.world, "target"), Sniffer(self.world, "client")
        with self.world.connect() as s:
            self.world.greet(s)
            s.sendall(b"send 100000000")
            for name, flush in self.pieces().items():
                if name == "send_redirects":
                    continue
                with self.subTest(flushed=name):
                    engine.signal(signal.SIGSTOP)
                    flush()
                    with contextlib.suppress(OSError):
                        self.world.connect(seconds=0.3).close()
                    with contextlib.suppress(OSError):
                        self.world.connect(6, seconds=0.3).close()
                    self.assertEqual(at_target.forwarded(), [])
                    self.assertEqual(at_client.forwarded(), [])
                    engine.signal(signal.SIGCONT)
                    until(lambda: all(piece["in_place"] for piece in self.world.status()["pieces"]), "all is in place again")
        self.assertGreater(self.world.dropped("guard_no_socket"), 0)

    def test_everything_of_steering_gone_but_the_guards(self):
        self.world.up()
        sniffer = Sniffer(self.world, "target")
        for name, flush in self.pieces().items():
            if name != "send_redirects":
                flush()
        self.silent()
        self.silent(6)
        self.assertEqual([f for f in sniffer.frames() if PORT in (f[5], f[6])], [])
        self.assertGreaterEqual(self.world.dropped("guard_no_socket"), 2)

    def test_programs_of_the_gateway_itself_do_not_reach_the_target(self):
        self.world.up()
        with self.assertRaises(TimeoutError):
            self.world.connect(place="gateway", seconds=0.5).close()
        self.assertGreater(self.world.dropped("guard_foreign"), 0)

    def test_a_new_interface_gets_its_guard(self):
        self.world.up()
        engine = self.world.start()
        self.world.ip("gateway", "link", "add", "later", "type", "dummy")
        loss = until(lambda: [e for e in engine.find("loss", new=True) if "later" in e["piece"]], "a guard on the new interface")[0]
        self.assertTrue(loss["restored"])

    def test_pins_taken_away_are_pinned_again(self):
        self.world.up()
        engine = self.world.start()
        run("rm", "-rf", str(self.world.folder / "bpf" / "weir"))
        engine.wait("loss", piece=f"pins under {self.world.config['pin']}", restored=True)
        status = until(lambda: self.world.status() if self.world.status()["up"] else None, "pinned again")
        self.assertTrue(all(piece["in_place"] for piece in status["pieces"]), status["pieces"])
        with self.world.connect() as s:
            self.world.greet(s)

    def test_an_interface_made_anew_is_steered_again(self):
        self.world.up()
        engine = self.world.start()
        self.world.ip("gateway", "link", "del", "gc")
        self.world.link("client", "eth0", "gateway", "gc", 1)
        self.world.ip("client", "route", "add", "default", "via", "198.18.1.1")
        until(lambda: all(piece["in_place"] for piece in self.world.status()["pieces"]), "steering on the new interface")
        self.assertTrue([e for e in engine.find("loss", restored=True) if "steer_client" in e["piece"]])
        with self.world.connect() as s:
            self.world.greet(s)


class Return(Case):
    def test_packets_of_a_target_without_a_socket_end_here(self):
        self.world.up()
        self.world.start()
        sniffer = Sniffer(self.world, "client")
        for flags in (ACK, SYN | ACK, RST, SYN):
            self.raw("target", self.ipv4(TARGET, CLIENT, 6, self.tcp(PORT, 50000, flags, TARGET, CLIENT, b"secret")), CLIENT)
        self.raw("target", self.ipv4(TARGET, CLIENT, 17, struct.pack("!HHHH", PORT, 50000, 8, 0)), CLIENT)
        self.raw("target", self.ipv4(TARGET, CLIENT, 6, b"fragment", fragment=5), CLIENT)
        until(lambda: self.world.dropped("return_fragment") == 1, "all arrived")
        status = self.world.status()["dropped"]
        self.assertEqual((status["return_no_socket"], status["return_syn"], status["return_udp"]), (3, 1, 1))
        self.assertEqual([f for f in sniffer.frames() if f[3] == TARGET], [])

    def test_packets_to_a_target_that_cannot_be_read_are_counted_and_told(self):
        self.world.up(target={"icmp": "drop"})
        engine = self.world.start()
        sniffer = Sniffer(self.world, "target")
        self.raw("client", self.ipv4(CLIENT, TARGET, 6, self.tcp(50000, PORT, SYN, CLIENT, TARGET), fragment=0x2000), TARGET)
        self.raw("client", self.ipv4(CLIENT, TARGET, 6, b"x" * 12), TARGET)
        self.raw("client", self.ipv4(CLIENT, TARGET, 17, struct.pack("!HHHH", 50000, PORT, 8, 0)), TARGET)
        self.raw("client", self.ipv4(CLIENT, TARGET, 47, b"\0" * 40), TARGET)
        self.raw("client", self.ipv4(CLIENT, TARGET, 1, struct.pack("!BBHHH", 8, 0, 0xF7FF, 0, 0)), TARGET)
        for reason in ("fragment", "unreadable", "udp", "tunnel", "icmp"):
            engine.wait("notice", reason=reason)
            self.assertEqual(self.world.dropped(reason), 1)
        self.assertEqual([f for f in sniffer.frames() if f[3] == CLIENT], [])

    def test_a_flood_of_syns_fills_no_flow(self):
        self.world.up(flows_max=64)
        self.world.start()
        for port in range(20000, 20500):
            self.raw("client", self.ipv4(CLIENT, TARGET, 6, self.tcp(port, PORT, SYN, CLIENT, TARGET)), TARGET)
        self.assertEqual(self.world.status()["flows"], 0)
        with self.world.connect() as s:
            self.world.greet(s)

    def test_a_full_map_drops(self):
        self.world.up(flows_max=2)
        self.world.start()
        held = [self.world.connect() for _ in range(2)]
        for s in held:
            self.world.greet(s)
        third = self.world.connect()   # The kernel's handshake; the packet that completes it is dropped.
        third.settimeout(0.5)
        with self.assertRaises(TimeoutError):
            third.recv(1)
        self.assertGreater(self.world.dropped("flows_full"), 0)
        for s in (*held, third):
            s.close()


class Bindings(Case):
    def flood(self, s):
        self.world.greet(s)
        s.sendall(b"send 2000000000")
        for _ in range(50):
            s.recv(65536)

    def drained(self, s):
        """What still comes, and how it ends."""
        size = 0
        s.settimeout(1.5)
        try:
            while True:
                part = s.recv(1 << 20)
                if not part:
                    return size, "closed"
                size += len(part)
        except TimeoutError:
            return size, "silent"
        except ConnectionResetError:
            return size, "reset"

    def test_a_cut_ends_both_legs_at_once(self):
        self.world.up()
        engine = self.world.start()
        for family, verb, number in ((4, "cut-session", 1), (6, "cut-binding", 8)):
            with self.subTest(verb=verb), self.world.connect(family) as s:
                self.flood(s)
                began = time.monotonic()
                self.assertEqual(engine.tell(f"{verb} {number}", "cut")["count"], 1)
                self.assertLess(time.monotonic() - began, 1.0)
                self.assertEqual(self.drained(s)[1], "reset")
                gone = until(lambda: "ESTAB" not in run(*self.world.enter("target"), "ss", "-tn", "sport", "=", f":{PORT}"), "the target's socket ended")
                self.assertTrue(gone)
        engine.wait("closed", 2)

    def test_an_address_bound_anew_never_inherits_a_flow(self):
        self.world.up()
        engine = self.world.start()
        with self.world.connect() as s:
            self.flood(s)
            engine.tell("unbind 7", "unbound")
            self.world.bind(9, CLIENT)         # Somebody else's now; nobody has cut anything.
            size, end = self.drained(s)
            self.assertEqual(end, "silent")
            self.assertLess(size, 16 << 20)    # At most what the client's own socket had taken.
            status = self.world.status()["dropped"]
            self.assertGreater(status["guard_cut"] + status["binding_other"], 0)
            with self.world.connect() as new:
                self.world.greet(new)

    def test_a_binding_ends_in_the_kernel_by_itself(self):
        self.world.up(target={"unbound": "reset"})
        engine = self.world.start(bound=False)
        self.refused()
        self.world.bind(5, CLIENT, 2)
        with self.world.connect() as s:
            self.world.greet(s)
            engine.signal(signal.SIGSTOP)      # No user space is needed for it.
            until(lambda: self.is_refused(), "the binding's end", 4)
            engine.signal(signal.SIGCONT)
            s.settimeout(0.5)
            with self.assertRaises(OSError):
                s.sendall(b"x")
                s.recv(1)

    def is_refused(self):
        try:
            self.world.connect(seconds=0.3).close()
            return False
        except ConnectionRefusedError:
            return True

    def test_unbound_sources_are_told_reset_or_ignored(self):
        self.world.up()
        engine = self.world.start(bound=False)
        for family, client in ((4, CLIENT), (6, CLIENT6)):
            with self.world.connect(family) as s:
                self.assertEqual(self.world.greet(s), f"no identity is bound to {client}")
        self.world.up(target={"unbound": "reset"})
        self.refused()
        self.refused(6)
        self.world.up(target={"unbound": "drop"})
        self.silent()
        self.silent(6)
        self.world.up(target={"unbound": "drop", "admit": "credential"})
        engine.kill()
        engine = self.world.start(bound=False)
        with self.world.connect() as s:
            self.world.greet(s)
            self.assertEqual(engine.tell(f"flow {CLIENT} {s.getsockname()[1]} {TARGET} {PORT}", "flow")["binding"], 0)

    def test_a_prefix_binds_a_network(self):
        self.world.up(target={"unbound": "drop"})
        self.world.start(bound=False)
        self.world.bind(3, "198.18.1.0/24")
        with self.world.connect() as s:
            self.world.greet(s)
        self.silent(6)

    def test_bytes_of_a_dead_engines_sockets_are_known(self):
        self.world.up()
        if not any(piece["kind"] == "counts" for piece in self.world.status()["pieces"]):
            self.skipTest("no cgroup v2 is mounted here")
        engine = self.world.start()
        s = self.world.connect()
        port = s.getsockname()[1]
        self.world.greet(s)
        self.exchange(s, 5000)
        engine.kill()
        engine = self.world.start()
        s.close()
        legs = until(lambda: (lambda got: got if got["client"] and got["target"] else None)(engine.tell(f"legs {CLIENT} {port} {TARGET} {PORT}", "legs")), "both legs")
        greeting = len(f"peer {CLIENT} {port}\n")
        self.assertIn(legs["client"], (5000, 5001))                      # A FIN counts one.
        self.assertIn(legs["target"], (5000 + greeting, 5001 + greeting))


class Mtu(Case):
    routers = True

    def setUp(self):
        super().setUp()
        for router in ("target-router", "client-router"):
            self.world.ip(router, "link", "set", "in", "mtu", "1300")
        self.world.up()
        self.world.start()

    def test_a_smaller_mtu_behind_the_gateway_is_no_black_hole(self):
        for family in (4, 6):
            with self.subTest(family=family), self.world.connect(family) as s:
                self.world.greet(s)
                before = self.world.counted("icmp_error")
                began = time.monotonic()
                self.exchange(s, 2_000_000)          # Full segments on both routers' small links, both ways.
                self.assertLess(time.monotonic() - began, 3.0)
                self.assertGreaterEqual(self.world.counted("icmp_error") - before, 2)


class Existing(Case):
    def old_flow(self):
        self.world.sysctl("gateway", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        s = self.world.connect()
        self.world.greet(s)
        self.exchange(s, 1000)
        return s

    def test_reset_ends_flows_older_than_the_gateway(self):
        s = self.old_flow()
        self.world.up()
        self.world.start()
        with s, self.assertRaises(ConnectionResetError):
            self.exchange(s, 1000)
        self.assertGreater(self.world.dropped("midstream_reset"), 0)

    def test_drain_passes_them_until_its_end_and_steers_new_ones(self):
        s = self.old_flow()
        self.world.up(drain_seconds=2)
        self.world.start()
        sniffer = Sniffer(self.world, "target")
        with s:
            self.exchange(s, 100_000)
            self.assertNotEqual(sniffer.forwarded(), [])
            with self.world.connect() as new:
                self.world.greet(new)
                sniffer.frames()
                self.exchange(new, 1000)
                self.assertEqual(sniffer.forwarded(), [])
            self.assertGreater(self.world.counted("drained"), 0)
            time.sleep(2.1)
            with self.assertRaises(ConnectionResetError):
                self.exchange(s, 1000)
        self.assertEqual(sniffer.forwarded(), [])


class UpAndDown(Case):
    def test_down_leaves_the_host_as_it_was(self):
        before = self.world.dump()
        self.world.up()
        self.assertNotEqual(self.world.dump(), before)
        self.world.start()
        with self.world.connect() as s:
            self.world.greet(s)
        self.world.engine.kill()
        self.assertEqual(self.world.down(), [])
        self.assertEqual(self.world.dump(), before)
        self.assertEqual(self.world.down(), [])     # Again: nothing to do.

    def test_down_puts_back_a_forwarding_host_too_and_leaves_what_others_changed(self):
        self.world.sysctl("gateway", "net.ipv4.ip_forward=1", "net.ipv4.conf.gt.forwarding=0", "net.ipv6.conf.gc.forwarding=1")
        before = self.world.dump()
        self.world.up()
        self.world.sysctl("gateway", "net.ipv4.tcp_mtu_probing=2")
        left = self.world.down()
        self.assertEqual(len(left), 1, left)
        self.assertIn("tcp_mtu_probing is 2", left[0])
        self.world.sysctl("gateway", "net.ipv4.tcp_mtu_probing=0")
        self.assertEqual(self.world.dump(), before)

    def test_plan_prints_what_up_does(self):
        plan = json.loads(self.world.steer("plan").stdout)
        self.assertEqual(plan["clashes"], [])
        self.world.up()
        pieces = [piece["name"] for piece in self.world.status()["pieces"]]
        self.assertEqual(plan["steps"][-len(pieces):], pieces)
        dump = self.world.dump()
        for fact in ("fwmark 0x57450000/0xffff0000 lookup 5745", "local default dev lo table 5745", "table inet weir", "net.ipv4.tcp_mtu_probing = 1"):
            self.assertIn(fact, dump)
        self.assertTrue(any("guard to egress of lo" in step for step in plan["steps"]))
        order = [next(i for i, step in enumerate(plan["steps"]) if word in step) for word in ("attach guard", "attach dispatch", "attach steer_client")]
        self.assertEqual(order, sorted(order))

    def test_clashes_are_named_and_nothing_is_done(self):
        gateway = self.world.ns("gateway")
        clashes = {
            "priority": (["ip", "-n", gateway, "rule", "add", "from", "203.0.113.1", "lookup", "main", "priority", "100"],
                         ["ip", "-n", gateway, "rule", "del", "priority", "100"], "steer.priority"),
            "mark": (["ip", "-n", gateway, "rule", "add", "fwmark", "0x10000/0x10000", "lookup", "main", "priority", "77"],
                     ["ip", "-n", gateway, "rule", "del", "priority", "77"], "steer.mark"),
            "table": (["ip", "-n", gateway, "route", "add", "203.0.113.0/24", "dev", "gc", "table", "5745"],
                      ["ip", "-n", gateway, "route", "flush", "table", "5745"], "steer.table"),
            "nft": ([*self.world.in_gateway(), "nft", "add", "table", "inet", "weir"], [*self.world.in_gateway(), "nft", "delete", "table", "inet", "weir"], "nftables"),
            "src_valid_mark": ([*self.world.in_gateway(), "sysctl", "-qw", "net.ipv4.conf.all.src_valid_mark=1"],
                               [*self.world.in_gateway(), "sysctl", "-qw", "net.ipv4.conf.all.src_valid_mark=0"], "src_valid_mark"),
        }
        for name, (make, undo, word) in clashes.items():
            with self.subTest(clash=name):
                run(*make)
                before = self.world.dump()
                done = self.world.steer("up", check=False)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(word, done.stderr)
                self.assertIn(word, " ".join(json.loads(self.world.steer("plan").stdout)["clashes"]))
                self.assertEqual(self.world.dump(), before)
                run(*undo)
        self.world.up()

    def test_an_up_that_fails_half_way_is_undone(self):
        before = self.world.dump()
        for options, word in (({"flows_max": 4_000_000_000}, "load"), ({"clients": ["gone"]}, "gone")):
            with self.subTest(**options):
                config = dict(self.world.config)
                self.world.configure(**options)
                done = self.world.steer("up", check=False)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(word, done.stderr)
                self.assertEqual(self.world.dump(), before)
                self.world.configure(**{"flows_max": 1000, "clients": config["clients"]})

    def test_up_after_a_killed_up_or_a_lost_pin_folder_is_whole(self):
        before = self.world.dump()
        self.world.up()
        pins = self.world.folder / "bpf"
        (pins / "weir").rename(pins / "weir_new")       # As an up that was killed before its last step leaves it.
        self.world.up()
        self.assertTrue(all(piece["in_place"] for piece in self.world.status()["pieces"]))
        run("rm", "-rf", str(pins / "weir"))            # No engine holds it.
        self.world.up()
        self.assertTrue(all(piece["in_place"] for piece in self.world.status()["pieces"]))
        self.assertEqual(self.world.down(), [])
        self.assertEqual(self.world.dump(), before)

    def test_up_again_repairs_and_refuses_other_options(self):
        self.world.up()
        self.world.ip("gateway", "rule", "del", "priority", "100")
        self.world.up()
        self.assertTrue(all(piece["in_place"] for piece in self.world.status()["pieces"]))
        self.world.configure(table=5746)
        done = self.world.steer("up", check=False)
        self.assertIn("weir down first", done.stderr)
        self.world.configure(table=5745)

    def test_doctor_finds_what_is_wrong(self):
        self.world.up()
        self.world.start()

        def findings(level):
            return {f["check"]: f["found"] for f in json.loads(self.world.steer("doctor").stdout) if f["level"] == level}

        self.assertEqual(findings("fail"), {})
        self.assertIn("come through here", findings("ok")["return"])
        with self.world.inside("gateway"):
            wildcard = socket.create_server(("0.0.0.0", PORT))
        with wildcard:
            self.assertIn(str(PORT), findings("warn")["listener"])
        self.world.engine.signal(signal.SIGSTOP)
        self.world.ip("gateway", "rule", "del", "priority", "100")
        self.world.sysctl("gateway", "net.ipv4.conf.gc.src_valid_mark=1")
        found = findings("fail")
        self.assertIn("rule", found["piece"])
        self.assertIn("src_valid_mark", found["clash"])
        self.world.engine.signal(signal.SIGCONT)
        # The target answers some other way.
        self.world.ip("target", "route", "replace", "blackhole", "198.18.1.0/24")
        self.assertIn("no answer", findings("fail")["return"])


def main():
    global DRIVER
    parser = argparse.ArgumentParser()
    parser.add_argument("--driver", required=True)
    arguments, rest = parser.parse_known_args()
    if os.geteuid() != 0:
        print("skipped: network namespaces need root")
        return 77
    DRIVER = os.path.abspath(arguments.driver)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))   # So that cleanups run.
    program = unittest.main(argv=[sys.argv[0], *rest], exit=False, verbosity=2)
    return 0 if program.result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
