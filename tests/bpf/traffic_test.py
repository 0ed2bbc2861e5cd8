#!/usr/bin/env python3
"""Flows through the kernel side, in network namespaces: what passes, what is answered, what ends here (DESIGN 5).

Usage: traffic_test.py --driver PATH [CASE...]      needs root
"""
import contextlib
import socket
import struct
import sys
import time

import namespace_lab
from namespace_case import ACK, RST, SYN, Case, run_all
from namespace_lab import CLIENT, CLIENT6, PORT, TARGET, run, until


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
        sniffer = self.sniff("target")
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
        at_client, at_target = self.sniff("client"), self.sniff("target")
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
        sniffer = self.sniff("target")
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


class Return(Case):
    def test_packets_of_a_target_without_a_socket_end_here(self):
        self.world.up()
        self.world.start()
        sniffer = self.sniff("client")
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
        sniffer = self.sniff("target")
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


class Mtu(Case):
    routers = True

    def setUp(self):
        super().setUp()
        for router in ("target-router", "client-router"):
            self.world.ip(router, "link", "set", "in", "mtu", "1300")
        # The ends send nothing larger, and yet say that they take it: a veth drops a single segment that its peer's MTU does not hold,
        # and no router tells of it.
        for place, net in (("client", 1), ("target", 2)):
            self.world.ip(place, "route", "replace", "default", "via", f"198.18.{net}.1", "mtu", "1300", "advmss", "1460")
            self.world.ip(place, "-6", "route", "replace", "default", "via", f"fd57:{net}::1", "mtu", "1300", "advmss", "1440")
        self.world.up()
        self.world.start()

    def test_a_smaller_mtu_behind_the_gateway_is_no_black_hole(self):
        for family in (4, 6):
            with self.subTest(family=family), self.world.connect(family) as s:
                self.world.greet(s)
                before = self.world.counted("icmp_error")
                self.exchange(s, 2_000_000)          # Full segments on both routers' small links, both ways.
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
        sniffer = self.sniff("target")
        with s:
            self.exchange(s, 100_000)
            self.assertNotEqual(sniffer.forwarded(), [])
            with self.world.connect() as new:
                self.world.greet(new)
                self.exchange(new, 1000)
                port = new.getsockname()[1]  # The older flow may still have an acknowledgement to send.
                self.assertEqual([frame for frame in sniffer.forwarded() if frame[5] == port], [])
            self.assertGreater(self.world.counted("drained"), 0)
            time.sleep(2.1)
            sniffer.frames()
            with self.assertRaises(ConnectionResetError):
                self.exchange(s, 1000)
        self.assertEqual(sniffer.forwarded(), [])


if __name__ == "__main__":
    sys.exit(run_all(globals(), __doc__))
