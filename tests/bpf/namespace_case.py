"""What the namespace tests share: a world for each case, and packets made by hand."""
import argparse
import os
import signal
import socket
import struct
import sys
import threading
import unittest

from namespace_lab import Sniffer, World

SYN, RST, ACK = 2, 4, 16


class Case(unittest.TestCase):
    routers = False
    driver = ""

    def setUp(self):
        self.world = World(self.driver, routers=self.routers)
        self.addCleanup(self.world.close)

    def sniff(self, place):
        sniffer = Sniffer(self.world, place)
        self.addCleanup(sniffer.close)
        return sniffer

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


def run_all(module_globals, description):
    """The test program of one file: takes --driver; without root it fails, since nothing could be tried."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--driver", required=True, help="the steer_driver program")
    arguments, rest = parser.parse_known_args()
    if os.geteuid() != 0:
        print("network namespaces need root")
        return 1
    Case.driver = os.path.abspath(arguments.driver)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))   # So that cleanups run.
    program = unittest.main(module=module_globals["__name__"], argv=[sys.argv[0], *rest], exit=False, verbosity=2)
    return 0 if program.result.wasSuccessful() else 1
