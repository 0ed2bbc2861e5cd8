"""npm packages for the checks that run real JavaScript programs."""
import os
import subprocess
import time

from harness import expect_equal
from weirlab import REPOSITORY


def node_modules(*packages):
    """npm packages ("pg@8"), installed once for all runs; kept in the build folder."""
    folder = os.path.join(REPOSITORY, "build", "e2e-node")
    missing = [p for p in packages if not os.path.isdir(os.path.join(folder, "node_modules", p.split("@")[0]))]
    if missing:
        os.makedirs(folder, exist_ok=True)
        for attempt in range(3):
            done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, *packages], capture_output=True,
                                  text=True, timeout=120, stdin=subprocess.DEVNULL)
            if done.returncode == 0:
                break
            time.sleep(3 * attempt)
        expect_equal(done.returncode, 0, f"npm install {packages}: {done.stderr[-500:]}")
    return os.path.join(folder, "node_modules")
