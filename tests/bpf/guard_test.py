#!/usr/bin/env python3
"""Pieces lost under load, cuts and bindings, in network namespaces ("Packets and kernel" in the list of evasions).

Usage: guard_test.py --driver PATH [CASE...]      needs root
"""
import contextlib
import signal
import sys
import threading
import time

from namespace_case import Case, run_all
from namespace_lab import CLIENT, CLIENT6, PORT, TARGET, run, until


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
        at_target, at_client = self.sniff("target"), self.sniff("client")
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
        at_target, at_client = self.sniff("target"), self.sniff("client")
        with self.world.connect() as s:
            self.world.greet(s)
            s.sendall(b"send 100000000")
            for name, flush in self.pieces().items():
                if name == "send_redirects":
                    continue
                with self.subTest(flushed=name):
                    engine.pause()
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
        sniffer = self.sniff("target")
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
        for name, mode, program in (("later", "tap", "guard"), ("deeper", "tun", "guard_l3")):
            self.world.ip("gateway", "tuntap", "add", name, "mode", mode)
            piece = f"attach {program} to egress of {name} (tcx, head)"
            self.assertTrue(engine.wait("loss", piece=piece, new=True)["restored"])

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
        self.world.bind(5, CLIENT, 3)
        with self.world.connect() as s:
            self.world.greet(s)
            engine.pause()      # No user space is needed for it.
            until(lambda: self.is_refused(), "the binding's end")
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
            self.fail("no cgroup v2 is mounted here: nobody counts the bytes of sockets that end")
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


if __name__ == "__main__":
    sys.exit(run_all(globals(), __doc__))
