"""Stands for the control API's POST /v1/bindings: binds the address of the connection by `weir bind`, which checks the token.

Usage: bindings_stub.py ADDRESS PORT FOLDER LOG WEIR CONFIG.  FOLDER holds api.crt and api.key.  LOG gets a line a request, never
the token.
"""
import http.server
import json
import os
import ssl
import subprocess
import sys

address, port, folder, log, weir, config = sys.argv[1:]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if self.path != "/v1/bindings" or scheme != "Bearer":
            return self.answer(404, {"message": "no such thing"})
        done = subprocess.run([weir, "bind", "--json", "--address", self.client_address[0], "--config", config], input=token,
                              capture_output=True, text=True)
        if done.returncode == 0:
            binding = json.loads(done.stdout)
            return self.answer(201, {key: binding[key] for key in ("id", "subject", "address", "until")})
        return self.answer(503 if done.returncode == 3 else 403, {"message": done.stderr.strip()})

    def answer(self, status, body):
        with open(log, "a", encoding="utf-8") as file:
            file.write(json.dumps({"path": self.path, "from": self.client_address[0], "status": status, **body}) + "\n")
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


server = http.server.HTTPServer((address, int(port)), Handler)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(os.path.join(folder, "api.crt"), os.path.join(folder, "api.key"))
server.socket = tls.wrap_socket(server.socket, server_side=True)
print("ready", flush=True)
server.serve_forever()
