"""Whether this machine's clock was set while the checks ran.  `weir verify` says so of a record, as it should; a check of something
else may then expect no less."""
import threading
import time

STEP = 100_000             # Nanoseconds; two looks at a clock that is only disciplined differ by less.
CODES = ("clock-back", "heartbeat-gap")


class ClockWatch:
    def __init__(self):
        self.steps = []    # Seconds, each by how much.
        self._offset = self._look()
        threading.Thread(target=self._run, daemon=True).start()

    def forgiven(self, findings):
        """Those of `findings` that a clock that was set does not explain."""
        return [f for f in findings if not (self.steps and f["severity"] == "attention" and f["code"] in CODES)]

    def _run(self):
        while True:
            time.sleep(0.02)
            offset = self._look()
            if abs(offset - self._offset) > STEP:
                self.steps.append((offset - self._offset) / 1e9)
            self._offset = offset

    @staticmethod
    def _look():
        """Wall clock less monotonic one, read close enough to each other to tell STEP."""
        while True:
            before = time.monotonic_ns()
            wall = time.time_ns()
            if time.monotonic_ns() - before < STEP // 2:
                return wall - before
