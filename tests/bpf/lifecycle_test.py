#!/usr/bin/env python3
"""Up, down, plan, clashes and doctor, in network namespaces: all or nothing, and the host as it was.

Usage: lifecycle_test.py --driver PATH [CASE...]      needs root
"""
import json
import signal
import socket
import sys

from namespace_case import Case, run_all
from namespace_lab import PORT, run


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
        self.world.engine.pause()
        self.world.ip("gateway", "rule", "del", "priority", "100")
        self.world.sysctl("gateway", "net.ipv4.conf.gc.src_valid_mark=1")
        found = findings("fail")
        self.assertIn("rule", found["piece"])
        self.assertIn("src_valid_mark", found["clash"])
        self.world.engine.signal(signal.SIGCONT)
        # The target answers some other way.
        self.world.ip("target", "route", "replace", "blackhole", "198.18.1.0/24")
        self.assertIn("no answer", findings("fail")["return"])


if __name__ == "__main__":
    sys.exit(run_all(globals(), __doc__))
