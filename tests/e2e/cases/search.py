"""Sessions are found by whose they were and by what was done in them: live, just sealed, and out of the index."""
import os

from harness import case, expect, expect_equal, expect_in
from weirlab import wait_until


def _found(context, *filters):
    return {row["id"] for row in context.lab.weir_json("sessions", *filters)}


def _is_usable(context):
    done = context.lab.weir("index", "--json")
    # Sealed too: a session that has ended is shown out of the journal until it is.
    is_sealed = all(row["sealed_parts"] for row in context.sessions())
    return is_sealed and done.returncode == 0 and context.lab.weir_json("status")["record"]["index"]["behind"] == 0


def _wait_index(context):
    wait_until("the index is up", lambda: _is_usable(context), 20, 0.2)


@case("each filter of weir sessions finds the psql session that fits, and not the one that does not; all that is given must hold")
def filters(context):
    before = context.session_ids()
    context.rows("select name from people where name = 'Quokka' limit 1 /* zanzibar */", app="search-one")
    one = context.sealed_since(before)[0]["id"]
    context.rows("insert into order_lines (order_id, sku, quantity, price) values (1, 'SKU-0001', 1, 1)", app="search-two")
    two = next(row["id"] for row in context.sealed_since(before, 2) if row["id"] != one)
    who = next(row["subject"] for row in context.sessions() if row["id"] == one)
    target = next(row["target"] for row in context.sessions() if row["id"] == one)
    for filters, wanted in ((("--who", who, "--target", target), {one, two}), (("--who", "user:nobody"), set()), (("--object", "people"), {one}), (("--object", "public.order_lines"), {two}),
                            (("--verb", "write"), {two}), (("--verb", "query"), {one, two}), (("--request", "search-two"), {two}), (("--verdict", "block"), set()),
                            (("--object", "people", "--verb", "write"), set()), (("--text", "insert SKU"), {two}), (("--text", "insert zanzibarr"), set())):
        expect_equal(_found(context, *filters) & {one, two}, wanted, f"weir sessions {' '.join(filters)}")
    newest = [row["id"] for row in context.lab.weir_json("sessions", "--limit", "2")]
    expect_equal(newest, sorted(newest, reverse=True), "the highest first")
    expect_equal(context.lab.weir_json("sessions", "--limit", "1", "--before", str(newest[0]))[0]["id"], newest[1], "the next page")


@case("what was refused is found by its rule and verdict, and a session is found while it lives")
def live(context):
    before = context.session_ids()
    context.refused("drop table people")
    refused = context.sealed_since(before)[0]
    rule = next(event["rule"] for event in context.replay(refused) if event["verdict"] == "block")
    expect_in(refused["id"], _found(context, "--rule", rule, "--verdict", "block", "--object", "people", "--since", "1h"), "by rule, verdict, object and time")
    wire = context.wire()
    try:
        wire.query("select count(*) from order_lines where sku = 'SKU-0042'")
        there = lambda: {row["id"] for row in context.lab.weir_json("sessions", "--object", "order_lines", "--live")} - before
        expect(wait_until("the live session is found", there, 10, 0.2), "live, by its object")
    finally:
        wire.socket.close()


@case("nothing of who did what stands in the index on disk, and without the key the words are not found by it; the list needs no key")
def unreadable(context):
    before = context.session_ids()
    context.rows("select name as xyzzyword from people where name = 'Quokka' limit 1", app="search-secret")
    one = context.sealed_since(before)[0]
    _wait_index(context)
    state = context.env["WEIR_STATE"]
    folder = os.path.join(state, "index")
    data = b""
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as file:
            data += file.read().lower()
    for said in ("xyzzyword", "quokka", "people", "search-secret", one["subject"], one["target"]):
        expect(said.lower().encode() not in data, f"{said} stands in {folder}")
    expect_in(one["id"], _found(context, "--text", "xyzzyword"), "with the key")
    expect_in(one["id"], {row["id"] for row in context.lab.weir_json("sessions", "--state", state)}, "the list")
    done = context.lab.weir("sessions", "--json", "--state", state, "--text", "xyzzyword")
    expect_equal((done.returncode, "".join(done.stdout.split())), (0, "[]"), done.stderr)
    expect_in("could not be looked into", done.stderr, "what it says of sessions without their key")
    done = context.lab.weir("index", "--rebuild", "--state", state)
    expect(done.returncode != 0, "made again without the key it would find less")
    expect_in("--key-file", done.stderr, "what it says to do")


@case("the engine puts sealed sessions into its index; taken away or damaged it is made again, and the lists stay the same")
def index(context):
    before = context.session_ids()
    context.rows("select count(*) from people")
    context.sealed_since(before)
    _wait_index(context)
    by_index = context.sessions()
    path = os.path.join(context.env["WEIR_STATE"], "index", "sessions.db")
    for tail in ("", "-wal", "-shm"):
        if os.path.exists(path + tail):
            os.unlink(path + tail)
    expect_equal(context.sessions(), by_index, "without an index")
    wait_until("it was made again", lambda: os.path.exists(path) and _is_usable(context), 20, 0.2)
    expect_equal(context.sessions(), by_index, "made again")
    done = context.lab.weir("index", "--rebuild")
    expect_equal(done.returncode, 0, done.stderr)
    expect_equal(context.sessions(), by_index, "made again by hand")
