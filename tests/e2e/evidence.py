"""The gateway's evidence log through the second reader (tests/reader), which shares nothing with the gateway."""
import base64
import json
import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "reader"))
import tlog


def public_key(path):
    """The 32 bytes of an Ed25519 key in PEM form: the last ones of its DER."""
    with open(path, encoding="ascii") as file:
        return base64.b64decode("".join(line for line in file.read().splitlines() if not line.startswith("-")))[-32:]


def read_log(folder):
    """(checkpoint note, leaves), each byte under the checkpoint checked with the key that lies beside it."""
    note, entries = tlog.read_log(folder, public_key(os.path.join(folder, "signing.pub")))
    return note, [json.loads(entry) for entry in entries]


def leaves_of(folder):
    return read_log(folder)[1]
