"""Session archives as FORMAT.md draws them: format 1 and 2, with the auditor's or the gateway's key.  Debian's python3-cryptography
does AES-GCM, X25519 and HKDF, the zstd command unpacks; nothing is the gateway's.

    archive.py STATE SESSION KEY_FILE       prints the session's statements
"""
import hashlib
import json
import os
import struct
import subprocess
import sys

try:
    import cryptography
except ImportError:  # Another Python than Debian's stands first in PATH.
    sys.path.append("/usr/lib/python3/dist-packages")
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

sha256 = lambda data: hashlib.sha256(data).digest()


def commitment_of(key):
    return sha256(b"weir session key 1\n" + key)


def hkdf(secret, salt, info):
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(secret)


def raw(public):
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


def bound_to(kind, session, part, commitment):
    return f"weir keys 1\n{kind}\n{session}\n{part}\n{commitment.hex()}\n".encode()


def unwrap(keys, key_file):
    """The session key of a keys file (its JSON), or None: it was not wrapped for this key."""
    commitment = bytes.fromhex(keys["commitment"])
    with open(key_file, "rb") as file:
        text = file.read()
    for wrap in keys["wraps"]:
        if text.startswith(b"-----BEGIN") and wrap["for"] == "auditor":
            auditor = load_pem_private_key(text, None)
            mine, ephemeral = raw(auditor.public_key()), bytes.fromhex(wrap["ephemeral"])
            if sha256(mine)[:8].hex() != wrap["key"]:
                continue
            by = hkdf(auditor.exchange(X25519PublicKey.from_public_bytes(ephemeral)), ephemeral + mine, b"weir auditor wrap 1")
        elif text.startswith((b"weir-key-1 ", b"#")) and wrap["for"] == "gateway":
            own = [bytes.fromhex(line.split()[1]) for line in text.decode().splitlines() if line.startswith("weir-key-1 ")]
            own = [key for key in own if sha256(b"weir gateway key 1\n" + key)[:8].hex() == wrap["key"]]
            if not own:
                continue
            by = hkdf(own[0], bytes.fromhex(wrap["salt"]), b"weir gateway wrap 1")
        else:
            continue
        key = AESGCM(by).decrypt(bytes(12), bytes.fromhex(wrap["wrapped"]), bound_to(wrap["for"], keys["session"], keys["part"], commitment))
        assert commitment_of(key) == commitment, "the key is another than was committed to"
        return key
    return None


def chunk_header(stored, frames, plain, index, is_last):
    return b"CHNK" + struct.pack("<IIIQII", stored, frames, plain, index, int(is_last), 0)


def chunk_nonce(index, is_last):
    return struct.pack("<IQ", int(is_last), index)


def unzstd(data):
    return subprocess.run(["zstd", "-dcq"], input=data, stdout=subprocess.PIPE, check=True).stdout


class Archive:
    """What needs no key: header, manifest, chain."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = data = file.read()
        assert data[:8] == b"WEIRARC1" and data[-8:] == b"WEIREND1"
        self.format, (size,) = struct.unpack("<H", data[8:10])[0], struct.unpack("<I", data[-16:-12])
        self.manifest_bytes = data[-80 - size : -80]
        self.manifest = json.loads(self.manifest_bytes)
        self.header = data[: 32 if self.format == 1 else 64]
        self.chunks = []
        at, end, chain, width = len(self.header), len(data) - 80 - size, sha256(self.header), 16 if self.format == 1 else 32
        while at < end:
            head = data[at : at + width]
            (stored,) = struct.unpack("<I", head[4:8])
            body = data[at + width : at + width + stored]
            chain = sha256(chain + head + body)
            at += width + stored + 32
            assert head[:4] == b"CHNK" and data[at - 32 : at] == chain, "the chain breaks"
            self.chunks.append((head, body))
        said = self.manifest["chunks"]
        assert (at, chain.hex(), len(self.chunks)) == (end, said["head"], said["count"]), "not the chunks of the manifest"

    def frames(self, key=None):
        for number, (head, body) in enumerate(self.chunks):
            if self.format == 2:
                stored, frames, plain, index, flags, zero = struct.unpack("<IIIQII", head[4:])
                assert (stored, index, flags, zero) == (len(body), number, int(number == len(self.chunks) - 1), 0)
                if self.header[11]:
                    body = AESGCM(key).decrypt(chunk_nonce(index, flags), body, self.header + head)
                body = unzstd(body) if plain else body
                assert len(body) == plain
            at = 0
            while at < len(body):
                (size,) = struct.unpack("<I", body[at : at + 4])
                yield body[at : at + size]
                at += size


def fields(message):
    """Of a protobuf message: number -> the last value (int or bytes)."""
    at, found = 0, {}
    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
    while at < len(message):
        tag = varint()
        value = varint()
        if tag & 7 == 2:
            at += value
            value = message[at - value : at]
        found[tag >> 3] = value
    return found


def events(frames):
    """(kind, sequence, fields), the parts of large ones put together."""
    held = b""
    for frame in frames:
        held += frame[40:]
        if not frame[10] & 1:
            yield frame[9], struct.unpack("<Q", frame[24:32])[0], fields(held)
            held = b""


def read_session(state, session, key_file=None):
    """Events of a session, all parts; without a key file those of archives in clear."""
    parts = []
    for folder, _, names in os.walk(os.path.join(state, "archive")):
        parts += [(int((name.split(".") + ["1"])[1] if name.count(".") == 2 else 1), os.path.join(folder, name)) for name in names if name.split(".")[0] == str(session)]
    found = []
    for _, path in sorted(parts):
        archive, key = Archive(path), None
        said = archive.manifest.get("encryption", {"cipher": "none"})
        if said["cipher"] != "none":
            with open(path.replace("/archive/", "/keys/").removesuffix(".weir") + ".keys", "rb") as file:
                keys = file.read()
            assert sha256(keys).hex() == said["keys"], "not the keys that it was sealed with"
            assert archive.header[32:64].hex() == said["commitment"]
            key = unwrap(json.loads(keys), key_file)
            if key is None:
                raise PermissionError("it was not wrapped for this key")
            assert commitment_of(key).hex() == said["commitment"]
        found += events(archive.frames(key))
    return found


if __name__ == "__main__":
    for kind, sequence, event in read_session(sys.argv[1], int(sys.argv[2]), sys.argv[3]):
        if kind == 3:
            print(sequence, event.get(11, b"").decode(errors="replace"))
