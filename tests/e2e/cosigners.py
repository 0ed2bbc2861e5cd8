"""Who signs the evidence log beside the gateway, in the lab's target namespace: a witness (C2SP tlog-witness) and a time stamp
authority (RFC 3161, `openssl ts`), each behind a small HTTP server.

Run as a program: cosigners.py witness ADDRESS PORT STATE LOG_VKEY NAME SECRET | cosigners.py tsa ADDRESS PORT CONFIG
The witness shares nothing with the gateway: it checks proofs by tests/reader, and keeps what it signed last in STATE.
"""
import http.server
import json
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(os.path.dirname(HERE), "reader"))
import ed25519
import tlog

ADDRESS = "198.18.2.12"
WITNESS_PORT, TSA_PORT = 9661, 9662
NAME = "witness.lab.example/w1"
SECRET = bytes(range(32))  # Plainly fake.


def vkey():
    return tlog.vkey(NAME, 4, ed25519.public_key(SECRET))


class Server:
    """A server's process; as a context it ends with the block."""

    def __init__(self, context, kind, *arguments):
        self.lab, self.kind, self.arguments, self.process = context.lab, kind, [str(each) for each in arguments], None

    def __enter__(self):
        self.lab.run("target", ["ip", "addr", "replace", f"{ADDRESS}/24", "dev", "eth0"], check=True)
        self.process = self.lab.start("target", ["python3", os.path.abspath(__file__), self.kind, ADDRESS, *self.arguments], stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError(f"the {self.kind} does not start")
        return self

    def __exit__(self, *_):
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process.stdout.close()
            self.process = None


def witness(context, state, log_vkey, secret=SECRET):
    """With another secret than its key's, it is a witness that signs wrong."""
    return Server(context, "witness", WITNESS_PORT, state, log_vkey, NAME, secret.hex())


def tsa(context, folder):
    """An authority with a CA of its own in `folder`: ca.crt is what its stamps are under."""
    _make_authority(folder)
    return Server(context, "tsa", TSA_PORT, os.path.join(folder, "tsa.cnf"))


def _make_authority(folder):
    os.makedirs(folder, exist_ok=True)
    os.chmod(folder, 0o755)

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=30)

    with open(os.path.join(folder, "tsa.cnf"), "w", encoding="ascii") as file:
        file.write("[ca]\nbasicConstraints = critical,CA:TRUE\n[tsa_cert]\nbasicConstraints = critical,CA:FALSE\nextendedKeyUsage = critical,timeStamping\n"
                   f"[tsa]\ndefault_tsa = one\n[one]\nserial = {folder}/serial\nsigner_cert = {folder}/tsa.crt\nsigner_key = {folder}/tsa.key\nsigner_digest = sha256\n"
                   "default_policy = 1.2.3.4.1\ndigests = sha256\naccuracy = secs:1\ness_cert_id_alg = sha256\n")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=plainly fake CA", "-days", "2")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=plainly fake TSA")
    openssl("x509", "-req", "-in", "tsa.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1", "-out", "tsa.crt", "-extfile", "tsa.cnf", "-extensions", "tsa_cert")
    os.chmod(os.path.join(folder, "ca.crt"), 0o644)
    with open(os.path.join(folder, "serial"), "w", encoding="ascii") as file:
        file.write("01\n")


def answer_add_checkpoint(body, state_path, log_vkey, name, secret):
    """(status, content type, body), as the protocol says."""
    head, _, note = body.decode().partition("\n\n")
    lines = head.split("\n")
    try:
        old = lines[0].removeprefix("old ")
        tlog.demand(lines[0].startswith("old ") and old.isdigit() and old == str(int(old)) and len(lines) <= 64, "no old size")
        proof = [tlog.strict_base64(line) for line in lines[1:]]
        text, _ = tlog.split_note(note)
        origin, size, root = tlog.split_checkpoint(text)
    except tlog.Wrong:
        return 400, "text/plain", ""
    log_name, _, public = tlog.split_vkey(log_vkey)
    if origin != log_name:
        return 404, "text/plain", ""
    if not tlog.is_signed(note, origin, public):
        return 403, "text/plain", ""
    if int(old) > size:
        return 400, "text/plain", ""
    known = {"size": 0, "root": tlog.root_of([]).hex()}
    if os.path.exists(state_path):
        with open(state_path, encoding="ascii") as file:
            known = json.load(file)
    if int(old) != known["size"]:
        return 409, "text/x.tlog.size", f"{known['size']}\n"
    if int(old) == size and root.hex() != known["root"]:
        return 409, "text/plain", ""
    if not tlog.is_consistent(known["size"], bytes.fromhex(known["root"]), size, root, proof):
        return 422, "text/plain", ""
    with open(state_path + ".new", "w", encoding="ascii") as file:
        json.dump({"size": size, "root": root.hex()}, file)
    os.replace(state_path + ".new", state_path)
    right = ed25519.public_key(SECRET)
    line = tlog.cosign(text, name, secret, int(time.time()))
    if ed25519.public_key(secret) != right:  # Says that it is the key's, and is not.
        line = tlog.signature_line(name, 4, right, tlog.split_note(text + "\n" + line)[1][0][2])
    return 200, "text/plain", line


def _serve(address, port, answer):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            status, kind, body = answer(self.path, self.rfile.read(int(self.headers.get("Content-Length", "0"))))
            body = body.encode() if isinstance(body, str) else body
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    http.server.HTTPServer.allow_reuse_address = True
    server = http.server.HTTPServer((address, int(port)), Handler)  # One at a time: what it signed last is one thing.
    print("ready", flush=True)
    server.serve_forever()


def _stamp(config, query):
    with tempfile.TemporaryDirectory() as folder:
        asked, reply = os.path.join(folder, "q"), os.path.join(folder, "r")
        with open(asked, "wb") as file:
            file.write(query)
        subprocess.run(["openssl", "ts", "-reply", "-config", config, "-section", "one", "-queryfile", asked, "-out", reply], check=True, capture_output=True, timeout=30)
        with open(reply, "rb") as file:
            return 200, "application/timestamp-reply", file.read()


def main():
    kind, address, port, *more = sys.argv[1:]
    if kind == "tsa":
        _serve(address, port, lambda path, body: _stamp(more[0], body))
    state, log_vkey, name, secret = more
    _serve(address, port, lambda path, body: answer_add_checkpoint(body, state, log_vkey, name, bytes.fromhex(secret)) if path == "/add-checkpoint" else (404, "text/plain", ""))


if __name__ == "__main__":
    main()
