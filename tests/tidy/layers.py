#!/usr/bin/env python3
"""Fails if a stage includes another stage, if a file is too long, or if the tree names what it must not.

Usage: layers.py SOURCE_TREE
Stages know base/ and core/ only; session/, control/ and main.cc join them.
"""
import pathlib
import re
import sys

STAGES = ["kernel", "io", "steer", "accept", "identify", "transport", "parse", "decide", "mask", "forward", "record", "signer", "report", "store", "notify"]
JOINERS = {"session", "control"}
ALLOWED = {stage: {"base", "core"} for stage in STAGES}
for stage in ("io", "steer", "accept", "identify", "decide", "store", "notify"):
    ALLOWED[stage].add("kernel")  # raw-UAPI shims, whole files
ALLOWED["signer"] |= {"record", "transport"}  # Its process holds the keys of both: their seams, from the other side.
ALLOWED["base"] = set()
ALLOWED["core"] = {"base"}
LINES_MAX = 600  # logic; tables (*.def, generated) may be longer


def main() -> int:
    root = pathlib.Path(sys.argv[1]) / "userspace"
    problems = []
    checked = 0
    for path in sorted(root.rglob("*")):
        if path.suffix not in {".h", ".cc"}:
            continue
        checked += 1
        parts = path.relative_to(root).parts
        stage = parts[0]
        text = path.read_text()
        if text.count("\n") > LINES_MAX:
            problems.append(f"{path}: {text.count(chr(10))} lines (at most {LINES_MAX}): split it")
        if path.suffix == ".h" and "#pragma once" not in text:
            problems.append(f"{path}: no #pragma once")
        if len(parts) == 1 or stage in JOINERS:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            found = re.match(r'\s*#include "([a-z_]+)/', line)
            is_test = path.name.endswith(("_test.cc", "_fixture.h")) and found and found.group(1) == "store"  # Its MemoryStore.
            if found and found.group(1) != stage and not is_test and found.group(1) not in ALLOWED.get(stage, set()):
                problems.append(f"{path}:{number}: stage {stage} includes stage {found.group(1)}")
            if stage == "parse" and len(parts) > 2:
                other = re.match(r'\s*#include "parse/([a-z_]+)/', line)
                if other and other.group(1) != parts[1]:
                    problems.append(f"{path}:{number}: protocol {parts[1]} includes protocol {other.group(1)}")
    for problem in problems:
        print(problem)
    if checked < 10:
        print(f"only {checked} files found under {root}: wrong tree?")
        return 1
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
