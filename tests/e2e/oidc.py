"""A real OpenID provider (npm oidc-provider) in the lab's target namespace, and a browser that signs in there."""
import base64
import html.parser
import http.client
import http.cookies
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import urllib.parse

from harness import expect, expect_equal
from npm import node_modules
from weirlab import wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
ADDRESS, PORT = "198.18.2.10", 9443
ISSUER = f"https://{ADDRESS}:{PORT}"
# Its secret has characters that HTTP Basic and forms must encode.
AGENT, AGENT_SECRET = "svc:agent", "agent secret/1+:%"

PORTAL, PORTAL_SECRET, PORTAL_CALLBACK = "weir-portal", "portal secret/1+:%", "https://198.18.1.1:8443/portal/callback"


def _b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def make_certificate(folder, name, address):
    """A CA in `folder` (ca.crt), and a certificate of it for an address; (crt, key)."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], capture_output=True, check=True, cwd=folder)
    if not os.path.exists(os.path.join(folder, "ca.crt")):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=Lab sign-in CA",
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign", "-keyout", "ca.key", "-out", "ca.crt")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
    with open(os.path.join(folder, f"{name}.ext"), "w", encoding="utf-8") as file:
        file.write(f"subjectAltName=IP:{address}\nextendedKeyUsage=serverAuth\n")
    openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-out", f"{name}.crt",
            "-extfile", f"{name}.ext")
    return os.path.join(folder, f"{name}.crt"), os.path.join(folder, f"{name}.key")


class Provider:
    """The provider's process and its files; as a context it ends with the block."""

    def __init__(self, context):
        self.lab, self.folder = context.lab, os.path.join(context.folder, "provider")
        self.process = None
        os.makedirs(self.folder, exist_ok=True)
        os.chmod(self.folder, 0o755)
        make_certificate(self.folder, "tls", ADDRESS)
        self.ca = os.path.join(self.folder, "ca.crt")
        native = {"response_types": [], "redirect_uris": []}
        secret = {"client_secret": AGENT_SECRET, "grant_types": ["client_credentials"], **native}
        self._write("clients.json", [
            {"client_id": "weir-cli", "token_endpoint_auth_method": "none", "application_type": "native",
             "grant_types": ["urn:ietf:params:oauth:grant-type:device_code"], **native},
            {"client_id": PORTAL, "client_secret": PORTAL_SECRET, "grant_types": ["authorization_code"], "response_types": ["code"], "redirect_uris": [PORTAL_CALLBACK]},
            {"client_id": AGENT, **secret}, {"client_id": "svc:short-agent", **secret}])

    def _write(self, name, value):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            json.dump(value, file)

    def make_key(self, kid):
        """The one key from here on."""
        pem = subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"], capture_output=True, check=True).stdout
        text = subprocess.run(["openssl", "ec", "-noout", "-text"], input=pem, capture_output=True, check=True).stdout.decode()

        def number(name):
            return bytes.fromhex("".join(re.search(name + r":\s+((?:[0-9a-f]{2}:?\s*)+)", text)[1].replace(":", "").split()))
        private, public = number("priv").lstrip(b"\0").rjust(32, b"\0"), number("pub")
        self._write("jwks.json", {"keys": [{"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256", "d": _b64(private),
                                            "x": _b64(public[1:33]), "y": _b64(public[33:])}]})

    def rotate(self, kid):
        self.make_key(kid)
        lines = self._log().count("keys read again")
        os.kill(self.process.pid, signal.SIGHUP)
        wait_until("the provider has its new key", lambda: self._log().count("keys read again") > lines)

    def _log(self):
        with open(os.path.join(self.folder, "log"), encoding="utf-8") as file:
            return file.read()

    def start(self):
        self.lab.run("target", ["ip", "addr", "replace", f"{ADDRESS}/24", "dev", "eth0"], check=True)
        with open(os.path.join(self.folder, "log"), "w", encoding="utf-8") as log:
            self.process = self.lab.start("target", ["node", os.path.join(HERE, "oidc_provider.mjs"), node_modules("oidc-provider@9"), self.folder, ISSUER],
                                          stdout=log, stderr=subprocess.STDOUT)
        wait_until("the provider serves", lambda: "ready" in self._log() or self.process.poll() is not None, 20)
        expect(self.process.poll() is None, f"the provider ended: {self._log()[-800:]}")

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def __enter__(self):
        self.make_key("first")
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def agent_token(self, client=AGENT, **parameters):
        """By client credentials, as an agent at the client would."""
        answer = Browser(self).post("/token", {"grant_type": "client_credentials", "scope": "db", **parameters}, basic=(client, AGENT_SECRET))
        expect_equal(answer.status, 200, f"the provider's answer {answer.text}")
        return json.loads(answer.text)["access_token"]


class _Forms(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.forms = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "form":
            self.forms.append((attributes.get("action", ""), {}))
        if tag == "input" and self.forms and attributes.get("name"):
            self.forms[-1][1][attributes["name"]] = attributes.get("value") or ""


class Browser:
    """In the client's namespace: pages, forms, cookies, redirects; no script."""

    def __init__(self, provider):
        self.provider, self.cookies = provider, {}

    def _connect(self):
        if self.provider.lab is None:
            raw = socket.socket()
        else:
            raw = self.provider.lab.socket("client", socket.AF_INET)
        raw.settimeout(10)
        raw.connect((ADDRESS, PORT))
        return ssl.create_default_context(cafile=self.provider.ca).wrap_socket(raw, server_hostname=ADDRESS)

    def request(self, method, url, form=None, basic=None):
        url = urllib.parse.urljoin(ISSUER + "/", url)
        expect(url.startswith(ISSUER + "/"), f"the provider sends us to {url}")
        headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())}
        if basic:
            pair = ":".join(urllib.parse.quote_plus(part) for part in basic)
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection(ADDRESS, PORT)
        connection.sock = self._connect()
        try:
            connection.request(method, url[len(ISSUER):], urllib.parse.urlencode(form) if form is not None else None, headers)
            answer = connection.getresponse()
            answer.text = answer.read().decode()
        finally:
            connection.close()
        for line in answer.headers.get_all("Set-Cookie") or []:
            for name, cookie in http.cookies.SimpleCookie(line).items():
                self.cookies.pop(name, None)
                if cookie.value:
                    self.cookies[name] = cookie.value
        answer.url = url
        if answer.status in (302, 303):
            return self.request("GET", urllib.parse.urljoin(url, answer.headers["Location"]))
        return answer

    def get(self, url):
        return self.request("GET", url)

    def post(self, url, form, basic=None):
        return self.request("POST", url, form, basic)

    def submit(self, page, **fields):
        """The first form of a page, with these fields filled in."""
        expect_equal(page.status, 200, f"the page {page.url}: {page.text[:600]}")
        forms = _Forms(page.text).forms
        expect(forms, f"no form at {page.url}: {page.text[:600]}")
        action, values = forms[0]
        return self.post(urllib.parse.urljoin(page.url, action or page.url), {**values, **fields})

    def sign_in(self, verification_uri, user_code, login):
        """What a person does with the code: enter it, confirm it, sign in, agree."""
        page = self.submit(self.get(verification_uri), user_code=user_code)
        for _ in range(6):
            if not _Forms(page.text).forms:
                break
            page = self.submit(page, **({"login": login, "password": "x"} if 'name="login"' in page.text else {}))
        expect("Sign-in Success" in page.text, f"the sign-in did not end well: {page.text[:800]}")
        return page
