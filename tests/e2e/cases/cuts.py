"""A cut stops both directions at once: what the client's own socket had already taken is the most that still arrives."""
import array
import fcntl
import socket
import termios
import time

from capture import Capture
from cases.closed import RAW_HOPS, raw_packets
from harness import case, expect, expect_equal
from pgwire import query
from weirlab import wait_until


def _waiting(sock):
    """Bytes in the client's own receive queue."""
    count = array.array("i", [0])
    fcntl.ioctl(sock.fileno(), termios.FIONREAD, count)
    return count[0]


def _read_to_end(sock, seconds=5):
    sock.settimeout(seconds)
    total = 0
    try:
        while True:
            data = sock.recv(65536)
            if not data:
                return total
            total += len(data)
    except (ConnectionError, TimeoutError, socket.timeout):
        return total


def _cut_case(name, cut, restore=None):
    @case(f"{name} in the middle of a result: at most what the client's own socket had taken arrives", spoils=True)
    def check(context):
        before = context.session_ids()
        with Capture(context.lab, "target", context.folder, expression="tcp port 5432") as capture:
            with context.wire(hops=RAW_HOPS, receive_buffer=65536) as wire:
                wire.send(query("select repeat('z', 1000) from generate_series(1, 3000000)"))
                for _ in range(50):
                    wire.socket.recv(16384)
                time.sleep(0.3)     # The client stops reading: everything fills up.
                live = [s for s in context.sessions(before) if not s["closed"]]
                expect_equal(len(live), 1, "live sessions")
                cut(context, live[0])
                time.sleep(1)
                taken = _waiting(wire.socket)
                got = _read_to_end(wire.socket)
                expect(got <= taken, f"{got} bytes arrived after the cut, {taken} were in the client's socket a second after it")
        expect_equal(raw_packets(capture, context.env)[:3], [], "raw packets at the target")
        wait_until("the backend is gone at the target", lambda: context.lab.superuser(
            "select count(*) from pg_stat_activity where query like '%3000000%' and usename = 'orders_app'") == "0", 10)
        if restore:
            restore(context)
        session = context.sealed_since(before)[0]
        expect(session["reason"], "a reason stands on the record")


def _cut_session(context, session):
    done = context.lab.weir("cut", str(session["id"]), "--reason", "a test")
    expect_equal(done.returncode, 0, done.stderr)


def _revoke(context, _session):
    done = context.lab.weir("revoke", "svc:report-agent", "--reason", "a test")
    expect_equal(done.returncode, 0, done.stderr)


def _closed_afterwards(context):
    expect_equal(context.psql("select 1").returncode, 2, "psql after the revocation")


_cut_case("a session cut alone", _cut_session)
_cut_case("a binding revoked", _revoke, _closed_afterwards)


@case("a session cut alone leaves the other sessions of the same address alone")
def others_live(context):
    with context.wire() as mine, context.wire() as other:
        key = other.query("select inet_client_port()").values()[0][0]
        expect_equal(mine.query("select 1").values(), [("1",)], "mine")
        session = next(s for s in context.sessions() if not s["closed"] and s["facts"]["client"].endswith(f":{key}"))
        _cut_session(context, session)
        try:
            other.send(query("select 1"))
            expect_equal(other.read_reply().rows, [], "the session that was cut")
        except ConnectionError:
            pass  # The reset was here first.
        expect_equal(mine.query("select 2").values(), [("2",)], "mine goes on")
