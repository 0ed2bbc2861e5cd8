#!/usr/bin/env python3
"""Writes what archive.py makes of some keys, wraps and chunks as a C++ header, for the gateway's own tests.

    make_archive_vectors.py FILE           writes it
    make_archive_vectors.py --check FILE   fails if FILE is another
"""
import hashlib
import json
import os
import struct
import sys
import tempfile

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import archive

fake = lambda name: hashlib.sha256(b"plainly fake: " + name).digest()
SESSION_KEY, GATEWAY_KEY, AUDITOR, EPHEMERAL, SALT = (fake(name) for name in (b"session", b"gateway", b"auditor", b"ephemeral", b"salt"))
SESSION, PART, INDEX, FRAMES = 4711, 2, 3, 1
PLAIN = b"a chunk that is no frame, in one raw block"


def raw_zstd(plain):
    """A zstd frame with one raw block (RFC 8878, 3.1.1): no compressor's choice is in it."""
    return bytes.fromhex("28b52ffd") + b"\x20" + bytes([len(plain)]) + (len(plain) << 3 | 1).to_bytes(3, "little") + plain


def main():
    auditor, ephemeral = X25519PrivateKey.from_private_bytes(AUDITOR), X25519PrivateKey.from_private_bytes(EPHEMERAL)
    auditor_public, ephemeral_public = archive.raw(auditor.public_key()), archive.raw(ephemeral.public_key())
    commitment = archive.commitment_of(SESSION_KEY)
    seal = lambda by, kind: AESGCM(by).encrypt(bytes(12), SESSION_KEY, archive.bound_to(kind, SESSION, PART, commitment)).hex()
    keys = {"format": "weir keys 1", "session": SESSION, "part": PART, "commitment": commitment.hex(), "wraps": [
        {"for": "gateway", "key": hashlib.sha256(b"weir gateway key 1\n" + GATEWAY_KEY).hexdigest()[:16], "salt": SALT.hex(), "wrapped": seal(archive.hkdf(GATEWAY_KEY, SALT, b"weir gateway wrap 1"), "gateway")},
        {"for": "auditor", "key": hashlib.sha256(auditor_public).hexdigest()[:16], "ephemeral": ephemeral_public.hex(),
         "wrapped": seal(archive.hkdf(ephemeral.exchange(auditor.public_key()), ephemeral_public + auditor_public, b"weir auditor wrap 1"), "auditor")}]}
    pem = auditor.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    gateway = "weir-key-1 " + GATEWAY_KEY.hex() + "\n"
    for text in (pem, gateway):  # The reader reads what it wrote.
        with tempfile.NamedTemporaryFile("w", delete=False) as file:
            file.write(text)
        assert archive.unwrap(keys, file.name) == SESSION_KEY
        os.unlink(file.name)
    header = b"WEIRARC1" + struct.pack("<HBBIQII", 2, 1, 1, 0, SESSION, PART, 0) + commitment
    content = raw_zstd(PLAIN)
    assert archive.unzstd(content) == PLAIN
    head = archive.chunk_header(len(content) + 16, FRAMES, len(PLAIN), INDEX, False)
    stored = AESGCM(SESSION_KEY).encrypt(archive.chunk_nonce(INDEX, False), content, header + head)
    end_head = archive.chunk_header(16, 0, 0, INDEX + 1, True)
    end = AESGCM(SESSION_KEY).encrypt(archive.chunk_nonce(INDEX + 1, True), b"", header + end_head)
    quoted = lambda text: 'R"(' + text + ')"'
    lines = ["// Written by tests/reader/make_archive_vectors.py, which shares no line with what it tests.  Every key is plainly fake.  Do not edit.",
             "#pragma once", "#include <cstdint>", "#include <string_view>", "", "namespace weir::record::vectors {", "",
             f"inline constexpr uint64_t kSession = {SESSION};", f"inline constexpr uint32_t kPart = {PART};",
             f'inline constexpr std::string_view kSessionKey = "{SESSION_KEY.hex()}";',
             f"inline constexpr std::string_view kAuditorPem = {quoted(pem)};", f"inline constexpr std::string_view kGatewayFile = {quoted(gateway)};",
             f"inline constexpr std::string_view kKeysFile = {quoted(json.dumps(keys, sort_keys=True, separators=(',', ':')))};",
             f'inline constexpr std::string_view kArchiveHeader = "{header.hex()}";',
             f'inline constexpr std::string_view kChunk = "{(head + stored).hex()}";', f'inline constexpr std::string_view kChunkPlain = "{PLAIN.decode()}";',
             f'inline constexpr std::string_view kEndChunk = "{(end_head + end).hex()}";', "", "}  // namespace weir::record::vectors", ""]
    text = "\n".join(lines)
    if sys.argv[1] == "--check":
        with open(sys.argv[2], encoding="utf-8") as file:
            sys.exit(0 if file.read() == text else f"{sys.argv[2]} is not what this makes: run it without --check")
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(text)


main()
