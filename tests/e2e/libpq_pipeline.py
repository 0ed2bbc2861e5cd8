"""A libpq program in pipeline mode (ctypes, as Debian ships the library) whose second command of three is held.  Prints a line
of JSON: what came of each.  SIGINT cancels, by PQcancel()."""
import ctypes
import json
import os
import select
import signal

pq = ctypes.CDLL("libpq.so.5")
for name in ("PQconnectdb", "PQgetResult", "PQgetCancel"):
    getattr(pq, name).restype = ctypes.c_void_p
for name in ("PQgetvalue", "PQresultErrorField", "PQerrorMessage"):
    getattr(pq, name).restype = ctypes.c_char_p
POINTER = ctypes.c_void_p
TUPLES, SYNC, ABORTED = 2, 10, 11

connection = POINTER(pq.PQconnectdb(b""))
notices = []
PROCESSOR = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)
keep = PROCESSOR(lambda _, message: notices.append(message.decode("utf-8", "replace")))
pq.PQsetNoticeProcessor(connection, keep, None)
if pq.PQstatus(connection) != 0:
    raise SystemExit(pq.PQerrorMessage(connection).decode())
wake_read, wake_write = os.pipe()
os.set_blocking(wake_write, False)
signal.signal(signal.SIGINT, lambda *_: None)
signal.set_wakeup_fd(wake_write)


def send(text, *values):
    array = (ctypes.c_char_p * len(values))(*[value.encode() for value in values])
    if pq.PQsendQueryParams(connection, text.encode(), len(values), None, array, None, None, 0) != 1:
        raise SystemExit(pq.PQerrorMessage(connection).decode())


def cancel():
    handle, words = POINTER(pq.PQgetCancel(connection)), ctypes.create_string_buffer(256)
    pq.PQcancel(handle, words, 256)
    pq.PQfreeCancel(handle)


def result():
    while pq.PQisBusy(connection):
        ready, _, _ = select.select([pq.PQsocket(connection), wake_read], [], [])
        if wake_read in ready:
            os.read(wake_read, 64)
            cancel()
        elif pq.PQconsumeInput(connection) != 1:
            raise SystemExit(pq.PQerrorMessage(connection).decode())
    return pq.PQgetResult(connection)


def told():
    """What one command led to: its rows, or its error; up to the NULL behind it."""
    got = POINTER(result())
    status = pq.PQresultStatus(got)
    if status == TUPLES:
        answer = {"rows": [[pq.PQgetvalue(got, row, column).decode() for column in range(pq.PQnfields(got))] for row in range(pq.PQntuples(got))]}
    elif status == ABORTED:
        answer = {"code": "aborted"}
    else:
        answer = {"code": (pq.PQresultErrorField(got, ord("C")) or b"?").decode(), "message": (pq.PQresultErrorField(got, ord("M")) or b"?").decode()}
    pq.PQclear(got)
    while (rest := result()) is not None:
        pq.PQclear(POINTER(rest))
    return answer


pq.PQenterPipelineMode(connection)
send("select 'first'")
parameter = os.environ.get("WEIR_TEST_PARAMETER")
send(os.environ["WEIR_TEST_SQL"], *([parameter] if parameter else []))
send("select 'behind'")
pq.PQpipelineSync(connection)
seen = {name: told() for name in ("first", "held", "behind")}
if pq.PQresultStatus(POINTER(result())) != SYNC:
    raise SystemExit("no sync at the end of the pipeline")
seen["notices"] = notices
pq.PQfinish(connection)
print(json.dumps(seen))
