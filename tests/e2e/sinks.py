"""What notices are sent to, in the lab's target namespace: an HTTPS receiver that keeps every request, and a syslog server over TLS.

Run as a program: sinks.py https ADDRESS PORT CERTIFICATE KEY LOG | sinks.py syslog ADDRESS PORT CERTIFICATE KEY LOG
Each line of LOG is one request as JSON {path, headers, body}, or one syslog message.
"""
import hashlib
import hmac
import http.server
import json
import os
import socketserver
import ssl
import subprocess
import sys
import time


HERE = os.path.dirname(os.path.abspath(__file__))
ADDRESS = "198.18.2.11"
HTTPS_PORT, SYSLOG_PORT = 9555, 9601


def sign(secret, body, at=None):
    """A Weir-Signature header's value."""
    at = int(time.time()) if at is None else at
    return f"t={at},v1={hmac.new(secret.encode(), f'{at}.'.encode() + body, hashlib.sha256).hexdigest()}"


def slack_sign(secret, body, at=None):
    """The two headers of Slack's scheme."""
    at = int(time.time()) if at is None else at
    return [f"X-Slack-Request-Timestamp: {at}", "X-Slack-Signature: v0=" + hmac.new(secret.encode(), f"v0:{at}:".encode() + body, hashlib.sha256).hexdigest()]


def is_signed(secret, request):
    header = request["headers"].get("weir-signature", "")
    at = header.partition("t=")[2].partition(",")[0]
    return header == sign(secret, request["body"].encode(), int(at or 0)) and abs(time.time() - int(at or 0)) < 300


class Sink:
    """A server's process and what came to it; as a context it ends with the block."""

    def __init__(self, context, kind, name, *arguments):
        self.lab, self.kind, self.arguments = context.lab, kind, [str(each) for each in arguments]
        self.log = os.path.join(context.folder, f"sink-{name}.log")
        self.process = None
        open(self.log, "w", encoding="utf-8").close()

    def start(self):
        self.lab.run("target", ["ip", "addr", "replace", f"{ADDRESS}/24", "dev", "eth0"], check=True)
        self.process = self.lab.start("target", ["python3", os.path.join(HERE, "sinks.py"), self.kind, ADDRESS, *self.arguments, self.log], stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError(f"the {self.kind} sink does not start")
        return self

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def lines(self):
        with open(self.log, encoding="utf-8") as file:
            return [line.rstrip("\n") for line in file if line.endswith("\n")]

    def requests(self):
        return [json.loads(line) for line in self.lines()]

    def wait(self, what, claim, seconds=20):
        """The first request, or line, of which the claim is true."""
        def found():
            all_of = self.requests() if self.kind == "https" else self.lines()
            return next((each for each in all_of if claim(each)), None)
        from weirlab import wait_until  # Not where this file runs as a program.
        return wait_until(what, found, seconds, 0.1)


class _Receiver(http.server.BaseHTTPRequestHandler):
    log = None

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        line = json.dumps({"path": self.path, "headers": {name.lower(): value for name, value in self.headers.items()}, "body": body.decode()})
        with open(self.log, "a", encoding="utf-8") as file:
            file.write(line + "\n")
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


def _tls(certificate, key):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    return tls


def _serve_https(address, port, certificate, key, log):
    _Receiver.log = log
    server = http.server.ThreadingHTTPServer((address, int(port)), _Receiver)
    server.socket = _tls(certificate, key).wrap_socket(server.socket, server_side=True)
    print("ready", flush=True)
    server.serve_forever()


def _serve_syslog(address, port, certificate, key, log):
    class Frames(socketserver.StreamRequestHandler):
        def handle(self):
            while True:  # RFC 5425: LENGTH SP MESSAGE
                length = b""
                while not length.endswith(b" "):
                    byte = self.rfile.read(1)
                    if not byte:
                        return
                    length += byte
                message = self.rfile.read(int(length))
                with open(log, "a", encoding="utf-8") as file:
                    file.write(message.decode() + "\n")

    socketserver.ThreadingTCPServer.allow_reuse_address = True
    server = socketserver.ThreadingTCPServer((address, int(port)), Frames)
    server.socket = _tls(certificate, key).wrap_socket(server.socket, server_side=True)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    {"https": _serve_https, "syslog": _serve_syslog}[sys.argv[1]](*sys.argv[2:])
