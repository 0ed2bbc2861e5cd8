"""A provider that lies, for the lab: an honest one but for the nonce of its ID tokens, which is that of another sign-in.

Usage: stub_provider.py FOLDER ADDRESS PORT.  FOLDER holds tls.crt and tls.key; a key of its own is made.  It asks nobody who they
are.  Must never: be used for anything but tests.
"""
import http.server
import json
import os
import ssl
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tokens

folder, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
issuer = f"https://{address}:{port}"
provider = tokens.Provider(os.path.join(folder, "stub"))
provider.issuer = issuer
nonces = {}


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, value, status=200, location=None):
        body = json.dumps(value).encode()
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path == "/.well-known/openid-configuration":
            return self.answer({"issuer": issuer, "jwks_uri": issuer + "/keys", "token_endpoint": issuer + "/token", "authorization_endpoint": issuer + "/auth"})
        if url.path == "/keys":
            with open(provider.write_jwks(), encoding="utf-8") as file:
                return self.answer(json.load(file))
        if url.path == "/auth":
            nonces["code"] = query["nonce"]
            return self.answer({}, 303, query["redirect_uri"] + "?" + urllib.parse.urlencode({"code": "code", "state": query["state"]}))
        return self.answer({}, 404)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        now = int(time.time())
        claims = {"subject": "user:mallory", "exp": now + 600}
        self.answer({"access_token": provider.token(**claims, aud="weir-lab"), "id_token": provider.token(**claims, aud="weir-portal", nonce=nonces["code"][::-1]), "token_type": "Bearer"})

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer((address, port), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(os.path.join(folder, "tls.crt"), os.path.join(folder, "tls.key"))
server.socket = context.wrap_socket(server.socket, server_side=True)
print("ready", flush=True)
server.serve_forever()
