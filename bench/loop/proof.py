"""What shows that the measured Weir did its whole work: durable, recorded, judged, masked."""
import json
import os
import platform
import re
import subprocess
import time

from weirlab import REPOSITORY, LabError, wait_until


def describe_host():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    return {"cores": os.cpu_count(), "cpu": model[1] if model else "", "kernel": platform.release(),
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def file_system(path):
    return subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, text=True, check=True).stdout.strip()


def describe_weir(lab, contender):
    """The setting that ran, read from the configuration it was given and from what `weir check` says of it."""
    with open(contender.config, encoding="utf-8") as file:
        text = file.read()
    def ask(*verb):
        done = lab.run("gateway", [lab.env["WEIR"], *verb, "--json", "--config", contender.config], timeout=120, check=True)
        return json.loads(done.stdout)
    checked = ask("check")
    return {"durability": re.search(r"durability: ([a-z-]+)", text)[1], "state_file_system": file_system(lab.env["WEIR_STATE"]),
            "configuration_digest": checked["digest"], "capability": [t["capability"] for t in checked["targets"]],
            "rules": len(ask("rules", "list")), "binary": os.path.relpath(lab.env["WEIR"], REPOSITORY)}


def sessions_since(lab, begun):
    return [s for s in lab.weir_json("sessions") if _seconds(s["opened"]) >= begun - 1]


def _seconds(text):
    """RFC 3339 in UTC to Unix time; fractions kept."""
    match = re.fullmatch(r"(\d+-\d+-\d+T\d+:\d+:\d+)(\.\d+)?Z", text)
    if not match:
        raise LabError(f"not a time in UTC: {text}")
    return time.mktime(time.strptime(match[1], "%Y-%m-%dT%H:%M:%S")) - time.timezone + float(match[2] or 0)


def prove(lab, contender, begun, transactions):
    """Pre: the contender still serves.  Its sessions are on the record with at least as many commands as transactions."""
    def closed():
        sessions = sessions_since(lab, begun)
        return sessions if sessions and all(s["closed"] for s in sessions) else None
    sessions = wait_until("all sessions of the run are sealed", closed, 60, 0.5)
    commands = sum(s["commands"] for s in sessions)
    masked = sum(s["masked"] for s in sessions)
    replayed = lab.weir_json("replay", str(sessions[-1]["id"]), timeout=120)
    texts = [event["text"] for event in replayed if event.get("kind") == "command" and event.get("text")]
    return {"sessions": len(sessions), "commands_recorded": commands, "transactions": transactions, "values_masked": masked,
            "texts_in_one_session": len(texts), "distinct_texts_in_one_session": len(set(texts)),
            "holds": commands >= transactions}
