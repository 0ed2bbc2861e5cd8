#!/usr/bin/env bash
# A long mixed load in a lab of its own, with reloads, aborted clients and (with --kills) kills of the engine; compares record
# and target at the end.  Usage: scripts/soak.sh [--minutes 10] [--seed N] [--kills]     (needs a release build)
exec python3 "$(dirname "${BASH_SOURCE[0]}")/../tests/e2e/soak.py" "$@"
