"""Who signs the evidence log beside the gateway: what the holder of the log's own key does is found by a witness, by a time stamp, by an earlier checkpoint."""
import base64
import contextlib
import json
import os
import shutil

import cosigners
from cases.evidence_log import _verify
from cases.records import _some_sessions
from evidence import leaves_of, public_key, tlog
from harness import case, expect, expect_equal, expect_in
from weirlab import wait_until


def _config(context, folder):
    """The lab's configuration with a witness and an authority; their keys are put into `folder`."""
    key = os.path.join(folder, "witness.pub")
    with open(key, "w", encoding="ascii") as file:
        file.write(cosigners.vkey() + "\n")

    def edit(text):
        more = (f', checkpoint_every: 1s, witnesses: [{{url: "http://{cosigners.ADDRESS}:{cosigners.WITNESS_PORT}", key_file: {key}}}]'
                f', timestamps: {{url: "http://{cosigners.ADDRESS}:{cosigners.TSA_PORT}/", ca_file: {folder}/tsa/ca.crt, every: 1s}}}}')
        lines = text.splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith("  log: {origin:"))
        lines[at] = lines[at].rstrip("}") + more
        return "\n".join(lines) + "\n"
    return lambda lab: lab.config_variant("countersigned", edit)


def _log(context):
    return os.path.join(context.env["WEIR_STATE"], "log")


def _log_vkey(context):
    with open(os.path.join(_log(context), "checkpoint"), encoding="utf-8") as file:
        origin = file.readline().rstrip("\n")
    return tlog.vkey(origin, 1, public_key(context.env["WEIR_PUBKEY"]))


def _folder(context):
    folder = os.path.join(context.folder, "cosigners")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    os.chmod(folder, 0o755)
    return folder


def _states(context):
    return {each["by"]: each for each in context.lab.weir_json("status")["countersigned"]}


def _size(context):
    with open(os.path.join(_log(context), "checkpoint"), encoding="utf-8") as file:
        return int(file.read().split("\n")[1])


def _signed(context, what):
    """Waits until what stands in the log now is under that signature."""
    wanted = _size(context)
    wait_until(f"{what} has signed {wanted} entries", lambda: _states(context)[what]["entries"] >= wanted, 30, 0.2)
    return wanted


@contextlib.contextmanager
def _countersigned(context):
    folder = _folder(context)
    vkey = _log_vkey(context)
    with cosigners.tsa(context, os.path.join(folder, "tsa")), cosigners.witness(context, os.path.join(folder, "witness.json"), vkey):
        context.use(_config(context, folder))
        yield folder, ["--witness", os.path.join(folder, "witness.pub"), "--tsa-ca", os.path.join(folder, "tsa", "ca.crt")]


def _drop_countersigned(context):
    """The lab's other cases have no witness: what is kept of this one's goes, as a log that never had one."""
    context.stop()
    for name in ("witnessed", "timestamps"):
        shutil.rmtree(os.path.join(_log(context), name), ignore_errors=True)


def _seed(path):
    """Of an Ed25519 key in PEM form (RFC 8410): the last 32 bytes of its DER."""
    with open(path, encoding="ascii") as file:
        return base64.b64decode("".join(line for line in file.read().splitlines() if not line.startswith("-")))[-32:]


