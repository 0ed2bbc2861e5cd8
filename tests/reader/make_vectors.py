#!/usr/bin/env python3
"""Writes what tlog.py says of some trees, notes and proofs as a C++ header, for the gateway's own tests.

    make_vectors.py FILE           writes it
    make_vectors.py --check FILE   fails if FILE is another; also checks tlog.py against what the specifications print
"""
import hashlib
import sys

import ed25519
import tlog

SECRET = hashlib.sha256(b"plainly fake: the log's").digest()
WITNESS = hashlib.sha256(b"plainly fake: the witness's").digest()
ORIGIN, WITNESS_NAME = "log.example/one", "witness.example/w1"
SIZES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 255, 256, 257, 511, 513, 700)


def entry(index):
    return b"entry %d" % index


def check_against_specifications():
    # RFC 8032 section 7.1, test 2.
    secret = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    assert ed25519.public_key(secret).hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert ed25519.sign(secret, b"\x72").hex().startswith("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da")
    # c2sp.org/signed-note, the example.
    name, algorithm, public = tlog.split_vkey("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
    note = "This is an example message.\n\n\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
    assert algorithm == 1 and tlog.is_signed(note, name, public)
    assert not tlog.is_signed(note.replace("This", "That"), name, public)
    # c2sp.org/tlog-tiles, the example of 70,000 entries.
    tiles = list(tlog.tiles_of(70_000))
    count = lambda level, full: sum(1 for l, _, w in tiles if l == level and (w == 256) == full)
    assert (count(0, True), count(1, True), count(2, True)) == (273, 1, 0)
    assert {(l, w) for l, _, w in tiles if w != 256} == {(0, 112), (1, 17), (2, 1)}
    assert tlog.tile_path(0, 1234067) == "tile/0/x001/x234/067"


def text(value):
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\u2014", "\\xe2\\x80\\x94") + '"'


def lines():
    leaves = [tlog.leaf_hash(entry(i)) for i in range(max(SIZES))]
    public = ed25519.public_key(SECRET)
    yield "// Written by tests/reader/make_vectors.py, which shares no line with what it tests.  Do not edit."
    yield "#pragma once"
    yield "#include <cstdint>"
    yield "#include <vector>"
    yield ""
    yield "namespace weir::record::vectors {"
    yield ""
    yield "// Entry i is \"entry <i>\"."
    yield "struct Root { uint64_t size; const char* root; };"
    yield "inline const std::vector<Root> kRoots = {"
    for size in SIZES:
        yield f'    {{{size}, "{tlog.root_of(leaves[:size]).hex()}"}},'
    yield "};"
    yield ""
    yield "// A proof's hashes as one digest: SHA-256 over them in a row."
    yield "struct Proof { uint64_t number, size; uint64_t hashes; const char* digest; };"
    for name, make in (("kInclusion", tlog.inclusion_proof), ("kConsistency", tlog.consistency_proof)):
        yield f"inline const std::vector<Proof> {name} = {{"
        for size in (1, 2, 3, 7, 8, 17, 33, 256, 257, 700):
            top = size if name == "kInclusion" else size + 1
            for number in sorted({n for n in (0, 1, 2, 3, 5, 6, 8, 15, 16, 32, 128, 255, 256, 511, 512, size - 1, size) if n < top}):
                proof = make(number, leaves[:size])
                yield f'    {{{number}, {size}, {len(proof)}, "{hashlib.sha256(b"".join(proof)).hexdigest()}"}},'
        yield "};"
    yield ""
    yield "// Of the tree of 700: each tile's digest."
    yield "struct Tile { const char* path; const char* digest; };"
    yield "inline const std::vector<Tile> kTiles = {"
    for level, index, width in tlog.tiles_of(700):
        yield f'    {{"{tlog.tile_path(level, index, width)}", "{hashlib.sha256(tlog.tile_bytes(level, index, width, leaves[:700])).hexdigest()}"}},'
    for index in range(3):
        bundle = [entry(i) for i in range(index * 256, min(700, index * 256 + 256))]
        yield f'    {{"{tlog.tile_path("entries", index, len(bundle))}", "{hashlib.sha256(tlog.bundle_bytes(bundle)).hexdigest()}"}},'
    yield "};"
    yield ""
    body = tlog.checkpoint_text(ORIGIN, 257, tlog.root_of(leaves[:257]))
    note = tlog.sign_note(body, ORIGIN, SECRET) + tlog.cosign(body, WITNESS_NAME, WITNESS, 1_800_000_000)
    yield f"inline constexpr const char* kLogSecret = \"{SECRET.hex()}\";  // Plainly fake."
    yield f"inline constexpr const char* kLogKey = {text(tlog.vkey(ORIGIN, 1, public))};"
    yield f"inline constexpr const char* kWitnessKey = {text(tlog.vkey(WITNESS_NAME, 4, ed25519.public_key(WITNESS)))};"
    yield f"inline constexpr const char* kCheckpoint = {text(note)};"
    yield f"inline constexpr const char* kProof = {text(tlog.proof_text(100, tlog.inclusion_proof(100, leaves[:257]), note, entry(100)))};"
    yield ""
    yield "}  // namespace weir::record::vectors"


def main():
    is_check = sys.argv[1] == "--check"
    path = sys.argv[-1]
    check_against_specifications()
    wanted = "\n".join(lines()) + "\n"
    if is_check:
        with open(path, encoding="utf-8") as file:
            sys.exit(0 if file.read() == wanted else f"{path} is not what this program writes")
    with open(path, "w", encoding="utf-8") as file:
        file.write(wanted)


if __name__ == "__main__":
    main()
