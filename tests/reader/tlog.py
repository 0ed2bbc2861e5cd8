"""Transparency logs from their specifications (RFC 6962, C2SP tlog-tiles, signed-note, tlog-cosignature, tlog-proof), in Python alone.

The second reader of the evidence log: written from the documents, sharing nothing with the gateway, so that what both say alike is right
for a reason.  Everything is computed from the definitions, by recursion over all leaves; nothing here is quick.
"""
import base64
import hashlib
import os
import struct

import ed25519

TILE_WIDTH = 256
DASH = "\u2014 "


class Wrong(Exception):
    """What was read is not what it should be; says why."""


def demand(fact, why):
    if not fact:
        raise Wrong(why)


# RFC 6962 section 2.1: hashes and proofs over lists of entries, as they are defined.
def leaf_hash(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def _split(size):
    k = 1
    while 2 * k < size:
        k *= 2
    return k


def root_of(leaves):
    """MTH over leaf hashes."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = _split(len(leaves))
    return node_hash(root_of(leaves[:k]), root_of(leaves[k:]))


def inclusion_proof(index, leaves):
    """PATH(m, D[n]), section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = _split(len(leaves))
    if index < k:
        return inclusion_proof(index, leaves[:k]) + [root_of(leaves[k:])]
    return inclusion_proof(index - k, leaves[k:]) + [root_of(leaves[:k])]


def consistency_proof(old_size, leaves):
    """PROOF(m, D[n]), section 2.1.2; empty for an old tree without leaves."""
    return [] if old_size == 0 else _subproof(old_size, leaves, True)


def _subproof(m, leaves, is_old):
    n = len(leaves)
    if m == n:
        return [] if is_old else [root_of(leaves)]
    k = _split(n)
    if m <= k:
        return _subproof(m, leaves[:k], is_old) + [root_of(leaves[k:])]
    return _subproof(m - k, leaves[k:], False) + [root_of(leaves[:k])]


def root_of_inclusion(leaf, index, size, proof):
    """The root that an inclusion proof leads to: the definition read backwards."""
    demand(0 <= index < size, "the index is not in the tree")
    if size == 1:
        demand(not proof, "the proof is too long")
        return leaf
    demand(proof, "the proof is too short")
    k = _split(size)
    if index < k:
        return node_hash(root_of_inclusion(leaf, index, k, proof[:-1]), proof[-1])
    return node_hash(proof[-1], root_of_inclusion(leaf, index - k, size - k, proof[:-1]))


def roots_of_consistency(old_size, size, proof, old_root):
    """(old root, new root) that a consistency proof leads to.  Pre: 0 < old_size <= size."""
    old, new, left = _roots(old_size, size, list(proof), True, old_root)
    demand(not left, "the proof is too long")
    return old, new


def _roots(m, n, proof, is_old, old_root):
    if m == n:
        if is_old:
            return old_root, old_root, proof
        demand(proof, "the proof is too short")
        return proof[0], proof[0], proof[1:]
    k = _split(n)
    if m <= k:
        old, new, proof = _roots(m, k, proof, is_old, old_root)
        demand(proof, "the proof is too short")
        return old, node_hash(new, proof[0]), proof[1:]
    old, new, proof = _roots(m - k, n - k, proof, False, old_root)
    demand(proof, "the proof is too short")
    return node_hash(proof[0], old), node_hash(proof[0], new), proof[1:]


def is_consistent(old_size, old_root, size, root, proof):
    if old_size > size:
        return False
    if old_size == 0:
        return not proof and old_root == root_of([])
    try:
        return roots_of_consistency(old_size, size, proof, old_root) == (old_root, root)
    except Wrong:
        return False


# C2SP tlog-tiles.
def _index_path(index):
    digits = str(index)
    digits = "0" * (-len(digits) % 3) + digits
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    return "/".join(["x" + group for group in groups[:-1]] + groups[-1:])


def tile_path(level, index, width=TILE_WIDTH):
    """`level` is a number, or "entries"."""
    return f"tile/{level}/{_index_path(index)}" + ("" if width == TILE_WIDTH else f".p/{width}")


def tiles_of(size):
    """(level, index, width) of every hash tile of a tree."""
    level, count = 0, size
    while count:
        for index in range((count + TILE_WIDTH - 1) // TILE_WIDTH):
            yield level, index, min(TILE_WIDTH, count - index * TILE_WIDTH)
        level, count = level + 1, count // TILE_WIDTH


def tile_bytes(level, index, width, leaves):
    span = TILE_WIDTH**level
    first = index * TILE_WIDTH
    return b"".join(root_of(leaves[(first + i) * span : (first + i + 1) * span]) for i in range(width))


def bundle_bytes(entries):
    return b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)


def split_bundle(data):
    entries = []
    while data:
        demand(len(data) >= 2, "a bundle ends within a size")
        (size,) = struct.unpack(">H", data[:2])
        demand(len(data) >= 2 + size, "a bundle ends within an entry")
        entries.append(data[2 : 2 + size])
        data = data[2 + size :]
    return entries


# C2SP signed-note, tlog-checkpoint, tlog-cosignature.
def strict_base64(text):
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Wrong("no base 64") from error
    demand(base64.b64encode(data).decode() == text, "no canonical base 64")
    return data


def key_id(name, algorithm, public):
    return hashlib.sha256(name.encode() + b"\n" + bytes([algorithm]) + public).digest()[:4]


def vkey(name, algorithm, public):
    return f"{name}+{key_id(name, algorithm, public).hex()}+{base64.b64encode(bytes([algorithm]) + public).decode()}"


def split_vkey(text):
    name, identity, key = text.split("+", 2)
    key = strict_base64(key)
    demand(key_id(name, key[0], key[1:]).hex() == identity, "the key's id is not its own")
    return name, key[0], key[1:]


def signature_line(name, algorithm, public, signature):
    return DASH + name + " " + base64.b64encode(key_id(name, algorithm, public) + signature).decode() + "\n"


def split_note(note):
    """(text, [(name, key id, signature)])."""
    text, gap, lines = note.rpartition("\n\n")
    demand(gap and lines.endswith("\n"), "no signed note")
    signatures = []
    for line in lines[:-1].split("\n"):
        demand(line.startswith(DASH), "a signature line begins otherwise")
        name, _, data = line[len(DASH) :].partition(" ")
        data = strict_base64(data)
        demand(name and len(data) > 4, "a signature line is cut short")
        signatures.append((name, data[:4], data[4:]))
    return text + "\n", signatures


def sign_note(text, name, secret):
    public = ed25519.public_key(secret)
    return text + "\n" + signature_line(name, 1, public, ed25519.sign(secret, text.encode()))


def is_signed(note, name, public):
    """By a log's Ed25519 key (type 1)."""
    text, signatures = split_note(note)
    ours = [s for n, i, s in signatures if n == name and i == key_id(name, 1, public)]
    return bool(ours) and all(ed25519.verify(public, text.encode(), s) for s in ours)


def _cosigned(at, text):
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def cosign(text, name, secret, at):
    """A witness's signature line (type 4)."""
    return signature_line(name, 4, ed25519.public_key(secret), struct.pack(">Q", at) + ed25519.sign(secret, _cosigned(at, text)))


def cosignature_time(note, name, public):
    """The time that a witness stated, or None."""
    text, signatures = split_note(note)
    for n, i, s in signatures:
        if n == name and i == key_id(name, 4, public) and len(s) == 72:
            (at,) = struct.unpack(">Q", s[:8])
            return at if ed25519.verify(public, _cosigned(at, text), s[8:]) else None
    return None


def checkpoint_text(origin, size, root):
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"


def split_checkpoint(text):
    """(origin, size, root)."""
    lines = text.split("\n")
    demand(len(lines) >= 4 and lines[-1] == "" and all(lines[:-1]), "no checkpoint")
    demand(lines[1].isascii() and lines[1].isdigit() and lines[1] == str(int(lines[1])), "the size is no plain number")
    root = strict_base64(lines[2])
    demand(len(root) == 32, "the root is no digest")
    return lines[0], int(lines[1]), root


# C2SP tlog-proof.
def proof_text(index, hashes, checkpoint, extra=None):
    lines = ["c2sp.org/tlog-proof@v1"] + ([] if extra is None else ["extra " + base64.b64encode(extra).decode()])
    return "\n".join(lines + [f"index {index}"] + [base64.b64encode(h).decode() for h in hashes]) + "\n\n" + checkpoint


def check_proof(text, public, entry=None):
    """The entry that the proof proves (`entry`, else what its extra line holds)."""
    head, gap, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    demand(gap and lines.pop(0) == "c2sp.org/tlog-proof@v1", "no proof")
    if lines and lines[0].startswith("extra "):
        extra = strict_base64(lines.pop(0)[6:])
        entry = extra if entry is None else entry
    demand(lines and lines[0].startswith("index ") and entry is not None, "no proof")
    index = int(lines.pop(0)[6:])
    origin, size, root = split_checkpoint(split_note(checkpoint)[0])
    demand(is_signed(checkpoint, origin, public), "the checkpoint is not signed with this key")
    demand(root_of_inclusion(leaf_hash(entry), index, size, [strict_base64(l) for l in lines]) == root, "the entry is not in the tree")
    return entry


def read_log(folder, public):
    """All entries of a log on disk, each byte of what its checkpoint covers checked: (checkpoint note, entries)."""
    def read(*names):
        try:
            with open(os.path.join(folder, *names), "rb") as file:
                return file.read()
        except FileNotFoundError as error:
            raise Wrong(f"{names[-1]} is not there") from error

    note = read("checkpoint").decode()
    origin, size, root = split_checkpoint(split_note(note)[0])
    demand(is_signed(note, origin, public), "the checkpoint is not signed with this key")
    entries = []
    for index in range((size + TILE_WIDTH - 1) // TILE_WIDTH):
        width = min(TILE_WIDTH, size - index * TILE_WIDTH)
        bundle = split_bundle(read(tile_path("entries", index, width)))
        demand(len(bundle) == width, "a bundle has another number of entries")
        entries += bundle
    leaves = [leaf_hash(entry) for entry in entries]
    demand(root_of(leaves) == root, "the entries do not have the checkpoint's root")
    for level, index, width in tiles_of(size):
        demand(read(tile_path(level, index, width)) == tile_bytes(level, index, width, leaves), f"tile {level} {index} is another")
    return note, entries