def _rewrite(log, leaves, origin, seed):
    """The log made anew of these entries with the operator's own key: sound in itself."""
    shutil.rmtree(os.path.join(log, "tile"))
    hashes = [tlog.leaf_hash(entry) for entry in leaves]

    def put(path, data):
        path = os.path.join(log, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
    for level, index, width in tlog.tiles_of(len(leaves)):
        put(tlog.tile_path(level, index, width), tlog.tile_bytes(level, index, width, hashes))
        if level == 0:
            put(tlog.tile_path("entries", index, width), tlog.bundle_bytes(leaves[index * 256 : index * 256 + width]))
    put("checkpoint", tlog.sign_note(tlog.checkpoint_text(origin, len(leaves), tlog.root_of(hashes)), origin, seed).encode())


def _codes(report):
    return [finding["code"] for finding in report["findings"]]


@case("the log's checkpoints are cosigned and stamped, verify says so, and what its own key rewrote, forked or put back is found by each of the three", config=None, seconds=150, spoils=True)
def rewritten(context):
    context.use("")
    try:
        with _countersigned(context) as (folder, given):
            _some_sessions(context, 1)
            early = _signed(context, cosigners.NAME)
            _signed(context, "timestamps")
            context.stop()
            state = context.env["WEIR_STATE"]
            early_copy = os.path.join(folder, "early")
            shutil.copytree(state, early_copy, ignore=lambda _, names: [n for n in names if n.endswith(".sock")])
            code, report = _verify(context, early_copy, *given)
            expect_equal((code, report["protections"]["witness"], report["protections"]["time_stamp"]), (0, True, True), f"as it is: {report['findings']}")
            expect(report["witnesses"][0]["entries"] >= early and report["time_stamps"]["entries"] >= early, f"how far they vouch: {report}")
            context.use(_config(context, folder))
            session = _some_sessions(context, 1)[0]["id"]
            _signed(context, cosigners.NAME)
            _signed(context, "timestamps")
            proof = os.path.join(context.folder, "cosigned.tlog-proof")
            with open(proof, "w", encoding="utf-8") as file:
                file.write(context.lab.weir("prove", str(session), check=True).stdout)
            code, said = _verify(context, "--proof", proof, *given[:2])
            expect_equal((code, said["witnesses"][0]["name"]), (0, cosigners.NAME), "the proof carries the cosignature")
            context.stop()
            kept = os.path.join(folder, "checkpoint.kept")
            shutil.copy(os.path.join(_log(context), "checkpoint"), kept)
            copy = os.path.join(folder, "copy")

            def spoil(change):
                shutil.rmtree(copy, ignore_errors=True)
                shutil.copytree(state, copy, ignore=lambda _, names: [n for n in names if n.endswith(".sock")])
                change(copy)

            def forge(change):
                def run(copy):
                    log = os.path.join(copy, "log")
                    note, entries = tlog.read_log(log, public_key(os.path.join(log, "signing.pub")))
                    change(entries)
                    _rewrite(log, entries, note.split("\n")[0], _seed(os.path.join(context.lab.folder, "keys", "log.key")))
                return run

            def other_start(first):
                def change(entries):
                    at = next(i for i, entry in enumerate(entries) if i >= first and json.loads(entry)["kind"] == "start")
                    entries[at] = json.dumps({**json.loads(entries[at]), "note": "another"}, sort_keys=True, separators=(",", ":")).encode()
                return change

            def put_back(copy):
                for name in ("archive", "journal"):
                    shutil.rmtree(os.path.join(copy, name))
                    shutil.copytree(os.path.join(early_copy, name), os.path.join(copy, name))
                for name in ("tile", "checkpoint"):
                    path, source = os.path.join(copy, "log", name), os.path.join(early_copy, "log", name)
                    shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
                    shutil.copytree(source, path) if os.path.isdir(source) else shutil.copy(source, path)
            for name, change, ending, kept_code in (("rewritten", forge(other_start(0)), "differs", "head-differs"), ("forked", forge(other_start(early)), "differs", "head-differs"), ("put back", put_back, "removed", "seals-removed")):
                spoil(change)
                code, report = _verify(context, copy, *given[:2])
                expect_equal(code, 1, f"{name}, with the witness: {_codes(report)}")
                expect_in("cosigned-" + ending, _codes(report), f"{name}, by the witness")
                shutil.rmtree(os.path.join(copy, "log", "witnessed"))
                code, report = _verify(context, copy, *given[2:])
                expect_in("stamped-" + ending, _codes(report), f"{name}, by the time stamp")
                shutil.rmtree(os.path.join(copy, "log", "timestamps"))
                code, report = _verify(context, copy)
                expect(not set(_codes(report)) & {"head-differs", "seals-removed", "list-changed", "tile-changed"}, f"{name}: sound in itself: {_codes(report)}")
                code, report = _verify(context, copy, *given[:2])
                expect_in("cosignature-missing", _codes(report), f"{name}, its cosignatures taken away")
                code, report = _verify(context, copy, "--head", kept)
                expect_equal(code, 1, f"{name}, with an earlier checkpoint")
                expect_in(kept_code, _codes(report), f"{name}, by an earlier checkpoint")
    finally:
        _drop_countersigned(context)


@case("a witness that is away or signs something else is told in the status, and the gateway goes on", config=None, seconds=120, spoils=True)
def away_and_wrong(context):
    context.use("")
    folder = _folder(context)
    vkey = _log_vkey(context)
    state = os.path.join(folder, "witness.json")
    try:
        with cosigners.tsa(context, os.path.join(folder, "tsa")):
            context.use(_config(context, folder))
            wait_until("it is away", lambda: _states(context)[cosigners.NAME]["state"] == "away", 30, 0.2)
            _some_sessions(context, 1)
            expect(_states(context)[cosigners.NAME]["failed"], "why it is away")
            with cosigners.witness(context, state, vkey, secret=bytes(32)):
                wait_until("it is wrong", lambda: _states(context)[cosigners.NAME]["state"] == "wrong", 40, 0.2)
                findings = json.loads(context.lab.weir("doctor", "--json").stdout)["findings"]
                expect([f for f in findings if f["check"] == "evidence log" and f["level"] == "fail" and cosigners.NAME in f["found"]], f"weir doctor: {findings}")
                wait_until("it stands in the log", lambda: any(leaf["kind"] == "countersign" and leaf["state"] == "wrong" for leaf in leaves_of(_log(context))), 20, 0.3)
            _some_sessions(context, 1)
            expect_equal(os.listdir(os.path.join(_log(context), "witnessed")) if os.path.isdir(os.path.join(_log(context), "witnessed")) else [], [], "what did not hold was not kept")
            with open(state, "w", encoding="ascii") as file:
                json.dump({"size": 10**6, "root": "00" * 32}, file)
            with cosigners.witness(context, state, vkey):
                wait_until("it contradicts", lambda: _states(context)[cosigners.NAME]["state"] == "contradicts", 80, 0.2)
            _some_sessions(context, 1)
    finally:
        _drop_countersigned(context)
