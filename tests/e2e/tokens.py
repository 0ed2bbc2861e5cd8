"""A made-up identity provider: keys by openssl, a JWKS file, and tokens as good or as bad as a case wants them."""
import base64
import json
import os
import subprocess
import time


def _b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _openssl(*arguments, input=None):
    return subprocess.run(["openssl", *arguments], input=input, capture_output=True, check=True).stdout


class Provider:
    """Ed25519 (EdDSA) and RSA (RS256) keys in `folder`; jwks() for the configuration, token() for a client."""
    issuer, audience = "https://idp.lab.example", "weir-lab"

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.keys = {"EdDSA": os.path.join(folder, "ed.pem"), "RS256": os.path.join(folder, "rsa.pem")}
        _openssl("genpkey", "-algorithm", "ed25519", "-out", self.keys["EdDSA"])
        _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.keys["RS256"])

    def jwks(self):
        ed = _openssl("pkey", "-in", self.keys["EdDSA"], "-pubout", "-outform", "DER")[-32:]
        modulus = _openssl("rsa", "-in", self.keys["RS256"], "-noout", "-modulus").decode().strip().split("=")[1]
        return {"keys": [
            {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "use": "sig", "alg": "EdDSA", "x": _b64(ed)},
            {"kty": "RSA", "kid": "rsa", "use": "sig", "alg": "RS256", "n": _b64(bytes.fromhex(modulus)), "e": "AQAB"}]}

    def write_jwks(self):
        path = os.path.join(self.folder, "jwks.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self.jwks(), file)
        return path

    def token(self, algorithm="EdDSA", subject="user:alice", groups=("agents",), header=None, signed=True, **claims):
        now = int(time.time())
        body = {"iss": self.issuer, "aud": self.audience, "sub": subject, "groups": list(groups), "iat": now, "exp": now + 600,
                "jti": os.urandom(8).hex(), **claims}
        head = {"alg": algorithm, "typ": "JWT", "kid": {"EdDSA": "ed", "RS256": "rsa"}.get(algorithm, "ed"), **(header or {})}
        signing = f"{_b64(json.dumps(head).encode())}.{_b64(json.dumps(body).encode())}"
        return f"{signing}.{_b64(self._sign(algorithm, signing.encode())) if signed else ''}"

    def _sign(self, algorithm, data):
        if algorithm == "RS256":
            return _openssl("dgst", "-sha256", "-sign", self.keys["RS256"], input=data)
        path = os.path.join(self.folder, "signing-input")
        with open(path, "wb") as file:
            file.write(data)
        return _openssl("pkeyutl", "-sign", "-inkey", self.keys["EdDSA"], "-rawin", "-in", path)
