#!/usr/bin/env python3
"""A mixed load for as long as it is told, with reloads, aborted clients and kills of the engine at random moments.  At the
end: the target's own log against the record, `weir verify`, and the engine's memory and descriptors (I5, I7, I8, I12).
"""
import argparse
import os
import random
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(os.path.dirname(os.path.dirname(HERE)), "scripts", "lab")]
from cases.differential import compare, recorded, target_statements
from cases.records import verify
from harness import Context
from weirlab import Lab, LabError, wait_until

GROWTH_MAX = 64 << 20      # Of the engine's resident memory, from the first minute of a run of the engine to its last.


def resident(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Soak:
    def __init__(self, lab, options):
        self.lab, self.options = lab, options
        self.context = Context(lab, os.path.join(lab.folder, "soak"))
        self.dice = random.Random(options.seed)
        self.loads, self.problems, self.kills = [], [], 0

    def load(self):
        mode = self.dice.choice(["simple", "extended", "prepared"])
        arguments = self.dice.choice([["-S"], []])
        env = self.lab.client_env(sslmode=self.dice.choice(["disable", "require"]), ipv6=self.dice.random() < 0.3)
        return self.lab.start("client", ["pgbench", "-n", "-M", mode, "-c", str(self.dice.randint(1, 6)), "-T", str(self.dice.randint(2, 15)),
                                         *arguments], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def turn(self):
        """One random act."""
        self.loads = [p for p in self.loads if p.poll() is None]
        while len(self.loads) < 3:
            self.loads.append(self.load())
        time.sleep(self.dice.uniform(0.5, 3))
        act = self.dice.choice(["nothing", "nothing", "reload", "abort client", "masked", "blocked", "kill" if self.options.kills else "nothing"])
        if act == "reload":
            self.lab.gateway_reload()
        elif act == "abort client":
            victim = self.loads.pop()
            victim.kill()
            victim.wait()
        elif act == "masked":
            done = self.context.psql("select email from people where id <= 50")
            if "example.invalid" in done.stdout:
                self.problems.append("a masked column came in clear")
        elif act == "blocked":
            if self.context.psql("delete from scratch").returncode == 0:
                self.problems.append("a blocked statement passed")
        elif act == "kill":
            self.lab.gateway_kill()
            self.kills += 1
            self.lab.gateway_start()

    def settle(self):
        for process in self.loads:
            if process.poll() is None:
                process.kill()
            process.wait()
        self.loads = []

    def check_rest(self):
        """An idle engine holds nothing of its sessions."""
        pid = int(self.lab.env["WEIR_PID"])
        wait_until("all sessions end", lambda: all(s["closed"] for s in self.context.sessions()), 60, 0.5)
        before = resident(pid), descriptors(pid)
        for _ in range(40):
            self.context.rows("select id, email from people")
        time.sleep(2)
        after = resident(pid), descriptors(pid)
        if after[0] - before[0] > GROWTH_MAX or after[1] > before[1] + 4:
            self.problems.append(f"an idle engine grew from {before} to {after} (bytes, descriptors)")

    def check_record(self):
        seen = target_statements(self.context, 0)
        found = compare(seen, recorded(self.context, self.context.sessions()), after_kill=True)
        self.problems += found[:10]
        code, found = verify(self.context, self.lab.env["WEIR_STATE"], timeout=600)
        if code != 0:
            self.problems.append(f"weir verify exits {code}: {found}")
        return sum(len(statements) for statements in seen.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--kills", action="store_true", help="kill -9 the engine now and then")
    options = parser.parse_args()
    lab = Lab("soak")
    lab.up()
    os.makedirs(os.path.join(lab.folder, "soak"), exist_ok=True)
    soak = Soak(lab, options)
    print(f"soak: {options.minutes:g} minutes, seed {options.seed}{', with kills' if options.kills else ''}", flush=True)
    try:
        lab.gateway_start()
        end = time.monotonic() + options.minutes * 60
        while time.monotonic() < end and not soak.problems:
            soak.turn()
        soak.settle()
        soak.check_rest()
        statements = soak.check_record()
    except LabError as error:
        soak.problems.append(str(error))
        statements = 0
    finally:
        soak.settle()
        lab.down()
    for problem in soak.problems:
        print(f"soak: {problem}")
    print(f"soak: {statements} statements at the target, {soak.kills} kills, {len(soak.problems)} problems")
    return 1 if soak.problems else 0


if __name__ == "__main__":
    sys.exit(main())
