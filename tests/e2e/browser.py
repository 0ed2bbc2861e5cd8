"""A browser in the client's namespace that goes to several servers: pages, forms, cookies of each server, redirects; no script."""
import http.client
import http.cookies
import socket
import ssl
import urllib.parse

from harness import expect, expect_equal
from oidc import _Forms as Forms


class Browser:
    """`authorities`: "host:port" -> CA file.  `source`: the address that it comes from.  `headers` go with every request."""

    def __init__(self, lab, authorities, source, headers=None):
        self.lab, self.authorities, self.source, self.headers = lab, authorities, source, headers or {}
        self.cookies = {server: {} for server in authorities}
        self.visited = []

    def _connect(self, host, port, ca):
        raw = self.lab.socket("client", socket.AF_INET)
        raw.settimeout(20)
        raw.bind((self.source, 0))
        raw.connect((host, port))
        return ssl.create_default_context(cafile=ca).wrap_socket(raw, server_hostname=host)

    def request(self, method, url, form=None, follow=True, headers=None):
        """The last page of what that leads to; with follow=False the first."""
        parts = urllib.parse.urlsplit(url)
        server = f"{parts.hostname}:{parts.port}"
        expect(server in self.authorities, f"sent to {url}")
        self.visited.append(url)
        sent = {**self.headers, "Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies[server].items()), **(headers or {})}
        if form is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection(parts.hostname, parts.port)
        connection.sock = self._connect(parts.hostname, parts.port, self.authorities[server])
        try:
            connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), urllib.parse.urlencode(form) if form is not None else None, sent)
            answer = connection.getresponse()
            answer.text = answer.read().decode()
        finally:
            connection.close()
        for line in answer.headers.get_all("Set-Cookie") or []:
            for name, cookie in http.cookies.SimpleCookie(line).items():
                self.cookies[server].pop(name, None)
                if cookie.value:
                    self.cookies[server][name] = cookie.value
        answer.url = url
        answer.next = urllib.parse.urljoin(url, answer.headers["Location"]) if answer.status in (302, 303) else None
        return self.request("GET", answer.next) if follow and answer.next else answer

    def get(self, url, **options):
        return self.request("GET", url, **options)

    def post(self, url, form, **options):
        return self.request("POST", url, form, **options)

    def submit(self, page, follow=True, **fields):
        """The first form of a page, with these fields filled in."""
        expect_equal(page.status, 200, f"the page {page.url}: {page.text[:600]}")
        forms = Forms(page.text).forms
        expect(forms, f"no form at {page.url}: {page.text[:600]}")
        action, values = forms[0]
        return self.post(urllib.parse.urljoin(page.url, action or page.url), {**values, **fields}, follow=follow)
