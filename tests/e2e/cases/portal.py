"""The portal: people sign in with a browser at a real provider, and the address that it comes from is bound; and who tries to
have somebody else's rights that way gets nothing."""
import base64
import hashlib
import json
import os
import pwd
import re
import subprocess
import time
import urllib.parse

import oidc
from browser import Browser
from cases.api import _call as call, _events as events, _pair as pair
from cases.identities import OTHER, _from_other as from_other, bind
from harness import case, expect, expect_equal, expect_in, expect_not_in
from oidc import ISSUER, PORTAL, PORTAL_SECRET, Provider
from weirlab import REPOSITORY, wait_until

URL = "https://198.18.1.1:8443"
THIRD = "198.18.1.4"         # The attacker's.
FORGED = {"X-Forwarded-For": "198.18.1.77", "Forwarded": "for=198.18.1.77", "X-Real-IP": "198.18.1.77", "X-Forwarded-Host": "evil.example", "True-Client-IP": "198.18.1.77"}


def _config(context, flows="[code]", issuer=ISSUER, algorithm="ES256"):
    keys = os.path.join(context.lab.folder, "keys")
    secret = os.path.join(keys, "portal.secret")
    with open(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(PORTAL_SECRET + "\n")
    os.chown(secret, pwd.getpwnam("weir").pw_uid, pwd.getpwnam("weir").pw_gid)

    def edit(text):
        return text.replace("  static:", f"""  issuers:
    - name: lab-idp
      url: {issuer}
      ca_file: {os.path.join(context.folder, "provider", "ca.crt")}
      audience: weir-lab
      algorithms: [{algorithm}]
      clock_skew: 5s
      claims: {{groups: realm_access.roles}}
      workload: {{claim: gty, values: [client-credentials]}}
      login: {{client_id: {PORTAL}, client_secret_file: keys/portal.secret, flows: {flows}, scopes: [openid, groups]}}
  portal: {{url: "{URL}", issuer: lab-idp}}
  static:""", 1) + (f'api:\n  listen: ["198.18.1.1:8443"]\n  certificate_file: keys/api.crt\n  key_file: keys/api.key\n'
                    "  limits: {source_per_second: 1000, burst: 1000}\n")
    return lambda _: context.lab.config_variant("portal", edit)


def _ready(context, **options):
    context.stop()
    pair(context)
    context.use(_config(context, **options))
    for address in (OTHER, THIRD):
        context.lab.run("client", ["ip", "addr", "replace", f"{address}/24", "dev", "eth0"], check=True)
        context.lab.weir("revoke", address, "--reason", "a new case")  # There may be none.
    wait_until("the provider's keys", lambda: context.lab.weir_json("status")["issuers"][0]["keys"], 20, 0.1)


def _browser(context, provider_ca, source=OTHER, **options):
    return Browser(context.lab, {"198.18.1.1:8443": os.path.join(context.lab.folder, "keys", "api.crt"), f"{oidc.ADDRESS}:{oidc.PORT}": provider_ca}, source, **options)


def _at_provider(browser, login, url=None):
    """From the portal (or from `url`) through the provider's pages; gives the address that it sends the browser back to."""
    page = browser.get(url, follow=False) if url else browser.submit(browser.get(URL + "/portal"), follow=False)
    for _ in range(12):
        if page.next and page.next.startswith(URL):
            return page.next
        if page.next:
            page = browser.get(page.next, follow=False)
        else:
            page = browser.submit(page, follow=False, **({"login": login, "password": "x"} if 'name="login"' in page.text else {}))
    expect(False, f"the provider did not send the browser back: {page.status} {page.text[:600]}")
    return None


def _sign_in(browser, login="user:alice"):
    """As far as the address is bound; gives the page that says so."""
    page = browser.get(_at_provider(browser, login))
    expect_in("Is this right?", page.text, "the page before anything is bound")
    return browser.submit(page)


def _bound(context, address=OTHER):
    return [b for b in context.lab.weir_json("bindings") if b["address"] == address and not b["static"]]


def _counted(context, result):
    metrics = context.lab.run("gateway", ["curl", "-s", "http://127.0.0.1:9464/metrics"], check=True).stdout
    return int(re.search(rf'weir_portal_sign_ins_total{{result="{result}"}} (\d+)', metrics)[1])


def _nothing_bound(context, page, result, status=403):
    expect_equal(page.status, status, page.text[-600:])
    expect_in("Nothing was bound", page.text, "the page")
    for address in (OTHER, THIRD):
        expect_equal(_bound(context, address), [], f"what is bound to {address}")
    expect_equal(_counted(context, result), 1, f"counted as {result}")


@case("portal: an unbound person is pointed to the portal, signs in there, and works; signing out cuts their live session", seconds=120, spoils=True)
def signs_in(context):
    with Provider(context) as provider:
        _ready(context)
        done = from_other(context, "select 1")
        expect_in(f"no identity is bound to {OTHER}: sign in at {URL}/portal", done.stderr, "what psql says")
        expect_equal(context.lab.weir_json("status")["portal"]["page"], URL + "/portal", "weir status")
        browser = _browser(context, provider.ca, headers=FORGED)
        page = browser.get(URL + "/portal")
        for part in (OTHER, "orders-db", "Sign in with lab-idp"):
            expect_in(part, page.text, "the first page")
        login = context.lab.start("gateway", [context.env["WEIR"], "login", "--json", "--address", OTHER, "--config", context.env["WEIR_CONFIG"]],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            expect_equal(json.loads(login.stdout.readline() or login.stderr.read())["portal"], URL + "/portal", "weir login")
            page = _sign_in(browser)
            out, err = login.communicate(timeout=20)
        finally:
            login.kill()
            login.wait(10)
        expect_equal(login.returncode, 0, err)
        for part in ("Signed in", "user:alice", OTHER, "Until"):
            expect_in(part, page.text, "the last page")
        bound = _bound(context)[0]
        expect_equal((bound["subject"], bound["assurance"], bound["groups"], bound["id"]), ("user:alice", "network", ["agents"], json.loads(out)["id"]), "the binding")
        expect_equal([b["address"] for b in context.lab.weir_json("bindings") if b["subject"] == "user:alice"], [OTHER], "headers about other addresses")
        before = context.session_ids()
        expect_equal(from_other(context, "select host(inet_client_addr())").stdout.strip(), OTHER, "psql")
        expect_equal(context.sealed_since(before)[0]["subject"], "user:alice", "the session's subject")
        act = events(context, "bind")[0]
        expect_equal((act["by"]["via"], act["by"]["subject"], act["by"]["address"], act["outcome"]), ("portal", "user:alice", OTHER, "done"), "the act")
        _sign_out(context, browser)
        _no_secret_anywhere(context, browser)


def _sign_out(context, browser):
    script = (f"ip route replace {context.env['TARGET_IP']} via 198.18.1.1 src {OTHER}; psql -X -q -c 'select count(*) from generate_series(1, 3000000000)'; "
              f"ip route del {context.env['TARGET_IP']}")
    process = context.lab.start("client", ["sh", "-c", script], env=context.lab.client_env(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    running = "select count(*) from pg_stat_activity where query like '%3000000000%' and state = 'active' and usename = 'orders_app'"
    wait_until("the statement runs", lambda: context.lab.superuser(running) == "1", 10)
    page = browser.get(URL + "/portal")
    forged = browser.post(URL + "/portal/sign-out", {"csrf": "x"})
    expect_equal((forged.status, len(_bound(context))), (403, 1), "a form of somebody else's")
    page = browser.submit(page)
    expect_in("Signed out", page.text, "the page")
    process.communicate(timeout=10)
    wait_until("the statement is cancelled at the target", lambda: context.lab.superuser(running) == "0", 5)
    expect_equal(from_other(context, "select 1").returncode, 2, "afterwards")
    act = events(context, "revoke")[0]
    expect_equal((act["by"]["via"], act["by"]["subject"], act["reason"], act["outcome"]), ("portal", "user:alice", "signed out at the portal", "done"), "the act")


def _no_secret_anywhere(context, browser):
    callback = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit([u for u in browser.visited if "/portal/callback" in u][0]).query))
    for url in browser.visited:
        expect("code=" not in url or "/portal/callback" in url, f"a code in {url}")
    time.sleep(0.5)
    for place in (context.env["WEIR_STATE"], context.env["WEIR_LOG"]):
        for folder, _, names in os.walk(place) if os.path.isdir(place) else [(os.path.dirname(place), [], [os.path.basename(place)])]:
            for path in (os.path.join(folder, name) for name in names):
                if not os.path.isfile(path):
                    continue
                with open(path, "rb") as file:
                    data = file.read()
                for secret in (callback["code"], callback["state"], PORTAL_SECRET, "eyJ"):
                    expect(secret.encode() not in data, f"{secret[:6]}... stands in {path}")


@case("portal: pages have no script, a policy that allows none, and headers that keep them out of frames and caches", spoils=True)
def headers(context):
    with Provider(context) as provider:
        _ready(context)
        page = _browser(context, provider.ca).get(URL + "/portal")
        policy = page.headers["Content-Security-Policy"]
        for part in ("default-src 'none'", "style-src 'sha256-", f"form-action 'self' {ISSUER};", "frame-ancestors 'none'", "base-uri 'none'"):
            expect_in(part, policy, "the policy")
        for name, value in {"X-Frame-Options": "DENY", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "Content-Type": "text/html; charset=utf-8"}.items():
            expect_equal(page.headers[name], value, name)
        expect_not_in("<script", page.text, "the page")
        expect_equal(page.headers["Set-Cookie"], None, "a cookie for who only looks")
        away = _browser(context, provider.ca).post(URL + "/portal/sign-in", {}, follow=False)
        for part in ("__Host-weir-portal=", "Path=/;", "Max-Age=300;", "Secure", "HttpOnly", "SameSite=Lax"):
            expect_in(part, away.headers["Set-Cookie"], "the cookie")
        crossed = _browser(context, provider.ca).post(URL + "/portal/sign-in", {}, headers={"Sec-Fetch-Site": "cross-site"})
        expect_equal(crossed.status, 403, "a form of another site")


@case("portal: an answer that is changed, used before, of another browser or from another address binds nothing, and stands on the record", seconds=120, spoils=True)
def answers(context):
    with Provider(context) as provider:
        _ready(context)
        browser = _browser(context, provider.ca)
        back = _at_provider(browser, "user:alice")
        _nothing_bound(context, browser.get(back.replace("state=", "state=x")), "wrong-state")
        # Twice the same: it is taken once; its code is used up at the provider too.
        browser = _browser(context, provider.ca)
        back = _at_provider(browser, "user:alice")
        first = browser.get(back)
        expect_in("Is this right?", first.text, "the first time")
        _nothing_bound(context, browser.get(back), "replayed", 409)
        again = _browser(context, provider.ca)
        url = urllib.parse.urlsplit(back)
        code = dict(urllib.parse.parse_qsl(url.query))["code"]
        fresh = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(_at_provider(again, "user:bob")).query))
        fresh["code"] = code
        _nothing_bound(context, again.get(URL + "/portal/callback?" + urllib.parse.urlencode(fresh)), "provider-refused")
        # The cookie with it, but from elsewhere.
        browser = _browser(context, provider.ca)
        back = _at_provider(browser, "user:alice")
        browser.source = THIRD
        page = browser.get(back)
        _nothing_bound(context, page, "other-address")
        expect_in(f"begun at {OTHER}, and this browser comes from {THIRD}", page.text, "the page")
        refused = events(context, "refused")
        expect_equal([(act["by"]["via"], act["by"]["address"]) for act in refused[:3]], [("portal", THIRD), ("portal", OTHER), ("portal", OTHER)], "on the record, newest first")
        expect_in("this browser comes from", refused[0]["outcome"], "why")
        # A form of somebody else's.
        browser = _browser(context, provider.ca)
        browser.get(_at_provider(browser, "user:alice"))
        _nothing_bound(context, browser.post(URL + "/portal/confirm", {"csrf": "A" * 43}), "forged-form")


