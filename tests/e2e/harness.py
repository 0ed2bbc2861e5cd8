"""Cases as claims: registration, the gateway that each needs, checks with words, and the summary.

A case that cannot run is a failure.  Every wait is bounded.  After a failure the gateway starts afresh, so that one broken
claim does not break the next.
"""
import contextlib
import os
import signal
import socket
import time
import traceback
from dataclasses import dataclass

from clock import ClockWatch
from pgwire import Wire
from weirlab import PATIENCE, LabError, wait_until

CASES = []


@dataclass(frozen=True)
class Case:
    claim: str
    run: object
    module: str
    config: object       # "", "relay", "plain": a configuration of the lab; a function (lab) -> path; None: the case starts it itself.
    seconds: int
    spoils: bool         # The gateway is not as it was afterwards.


def case(claim, *, config="", seconds=60, spoils=False):
    def register(function):
        CASES.append(Case(claim, function, function.__module__, config, seconds, spoils))
        return function
    return register


class Failed(AssertionError):
    """A check did not hold."""


def expect(fact, what):
    if not fact:
        raise Failed(what)


def expect_equal(got, wanted, what):
    if got != wanted:
        raise Failed(f"{what}: got {_short(got)}, wanted {_short(wanted)}")


def expect_in(part, whole, what):
    if part not in whole:
        raise Failed(f"{what}: {part!r} is not in {_short(whole)}")


def expect_not_in(part, whole, what):
    if part in whole:
        raise Failed(f"{what}: {part!r} is in {_short(whole)}")


def _short(value):
    text = repr(value)
    return text if len(text) < 600 else text[:400] + " ... " + text[-180:]


class Context:
    """What a case works with."""

    def __init__(self, lab, folder):
        self.lab, self.folder = lab, folder
        self.clock = ClockWatch()
        self.running = None          # The configuration path in use, None: no gateway.
        with open(lab.env["PGPASS_FILE"], encoding="utf-8") as file:
            self.passwords = dict(line.strip().split(":", 4)[3:] for line in file if line.strip())

    @property
    def env(self):
        return self.lab.env

    def path_of(self, config):
        return config(self.lab) if callable(config) else self.lab.config_path(config)

    def use(self, config):
        """The gateway serves with that configuration when this returns."""
        path = self.path_of(config)
        if self.running == path and self.is_alive():
            return
        self.stop()
        self.running = path
        self.lab.gateway_start(path)

    def stop(self):
        self.running = None
        self.lab.gateway_stop()

    def is_alive(self):
        return bool(self.env.get("WEIR_PID")) and os.path.isdir(f"/proc/{self.env['WEIR_PID']}")

    def wire(self, *, ipv6=False, tls=False, user=None, login=True, password=None, startup=None, **options):
        """A raw client that logged in (or only connected, with login=False)."""
        address = (self.env["TARGET_IP6" if ipv6 else "TARGET_IP"], int(self.env["TARGET_PORT"]))
        wire = Wire(lambda family: self.lab.socket("client", family), address, **options)
        try:
            if tls:
                expect(wire.tls(), "the gateway offers TLS")
            user = user or self.env["PGUSER"]
            if login:
                wire.login(user, password or self.passwords[user], self.env["PGDATABASE"], **(startup or {}))
        except BaseException:
            wire.socket.close()
            raise
        return wire

    def psql(self, *statements, **options):
        return self.lab.psql(*statements, **options)

    def rows(self, *statements, **options):
        """Lines of a psql that must succeed."""
        done = self.psql(*statements, **options)
        expect(done.returncode == 0, f"psql {statements}: exit {done.returncode}: {done.stderr[-500:]}")
        return done.stdout.splitlines()

    def refused(self, statement, code="42501", **options):
        """psql is refused with that SQLSTATE; returns the error text."""
        done = self.psql(statement, **options)
        expect(done.returncode != 0, f"{statement!r} was not refused: {done.stdout[-300:]!r}")
        expect_in(f"ERROR:  {code}", done.stderr, f"{statement!r} is refused with {code}")
        return done.stderr

    @contextlib.contextmanager
    def target_never_sees(self, *texts):
        """None of the texts stands in the target's log of what happens inside."""
        mark = self.lab.log_mark()
        yield
        self.lab.log_settle()
        log = self.lab.log_since(mark)
        for text in texts:
            expect_not_in(text, log, "the target's log")

    def extra_rules(self, text):
        with open(self.env["EXTRA_RULES"], "w", encoding="utf-8") as file:
            file.write(text)

    def sessions(self, since=None):
        rows = self.lab.weir_json("sessions")
        return [row for row in rows if row["id"] not in since] if since is not None else rows

    def session_ids(self):
        return {row["id"] for row in self.sessions()}

    def sealed_since(self, before, count=1, seconds=20):
        """The sessions that were opened after `before` was taken, once `count` of them are closed and on the record."""
        def sealed():
            rows = self.sessions(before)
            return rows if len(rows) >= count and all(row["closed"] for row in rows) else None
        return wait_until(f"{count} sessions are sealed", sealed, seconds, 0.2)

    def replay(self, session):
        return self.lab.weir_json("replay", str(session["id"] if isinstance(session, dict) else session))


