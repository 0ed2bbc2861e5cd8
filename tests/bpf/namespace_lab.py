"""Network namespaces of their own for the tests of the kernel side: client - [router -] gateway - [router -] target.

Everything made here has the process id in its name and is taken away by World.close(); nothing else is touched.
"""
import contextlib
import ctypes
import json
import os
import pathlib
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
PORT = 5432
CLIENT, TARGET = "198.18.1.2", "198.18.2.2"
CLIENT6, TARGET6 = "fd57:1::2", "fd57:2::2"
WAIT = 20.0  # Seconds that something which happens at once may take on a busy machine.


def run(*command, check=True, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def until(fact, what, seconds=WAIT):
    """Waits for `fact()` to be true; what it gives is returned."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = fact()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds} s: {what}")


class Driver:
    """steer_driver run: the relay in the engine's place."""

    def __init__(self, world):
        self.events = []
        self.condition = threading.Condition()
        self.process = subprocess.Popen(world.in_gateway() + [world.driver, "run", world.config_file], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.wait("ready")

    def _read(self):
        for line in self.process.stdout:
            with self.condition:
                self.events.append(json.loads(line))
                self.condition.notify_all()

    def find(self, event, **fields):
        return [e for e in self.events if e["event"] == event and all(e.get(k) == v for k, v in fields.items())]

    def wait(self, event, count=1, seconds=WAIT, **fields):
        with self.condition:
            if not self.condition.wait_for(lambda: len(self.find(event, **fields)) >= count, seconds):
                raise AssertionError(f"no {event} {fields} in {self.events[-20:]}")
            return self.find(event, **fields)[count - 1]

    def tell(self, line, answer=None):
        count = len(self.find(answer)) + 1 if answer else 0
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.wait(answer, count) if answer else None

    def signal(self, number):
        self.process.send_signal(number)

    def pause(self):
        """Stops it, and waits until each of its threads stands."""
        self.signal(signal.SIGSTOP)
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task")
        until(lambda: all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T" for task in tasks.iterdir()), "the engine stands")

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()


class Sniffer:
    """Frames that come in on an interface, while it is open."""

    def __init__(self, world, place, interface="eth0"):
        with world.inside(place):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        self.socket.bind((interface, 3))
        self.socket.setblocking(False)

    def frames(self):
        """(version, TTL or hop limit, protocol, source, destination, source port, destination port, flags, TCP payload)"""
        seen = []
        with contextlib.suppress(BlockingIOError):
            while True:
                data, where = self.socket.recvfrom(65536)
                if where[2] == socket.PACKET_OUTGOING:
                    continue
                kind = struct.unpack("!H", data[12:14])[0]
                if kind == 0x0800:
                    header = (data[14] & 15) * 4
                    ttl, protocol = data[22], data[23]
                    source, destination = socket.inet_ntoa(data[26:30]), socket.inet_ntoa(data[30:34])
                    end, at, version = 14 + struct.unpack("!H", data[16:18])[0], 14 + header, 4
                elif kind == 0x86DD:
                    ttl, protocol = data[21], data[20]
                    source, destination = socket.inet_ntop(socket.AF_INET6, data[22:38]), socket.inet_ntop(socket.AF_INET6, data[38:54])
                    end, at, version = 54 + struct.unpack("!H", data[18:20])[0], 54, 6
                else:
                    continue
                ports = struct.unpack("!HH", data[at:at + 4]) if protocol in (6, 17) and len(data) >= at + 4 else (0, 0)
                flags = data[at + 13] if protocol == 6 and len(data) >= at + 20 else 0
                payload = max(0, end - at - (data[at + 12] >> 4) * 4) if protocol == 6 and len(data) >= at + 20 else 0
                seen.append((version, ttl, protocol, source, destination, *ports, flags, payload))
        return seen

    def forwarded(self):
        """Those of a target's port that were forwarded: a forwarding host takes one from the TTL, ours sends with 64."""
        return [f for f in self.frames() if PORT in (f[5], f[6]) and f[1] < 64]

    def close(self):
        self.socket.close()


class World:
    def __init__(self, driver, routers=False, **options):
        self.name = f"weir-t-{os.getpid()}"
        self.driver = driver
        self.folder = pathlib.Path(f"/run/{self.name}")
        self.places = ["client", "gateway", "target"] + (["client-router", "target-router"] if routers else [])
        self.processes = []
        self.engine = None
        self.engines = []
        self.folder.mkdir(mode=0o700)
        (self.folder / "bpf").mkdir()
        run("mount", "-t", "bpf", "bpf", str(self.folder / "bpf"))
        self.config_file = str(self.folder / "config.json")
        self.config = {"state": str(self.folder / "state"), "pin": str(self.folder / "bpf" / "weir"), "clients": ["gc"],
                       "target_interfaces": ["gt"], "targets": [{"addresses": [TARGET, TARGET6], "ports": [PORT]}],
                       "static": [CLIENT, CLIENT6]}
        self.configure(**options)
        for place in self.places:
            run("ip", "netns", "add", self.ns(place))
            run("ip", "-n", self.ns(place), "link", "set", "lo", "up")
            self.sysctl(place, "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0")
        if routers:
            self.link("client", "eth0", "client-router", "in", 1)
            self.link("client-router", "out", "gateway", "gc", 3)
            self.link("target", "eth0", "target-router", "in", 2)
            self.link("target-router", "out", "gateway", "gt", 4)
            for router in ("client-router", "target-router"):
                self.sysctl(router, "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
                net = 3 if router == "client-router" else 4
                self.ip(router, "route", "add", "default", "via", f"198.18.{net}.1")
                self.ip(router, "-6", "route", "add", "default", "via", f"fd57:{net}::1")
            for side, net in ((1, 3), (2, 4)):
                self.ip("gateway", "route", "add", f"198.18.{side}.0/24", "via", f"198.18.{net}.2")
                self.ip("gateway", "-6", "route", "add", f"fd57:{side}::/64", "via", f"fd57:{net}::2")
        else:
            self.link("client", "eth0", "gateway", "gc", 1)
            self.link("target", "eth0", "gateway", "gt", 2)
        for place, net in (("client", 1), ("target", 2)):
            self.ip(place, "route", "add", "default", "via", f"198.18.{net}.1")
            self.ip(place, "-6", "route", "add", "default", "via", f"fd57:{net}::1")
        self.settle()
        self.serve("target")

    def settle(self):
        """Until the gateway's links have all the addresses and routes that the kernel gives them by itself."""
        def has_routes():
            routes = run("ip", "-n", self.ns("gateway"), "-6", "route", "show", "table", "all")
            return all(f"fe80::/64 dev {end}" in routes and f"ff00::/8 dev {end}" in routes for end in ("gc", "gt")) and routes.count("local fe80::") == 2
        until(has_routes, "link-local routes")

    def ns(self, place):
        return f"{self.name}-{place}"

    def ip(self, place, *command, check=True):
        return run("ip", "-n", self.ns(place), *command, check=check)

    def enter(self, place):
        return ["nsenter", f"--net=/run/netns/{self.ns(place)}", "--"]

    def in_gateway(self):
        return self.enter("gateway")

    def sysctl(self, place, *settings):
        run(*self.enter(place), "sysctl", "-qw", *settings)

    def link(self, one, one_end, other, other_end, net):
        """`other` is nearer to the gateway and has the .1 address; of two routers' ends the gateway has it."""
        run("ip", "link", "add", one_end, "netns", self.ns(one), "type", "veth", "peer", "name", other_end, "netns", self.ns(other))
        for place, end, host in ((one, one_end, 2), (other, other_end, 1)):
            self.ip(place, "addr", "add", f"198.18.{net}.{host}/24", "dev", end)
            self.ip(place, "addr", "add", f"fd57:{net}::{host}/64", "dev", end, "nodad")
            self.ip(place, "link", "set", end, "up")

    @contextlib.contextmanager
    def inside(self, place):
        """This thread in that namespace: sockets made here stay there."""
        with open("/proc/self/ns/net") as own, open(f"/run/netns/{self.ns(place)}") as other:
            if LIBC.setns(other.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                LIBC.setns(own.fileno(), CLONE_NEWNET)

    def serve(self, place):
        """An echo server on the target's port that first says who its peer is; `send N` makes it send N bytes."""
        process = subprocess.Popen(self.enter(place) + [sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        assert process.stdout.readline().strip() == "serving"

    # The kernel side

    def configure(self, target=None, **options):
        self.config.update(options)
        if target:
            self.config["targets"][0].update(target)
        pathlib.Path(self.config_file).write_text(json.dumps(self.config))

    def steer(self, verb, check=True):
        done = subprocess.run(self.in_gateway() + [self.driver, verb, self.config_file], capture_output=True, text=True)
        if check and done.returncode != 0:
            raise RuntimeError(f"{verb}: {done.stderr.strip()}")
        return done

    def up(self, **options):
        self.configure(**options)
        self.steer("up")

    def down(self):
        return self.steer("down").stdout.splitlines()

    def status(self):
        return json.loads(self.steer("status").stdout)

    def dropped(self, reason):
        return self.status()["dropped"][reason]

    def counted(self, reason):
        return self.status()["by_reason"][reason]

    def start(self, bound=True):
        self.engine = Driver(self)
        self.engines.append(self.engine)
        if bound:
            self.bind(7, CLIENT)
            self.bind(8, CLIENT6)
        return self.engine

    def bind(self, number, address, seconds=""):
        answer = self.engine.tell(f"bind {number} {address} {seconds}", "bound")
        assert answer["ok"], answer

    def connect(self, family=4, port=0, seconds=WAIT, place="client", to_port=PORT):
        with self.inside(place):
            s = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.settimeout(seconds)
        try:
            if port:
                s.bind((CLIENT if family == 4 else CLIENT6, port))
            s.connect((TARGET if family == 4 else TARGET6, to_port))
        except BaseException:
            s.close()
            raise
        return s

    def greet(self, s):
        """The server's greeting: what it sees as its peer."""
        line = b""
        while not line.endswith(b"\n"):
            got = s.recv(1)
            if not got:
                raise AssertionError(f"closed after {line!r}")
            line += got
        return line.decode().strip()

    def dump(self):
        """All that steering touches in the gateway's namespace, as text."""
        inside = self.in_gateway()
        text = ""
        for command in (["ip", "rule"], ["ip", "-6", "rule"], ["ip", "route", "show", "table", "all"], ["ip", "-6", "route", "show", "table", "all"],
                        ["nft", "list", "ruleset"], ["tc", "qdisc"], ["tc", "filter", "show", "dev", "gc", "ingress"],
                        ["tc", "filter", "show", "dev", "gt", "egress"], ["sysctl", "net.ipv4", "net.ipv6"]):
            lines = run(*inside, *command).splitlines()
            keep = [line for line in lines if not any(word in line for word in VOLATILE)]
            text += f"$ {' '.join(command)}\n" + "\n".join(line.strip() for line in keep) + "\n"
        # It fails where a link of somebody else's ends while it lists.
        links = json.loads(until(lambda: run("bpftool", "-j", "link", check=False), "a list of all links"))
        gateway = {link["ifindex"] for link in json.loads(run("ip", "-j", "-n", self.ns("gateway"), "link"))}
        inode = os.stat(f"/run/netns/{self.ns('gateway')}").st_ino
        text += "links " + str(sorted(link["type"] for link in links if link.get("netns_ino") == inode)) + "\n"
        text += "tcx " + str(self.tcx_programs(gateway)) + "\n"
        text += "pins " + str(sorted(p.name for p in (self.folder / "bpf").iterdir() if not p.name.endswith(".debug"))) + "\n"
        return text

    def tcx_programs(self, interfaces):
        count = 0
        with self.inside("gateway"):
            for interface in sorted(interfaces):
                for attach_type in (46, 47):
                    count += query_programs(interface, attach_type)
        return count

    def link_ids(self, name_part):
        """Ids of this world's pinned links whose pin's name begins so."""
        folder = self.folder / "bpf" / "weir" / "links"
        ids = []
        for pin in folder.iterdir():
            if pin.name.startswith(name_part):
                ids.append(json.loads(run("bpftool", "-j", "link", "show", "pinned", str(pin)))["id"])
        return ids

    def detach(self, name_part):
        ids = self.link_ids(name_part)
        assert ids, f"no link {name_part}"
        for number in ids:
            run("bpftool", "link", "detach", "id", str(number))

    def close(self):
        for engine in self.engines:
            if not engine.process.stdout.closed:
                engine.kill()   # Also when it was stopped.
        if pathlib.Path(self.config["state"], "steer.saved").exists():
            self.steer("down", check=False)
        for process in self.processes:
            process.kill()
            process.wait()
            process.stdout.close()
        for place in self.places:
            run("ip", "netns", "del", self.ns(place), check=False)
        run("umount", str(self.folder / "bpf"), check=False)
        run("rm", "-rf", "--one-file-system", str(self.folder))


# Counters and caches that change by themselves.
VOLATILE = ("expires", "cache", "stable_secret", "dentry", "file-nr", "random", "neigh.default.gc", "ipfrag_secret", "tcp_fastopen_key",
            "nf_conntrack_count", "flush")


def query_programs(interface, attach_type):
    """How many tcx programs are on a hook (bpf(2), BPF_PROG_QUERY)."""
    ids = (ctypes.c_uint32 * 64)()
    attributes = struct.pack("<IIIIQII4Q", interface, attach_type, 0, 0, ctypes.addressof(ids), 64, 0, 0, 0, 0, 0)
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    if LIBC.syscall(321 if os.uname().machine == "x86_64" else 280, 16, buffer, len(attributes)) != 0:
        return 0
    return struct.unpack_from("<I", buffer.raw, 24)[0]


def serve():
    def one(connection, peer):
        with contextlib.suppress(OSError), connection:
            connection.sendall(f"peer {peer[0]} {peer[1]}\n".encode())
            while True:
                data = connection.recv(65536)
                if not data:
                    return
                if data.startswith(b"send "):
                    left, block = int(data.split()[1]), os.urandom(1 << 16)
                    while left > 0:
                        connection.sendall(block[:left])
                        left -= len(block)
                    continue
                connection.sendall(data)

    listeners = []
    for family, address in ((socket.AF_INET, TARGET), (socket.AF_INET6, TARGET6)):
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, PORT))
        listener.listen(128)
        listeners.append(listener)
    print("serving", flush=True)
    while True:
        for listener in select.select(listeners, [], [])[0]:
            connection, peer = listener.accept()
            threading.Thread(target=one, args=(connection, peer), daemon=True).start()


if __name__ == "__main__":
    serve()
