"""What the whole machine spent on a run: its processors by kind, the server's processes, context switches."""
import os

_TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")


def _stat():
    with open("/proc/stat", encoding="ascii") as file:
        lines = file.read().splitlines()
    user, nice, system, idle, iowait, irq, softirq = (int(v) for v in lines[0].split()[1:8])
    switches = next(int(line.split()[1]) for line in lines if line.startswith("ctxt "))
    return {"busy": user + nice + system + irq + softirq, "idle": idle + iowait}, switches


def _server():
    """User and kernel ticks of all PostgreSQL processes, those of ended children with them."""
    user = kernel = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        if "(postgres)" in text:
            fields = text.rpartition(")")[2].split()
            user += int(fields[11]) + int(fields[13])
            kernel += int(fields[12]) + int(fields[14])
    return {"server_user": user, "server_kernel": kernel}


def snapshot():
    processors, switches = _stat()
    return {**processors, **_server(), "switches": switches}


def spent(before, after, transactions):
    """Microseconds (and context switches) of one transaction."""
    each = {name: (after[name] - before[name]) / max(transactions, 1) for name in before}
    return {name: value if name == "switches" else value * _TICK_US for name, value in each.items()}