def revoke_ends(context, who, process):
    """Revokes `who`, whose client `process` is, and waits for its end.  How fast: bench/revoke_to_silence."""
    done = context.lab.weir("revoke", who, "--reason", "a test")
    expect_equal(done.returncode, 0, done.stderr)
    process.communicate(timeout=10)


def expect_gateway_shut_out(context):
    """No process on the gateway reaches the target past the engine."""
    attempt = context.lab.socket("gateway", socket.AF_INET)
    attempt.settimeout(2)
    with attempt:
        try:
            attempt.connect((context.env["TARGET_IP"], 5432))
            expect(False, "a process on the gateway reached the target past the engine")
        except OSError:
            pass


class CaseTimeout(Exception):
    pass


def _on_alarm(*_):
    raise CaseTimeout()


def run_all(lab, folder, wanted, out):
    """Runs the cases whose module or claim contains one of `wanted` (all, if empty); prints; returns the number that failed.

    A case that failed is tried once more, from nothing: a machine that stood still for seconds is no broken claim.  What came true
    only then is told with its first failure, and named again at the end: somebody has to look at it.
    """
    context = Context(lab, folder)
    signal.signal(signal.SIGALRM, _on_alarm)
    passed, shaky, failures = 0, [], []
    for item in CASES:
        name = f"{item.module}: {item.claim}"
        if wanted and not any(word in name for word in wanted):
            continue
        first = _timed(context, item)
        again = _timed(context, item) if first.problem is not None else first
        if again.problem is not None:
            failures.append(name)
            _tell(out, "FAIL", name, first, again)
            continue
        passed += 1
        if first.problem is not None:
            shaky.append(name)
            _tell(out, "SHAKY", name, first)
        else:
            print(f"ok   {first.took:6.1f} s  {name}", file=out, flush=True)
    print(file=out)
    for name in failures:
        print(f"failed: {name}", file=out)
    for name in shaky:
        print(f"true only at the second try: {name}", file=out)
    if context.clock.steps:
        print(f"the machine's clock was set {len(context.clock.steps)} times meanwhile, by (s): {context.clock.steps[:20]}", file=out)
    print(f"{passed} passed, {len(failures)} failed", file=out, flush=True)
    return len(failures)


@dataclass(frozen=True)
class Outcome:
    problem: str         # None: the claim holds.
    took: float          # Seconds.


def _timed(context, item):
    started = time.monotonic()
    problem = _run_one(context, item)
    took = time.monotonic() - started
    if problem is not None or item.spoils:
        _reset(context)
    return Outcome(problem, took)


def _tell(out, word, name, *outcomes):
    print(f"{word} {outcomes[-1].took:6.1f} s  {name}", file=out, flush=True)
    for number, outcome in enumerate(outcomes):
        lines = outcome.problem.splitlines()[:30]
        print("".join(f"       {'once more: ' if number and not at else ''}{line}\n" for at, line in enumerate(lines)), file=out, end="", flush=True)


def _run_one(context, item):
    """None if the claim holds, else why not."""
    seconds = item.seconds * PATIENCE
    signal.alarm(seconds)
    try:
        if item.config is not None:
            context.use(item.config)
        item.run(context)
        return None
    except CaseTimeout:
        return f"not done after {seconds} s"
    except (Failed, LabError) as error:
        return str(error)
    except Exception:
        return traceback.format_exc(limit=-4)
    finally:
        signal.alarm(0)


def _reset(context):
    """No gateway, no extra rules, the scratch table as it was: the next case starts from nothing."""
    signal.alarm(90)
    try:
        context.lab.superuser("truncate scratch", "insert into scratch select i, 'word ' || i from generate_series(1, 100) as i")
        context.extra_rules("rules: []\n")
        context.stop()
    except (CaseTimeout, LabError) as error:
        print(f"       the gateway could not be stopped: {error}", flush=True)
    finally:
        signal.alarm(0)
