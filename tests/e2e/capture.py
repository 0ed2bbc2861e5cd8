"""Packets on one interface of the lab: tcpdump into a file, and a reader of what matters of a TCP packet."""
import os
import signal
import struct
import subprocess
import time
from dataclasses import dataclass
from socket import AF_INET, AF_INET6, inet_ntop

from weirlab import LabError, wait_until

FIN, SYN, RST, ACK = 1, 2, 4, 16


@dataclass(frozen=True)
class Packet:
    at: float
    source: str
    source_port: int
    target: str
    target_port: int
    sequence: int
    acknowledged: int
    flags: int
    size: int            # Payload bytes.
    payload: bytes
    hops: int            # TTL, or the hop limit, as it stands in the packet.


class Capture:
    """with Capture(lab, "target", folder) as capture: ...; then capture.packets"""

    def __init__(self, lab, where, folder, device="eth0", expression="tcp"):
        self.lab, self.where, self.device, self.expression = lab, where, device, expression
        self.path = os.path.join(folder, f"{where}-{device}-{id(self)}.pcap")
        self.packets = []

    def __enter__(self):
        self.process = self.lab.start(self.where, ["tcpdump", "--immediate-mode", "-i", self.device, "-U", "-n", "-s", "256", "-B", "16384", "-w", self.path,
                                                   self.expression], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wait_until("tcpdump listens", lambda: os.path.exists(self.path) and os.path.getsize(self.path) >= 24, 10)
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.process is None:
            return
        time.sleep(0.5)  # What is in tcpdump's ring is written; under load the file never stops growing.
        self.process.send_signal(signal.SIGINT)
        _, errors = self.process.communicate(timeout=15)
        self.process = None
        if b" 0 packets dropped by kernel" not in errors.replace(b"\n", b" "):
            raise LabError(f"tcpdump lost packets, its capture proves nothing: {errors.decode()}")
        self.packets = list(read_pcap(self.path))
        os.unlink(self.path)


def read_pcap(path):
    with open(path, "rb") as file:
        data = file.read()
    order = "<" if data[:4] == b"\xd4\xc3\xb2\xa1" else ">"
    at = 24
    while at + 16 <= len(data):
        seconds, micros, kept, _ = struct.unpack(order + "IIII", data[at : at + 16])
        packet = _tcp(seconds + micros / 1e6, data[at + 16 : at + 16 + kept])
        if packet:
            yield packet
        at += 16 + kept


def _tcp(when, frame):
    kind = struct.unpack("!H", frame[12:14])[0]
    if kind == 0x0800 and frame[23] == 6:
        header = (frame[14] & 15) * 4
        total = struct.unpack("!H", frame[16:18])[0]
        source, target = inet_ntop(AF_INET, frame[26:30]), inet_ntop(AF_INET, frame[30:34])
        tcp, size, hops = 14 + header, total - header, frame[22]
    elif kind == 0x86DD and frame[20] == 6:
        source, target = inet_ntop(AF_INET6, frame[22:38]), inet_ntop(AF_INET6, frame[38:54])
        tcp, size, hops = 54, struct.unpack("!H", frame[18:20])[0], frame[21]
    else:
        return None
    source_port, target_port, sequence, acknowledged = struct.unpack("!HHII", frame[tcp : tcp + 12])
    offset = (frame[tcp + 12] >> 4) * 4
    return Packet(when, source, source_port, target, target_port, sequence, acknowledged, frame[tcp + 13],
                  max(size - offset, 0), bytes(frame[tcp + offset :]), hops)


def is_within(sequence, start, size):
    """Modulo 2**32: sequence lies in [start, start + size)."""
    return (sequence - start) % 2**32 < size