@case("portal: who is led into a sign-in that an attacker began lends them nothing", seconds=90, spoils=True)
def attacker_started(context):
    with Provider(context) as provider:
        _ready(context)
        attacker, victim = _browser(context, provider.ca, THIRD), _browser(context, provider.ca)
        link = attacker.submit(attacker.get(URL + "/portal"), follow=False).next
        back = _at_provider(victim, "user:alice", link)
        page = victim.get(back)
        _nothing_bound(context, page, "other-browser")
        expect_in(f"begun in another browser, at {THIRD}", page.text, "the page")
        expect_equal(attacker.get(back).status, 403, "the attacker with the same answer")
        expect_equal(_bound(context, THIRD), [], "what the attacker has")
        expect_in(f"begun at {THIRD}", events(context, "refused")[0]["object"], "the record")


@case("portal: a device code that an attacker has somebody enter binds the attacker's address to nobody", seconds=90, spoils=True)
def device_code(context):
    with Provider(context) as provider:
        _ready(context)
        attacker = oidc.Browser(provider)
        begun = _device(attacker)
        oidc.Browser(provider).sign_in(begun["verification_uri"], begun["user_code"], "user:alice")
        answer = attacker.post("/token", {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": begun["device_code"], "client_id": "weir-cli", "code_verifier": begun["verifier"]})
        expect_equal(answer.status, 200, answer.text)
        token = json.loads(answer.text)["access_token"]
        status, text = call(context, "POST", "/v1/bindings", token, source=THIRD)
        expect_equal(status, 409, text)
        expect_in(f"sign in at {URL}/portal", text, "why")
        done = bind(context, token, THIRD)
        expect_equal(done.returncode, 4, done.stderr)
        expect_equal((_bound(context, THIRD), _bound(context)), ([], []), "the bindings")
        done = context.lab.weir("login", "--device", "--address", THIRD)
        expect_equal(done.returncode, 2, done.stderr)
        expect_in("whoever enters it", done.stderr, "why")
        expect_in("bind no address by a token that is shown", events(context, "bind")[0]["outcome"], "the record")
        # A workload is not a person: it shows its own.
        expect_equal(call(context, "POST", "/v1/bindings", provider.agent_token(), source=THIRD)[0], 201, "an agent's token")


def _device(browser):
    """A device flow of anybody's own, with PKCE as this provider wants it."""
    verifier = "v" * 43
    document = json.loads(browser.get("/.well-known/openid-configuration").text)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    answer = browser.post(document["device_authorization_endpoint"], {"client_id": "weir-cli", "scope": "openid groups", "code_challenge": challenge, "code_challenge_method": "S256"})
    expect_equal(answer.status, 200, answer.text)
    return {**json.loads(answer.text), "verifier": verifier}


@case("portal: a second person at a bound address is refused and sent to the wire; the first is told who tried", seconds=90, spoils=True)
def second_person(context):
    with Provider(context) as provider:
        _ready(context)
        alice, bob = _browser(context, provider.ca), _browser(context, provider.ca)
        expect_in("Signed in", _sign_in(alice).text, "the first")
        page = bob.get(URL + "/portal")
        expect_in("bound already", page.text, "the second is told so before")
        expect_not_in("user:alice", page.text, "and not by whom")
        page = _sign_in(bob, "user:bob")
        expect_equal(page.status, 409, page.text)
        expect_in("prove yourself on the wire", page.text, "what the second can do")
        expect_in("1 attempt by others to bind this address, last by user:bob", alice.get(URL + "/portal").text, "what the first is told")
        expect_equal([b["subject"] for b in _bound(context)], ["user:alice"], "the binding")
        with open(context.env["WEIR_LOG"], encoding="utf-8", errors="replace") as file:
            expect_in("for user:alice: user:bob (lab-idp) tried to bind your address", file.read(), "the log")


@case("portal: a provider that answers with the ID token of another sign-in signs nobody in", seconds=90, spoils=True)
def nonce(context):
    provider = Provider(context)
    context.lab.run("target", ["ip", "addr", "replace", f"{oidc.ADDRESS}/24", "dev", "eth0"], check=True)
    stub = context.lab.start("target", ["python3", os.path.join(REPOSITORY, "tests", "e2e", "stub_provider.py"), provider.folder, oidc.ADDRESS, str(oidc.PORT)], stdout=subprocess.PIPE, text=True)
    try:
        expect_equal(stub.stdout.readline(), "ready\n", "the stub")
        _ready(context, algorithm="EdDSA")
        browser = _browser(context, provider.ca)
        page = browser.submit(browser.get(URL + "/portal"))
        _nothing_bound(context, page, "id-token")
        expect_in("another sign-in (nonce)", page.text, "the page")
    finally:
        stub.kill()
        stub.wait(10)


@case("portal: with the provider down its page says so, and who is bound goes on", seconds=90, spoils=True)
def down(context):
    with Provider(context) as provider:
        _ready(context)
        alice, late = _browser(context, provider.ca), _browser(context, provider.ca, THIRD)
        _sign_in(alice)
        back = _at_provider(late, "user:bob")
        provider.stop()
        page = late.get(back)
        expect_equal(page.status, 503, page.text)
        expect_in("lab-idp does not answer this gateway", page.text, "who was under way")
        context.lab.gateway_reload()  # What the provider said of itself is kept for a minute.
        page = late.post(URL + "/portal/sign-in", {})
        expect_equal(page.status, 503, page.text)
        for part in ("lab-idp does not answer this gateway", "Whoever is bound stays so", "Try again"):
            expect_in(part, page.text, "the page")
        expect_equal(_bound(context, THIRD), [], "what is bound")
        expect_in("Signed in", alice.get(URL + "/portal").text, "who is bound")
        expect_equal(from_other(context, "select 1").returncode, 0, "psql meanwhile")
