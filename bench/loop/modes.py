"""What each contender is asked to do, and how the answer is read from the clients' own output."""
import re
import time
from dataclasses import dataclass

from weirlab import LabError


@dataclass(frozen=True)
class Mode:
    name: str
    unit: str                # "tps" (more is better), "ms", "s" (less is better).
    tls: bool
    run: object              # run(lab, contender, seconds) -> Sample

    @property
    def is_rate(self):
        return self.unit == "tps"


@dataclass
class Sample:
    value: float
    transactions: int = 0    # What a recorder must have seen at least.


def _client(lab, contender, tls):
    return lab.client_env(host=contender.host, port=contender.port, sslmode="require" if tls else "disable")


def _pgbench(lab, contender, tls, seconds, arguments):
    argv = ["pgbench", "-n", "-T", str(seconds), *arguments]
    done = lab.run("client", argv, env=_client(lab, contender, tls), timeout=seconds * 3 + 60)
    rate = re.search(r"^tps = ([0-9.]+)", done.stdout, re.M)
    count = re.search(r"number of transactions actually processed: (\d+)", done.stdout)
    latency = re.search(r"^latency average = ([0-9.]+) ms", done.stdout, re.M)
    if done.returncode != 0 or not (rate and count and latency) or re.search(r"failed transactions: [1-9]", done.stdout):
        raise LabError(f"{contender.name}: {' '.join(argv)}: exit {done.returncode}\n{done.stdout[-600:]}{done.stderr[-600:]}")
    return float(rate[1]), float(latency[1]), int(count[1])


def _rate(arguments, tls=False):
    def run(lab, contender, seconds):
        rate, _, count = _pgbench(lab, contender, tls, seconds, arguments)
        return Sample(rate, count)
    return run


def _latency(arguments):
    def run(lab, contender, seconds):
        # From the rate of one client: pgbench prints the average with three digits only.
        rate, _, count = _pgbench(lab, contender, False, seconds, arguments)
        return Sample(1000.0 / rate, count)
    return run


def _copy(tls):
    def run(lab, contender, _seconds):
        started = time.monotonic()
        done = lab.run("client", ["bash", "-c", "exec psql -X -q -c 'copy pgbench_accounts to stdout' >/dev/null"],
                       env=_client(lab, contender, tls), timeout=120)
        if done.returncode != 0:
            raise LabError(f"{contender.name}: copy: {done.stderr[-600:]}")
        return Sample(time.monotonic() - started, 1)
    return run


SIMPLE8 = ["-S", "-M", "simple", "-c", "8", "-j", "2"]


def make_modes(people_script):
    """people_script: a pgbench script that reads masked columns by key."""
    return [
        Mode("simple-8", "tps", False, _rate(SIMPLE8)),
        Mode("tpcb-8", "tps", False, _rate(["-M", "simple", "-c", "8", "-j", "2"])),
        Mode("prepared-8", "tps", False, _rate(["-S", "-M", "prepared", "-c", "8", "-j", "2"])),
        Mode("prepared-1", "ms", False, _latency(["-S", "-M", "prepared", "-c", "1", "-j", "1"])),
        Mode("people-8", "tps", False, _rate(["-M", "simple", "-c", "8", "-j", "2", "-f", people_script])),
        Mode("copy-1m", "s", False, _copy(False)),
        Mode("tls-simple-8", "tps", True, _rate(SIMPLE8, True)),
        Mode("tls-copy-1m", "s", True, _copy(True)),
    ]
