"""A small PostgreSQL client that says exactly the bytes it is told to: for pipelines, cuts, smuggling and forced
sequence numbers, where psql and libpq are too well-behaved.  Protocol 3.0, as in the PostgreSQL manual, chapter 55.
"""
import base64
import hashlib
import hmac
import os
import socket
import ssl
import struct
from dataclasses import dataclass, field

TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ, TCP_SEND_QUEUE = 19, 20, 21, 2


class WireError(Exception):
    """The server's ErrorResponse where none was expected; `fields` by their letters."""

    def __init__(self, fields):
        super().__init__(f"{fields.get('C')} {fields.get('M')}")
        self.fields = fields


@dataclass
class Reply:
    """All answers up to ReadyForQuery (or to the end of the connection: status is None then)."""
    rows: list = field(default_factory=list)        # Of all statements; each a list of bytes or None.
    tags: list = field(default_factory=list)
    errors: list = field(default_factory=list)      # Dictionaries by field letter.
    notices: list = field(default_factory=list)
    kinds: str = ""                                 # The message types in order, rows left out.
    copy: list = field(default_factory=list)
    status: str = None

    @property
    def code(self):
        return self.errors[0]["C"] if self.errors else None

    def values(self):
        return [tuple(None if v is None else v.decode() for v in row) for row in self.rows]


def message(kind, body=b""):
    return kind.encode() + struct.pack("!I", len(body) + 4) + body


def text(value):
    return value.encode() + b"\0"


def query(sql):
    return message("Q", text(sql))


def parse(name, sql, types=()):
    return message("P", text(name) + text(sql) + struct.pack("!H", len(types)) + b"".join(struct.pack("!I", t) for t in types))


def bind(portal, statement, values=(), results=()):
    """results: format codes of the output columns (1 is binary)."""
    body = text(portal) + text(statement) + struct.pack("!HH", 0, len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!I", len(value.encode())) + value.encode()
    return message("B", body + struct.pack("!H", len(results)) + b"".join(struct.pack("!H", f) for f in results))


def describe(what, name):
    return message("D", what.encode() + text(name))


def execute(portal="", rows=0):
    return message("E", text(portal) + struct.pack("!I", rows))


def close(what, name):
    return message("C", what.encode() + text(name))


SYNC, FLUSH, TERMINATE, COPY_DONE = message("S"), message("H"), message("X"), message("c")


def run_prepared(name, values=(), results=()):
    return bind("", name, values, results) + execute()


def error_fields(body):
    fields = {}
    for part in body.rstrip(b"\0").split(b"\0"):
        if part:
            fields[part[:1].decode()] = part[1:].decode("utf-8", "replace")
    return fields


class Wire:
    """One connection.  `make_socket` gives an unconnected socket (of the client's namespace)."""

    def __init__(self, make_socket, address, *, timeout=15, sequence=None, hops=None, source_port=0, receive_buffer=None):
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.socket = make_socket(family)
        self.socket.settimeout(timeout)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source_port:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", source_port))
        if hops is not None:
            six = family == socket.AF_INET6
            self.socket.setsockopt(socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP, socket.IPV6_UNICAST_HOPS if six else socket.IP_TTL, hops)
        if sequence is not None:
            # The initial sequence number is ours: who acknowledges it saw this very flow.
            tcp = socket.IPPROTO_TCP
            self.socket.setsockopt(tcp, TCP_REPAIR, 1)
            self.socket.setsockopt(tcp, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE)
            self.socket.setsockopt(tcp, TCP_QUEUE_SEQ, struct.pack("I", sequence))
            self.socket.setsockopt(tcp, TCP_REPAIR, struct.pack("i", -1))
        self.socket.connect(address)
        self.buffer = b""
        self.parameters = {}
        self.key = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *parts):
        self.socket.sendall(b"".join(parts))

    def send_slowly(self, data):
        """One byte a packet."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(data)):
            self.socket.sendall(data[i : i + 1])

    def _fill(self, size):
        while len(self.buffer) < size:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise EOFError("the connection ended")
            self.buffer += chunk

    def read_bytes(self, size):
        self._fill(size)
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def read_message(self):
        head = self.read_bytes(5)
        return head[:1].decode(), self.read_bytes(struct.unpack("!I", head[1:])[0] - 4)

    def tls(self, hostname="orders-db.lab.example"):
        """SSLRequest, then TLS without verification: what libpq's default does."""
        self.send(struct.pack("!II", 8, 80877103))
        answer = self.read_bytes(1)
        if answer != b"S":
            return False
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket, server_hostname=hostname)
        return True

    def login(self, user, password, database, **options):
        """Startup and SCRAM-SHA-256 (or cleartext); WireError if it is refused.  options: further startup parameters."""
        pairs = {"user": user, "database": database, **options}
        body = struct.pack("!I", 196608) + b"".join(text(k) + text(v) for k, v in pairs.items()) + b"\0"
        self.send(struct.pack("!I", len(body) + 4) + body)
        scram = None
        while True:
            kind, body = self.read_message()
            if kind == "E":
                raise WireError(error_fields(body))
            if kind == "R":
                scram = self._authenticate(body, user, password, scram)
            elif kind == "S":
                name, value = body.split(b"\0")[:2]
                self.parameters[name.decode()] = value.decode()
            elif kind == "K":
                self.key = body
            elif kind == "Z":
                return self

    def _authenticate(self, body, user, password, scram):
        code = struct.unpack("!I", body[:4])[0]
        if code == 10:
            nonce = base64.b64encode(os.urandom(18)).decode()
            first = f"n={user},r={nonce}"
            payload = ("n,," + first).encode()
            self.send(message("p", text("SCRAM-SHA-256") + struct.pack("!I", len(payload)) + payload))
            return first
        if code == 11:
            server_first = body[4:].decode()
            fields = dict(part.split("=", 1) for part in server_first.split(","))
            salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
            without_proof = f"c=biws,r={fields['r']}"
            signed = ",".join([scram, server_first, without_proof]).encode()
            key = hmac.digest(salted, b"Client Key", "sha256")
            signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
            proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
            self.send(message("p", f"{without_proof},p={proof}".encode()))
        elif code == 3:
            self.send(message("p", text(password)))
        elif code not in (0, 12):
            raise AssertionError(f"authentication method {code} was not expected")
        return scram

    def read_reply(self):
        reply = Reply()
        while True:
            try:
                kind, body = self.read_message()
            except (EOFError, ConnectionResetError):
                return reply
            if kind == "D":
                reply.rows.append(self._row(body))
                continue
            reply.kinds += kind
            if kind == "C":
                reply.tags.append(body.rstrip(b"\0").decode())
            elif kind == "E":
                reply.errors.append(error_fields(body))
            elif kind == "N":
                reply.notices.append(error_fields(body))
            elif kind == "d":
                reply.copy.append(body)
            elif kind == "Z":
                reply.status = body.decode()
                return reply
            elif kind == "G":
                return reply

    @staticmethod
    def _row(body):
        count, at, row = struct.unpack("!H", body[:2])[0], 2, []
        for _ in range(count):
            size = struct.unpack("!i", body[at : at + 4])[0]
            at += 4
            row.append(None if size < 0 else body[at : at + size])
            at += max(size, 0)
        return row

    def query(self, sql):
        self.send(query(sql))
        return self.read_reply()

    def pipeline(self, *messages):
        """All messages and a Sync in one write; the answers up to its ReadyForQuery."""
        self.send(*messages, SYNC)
        return self.read_reply()

    def reset(self):
        """Ends with an RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
