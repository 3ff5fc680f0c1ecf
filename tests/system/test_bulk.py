"""Bulk jobs: upload of a form with a CSV file, list, single job, results, limits, errors, and jobs run to their end."""

import concurrent.futures
import csv
import io
import socket
import threading
import time
import urllib.parse

import pytest

from client import eventually, new_id, unique
from conftest import contacthubctl
from contract import check_date_time, check_error, check_ok, check_page, check_status

MEMBERS = {"id", "filename", "operation", "workspaceId", "nodeId", "entity", "eventType", "bulkJobName", "status", "errorMessage",
           "createdAt", "updatedAt", "processedEntities", "failedEntities", "totalEntities"}
STATUSES = {"LOADED", "SCHEDULED", "PROCESSING", "STOPPED", "PROCESSED", "FAILED"}
GIB = 1 << 30
JOB_SECONDS = 60
UPLOADS_AT_ONCE = 32
# The longest silence of a request body, and some time to notice it.
SILENCE_S, NOTICED_S = 15, 10


def form(fields, boundary=b"xYzBoundary"):
    """Body of a form: (name, value) or (name, file name, contents) in the order given."""
    parts = []
    for name, *rest in fields:
        head = f'form-data; name="{name}"' + (f'; filename="{rest[0]}"' if len(rest) == 2 else "")
        value = rest[-1] if isinstance(rest[-1], bytes) else rest[-1].encode()
        parts.append(b"--" + boundary + b"\r\nContent-Disposition: " + head.encode() + b"\r\n\r\n" + value + b"\r\n")
    return b"".join(parts) + b"--" + boundary + b"--\r\n"


def kind(boundary="xYzBoundary"):
    return {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def head_of(client, node, length):
    return (f"POST {client.path(f'nodes/{node}/bulk-jobs')} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.token}\r\n"
            f"Content-Type: {kind()['Content-Type']}\r\nContent-Length: {length}\r\n\r\n").encode()


def csv_of(*rows):
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return out.getvalue()


def upload(client, node, text="externalId,base.firstName\r\n1,A\r\n", operation="UPSERT", headers=None, **fields):
    name = fields.pop("filename", "people.csv")
    rows = [("operation", operation), *fields.items(), ("file", name, text)]
    return client.post(f"nodes/{node}/bulk-jobs", raw=form(rows), headers={**kind(), **(headers or {})})


def check_job(job, node, **facts):
    assert set(job) == MEMBERS, f"a job has these members: {sorted(MEMBERS)}: {job}"
    assert job["nodeId"] == node and job["status"] in STATUSES, f"the job's node and status: {job}"
    check_date_time(job["createdAt"])
    check_date_time(job["updatedAt"])
    assert all(type(job[name]) is int and job[name] >= 0 for name in ("processedEntities", "failedEntities", "totalEntities"))
    for name, value in facts.items():
        assert job[name] == value, f"{name} must be {value!r}: {job}"
    return job


def created(answer, node, **facts):
    return check_job(check_ok(answer, 201), node, **facts)


def ended(client, node, job):
    """The job when it has ended."""
    last = {}

    def over():
        last["job"] = check_ok(client.get(f"nodes/{node}/bulk-jobs/{job}"))
        assert last["job"]["status"] in ("PROCESSED", "FAILED", "STOPPED"), f"a job ends within {JOB_SECONDS} s: {last['job']}"
    eventually(over, timeout=JOB_SECONDS, pause=0.1)
    return last["job"]


def results(client, node, job):
    answer = check_status(client.get(f"nodes/{node}/bulk-jobs/{job}/results"), 200)
    assert answer.headers["content-type"].startswith("text/csv"), f"results are text/csv: {answer!r}"
    rows = list(csv.reader(io.StringIO(answer.text, newline="")))
    assert rows[0] == ["row", "status", "id", "error"], f"the header of results: {rows[0]}"
    return rows[1:]


def run(client, node, text, operation="UPSERT", **fields):
    job = created(upload(client, node, text, operation, **fields), node)
    return ended(client, node, job["id"]), results(client, node, job["id"])


@pytest.fixture
def fresh(space):
    """A node of its own and a source on it: at most ten jobs wait at a node."""
    node = space.node()
    return node, space.trusted(node)


# --- upload ------------------------------------------------------------------------------------------------------------


def test_a_job_is_made_and_read_again(fresh):
    node, client = fresh
    job = created(upload(client, node, bulkJobName="spring", filename="a%22b.csv"), node, filename='a"b.csv', operation="UPSERT",
                  entity="CUSTOMER", eventType=None, bulkJobName="spring", errorMessage=None, workspaceId=client.workspace)
    again = check_job(check_ok(client.get(f"nodes/{node}/bulk-jobs/{job['id']}")), node)
    assert (again["id"], again["createdAt"], again["bulkJobName"]) == (job["id"], job["createdAt"], "spring")


@pytest.mark.parametrize("order", ["file first", "file last", "file in the middle"])
def test_fields_may_come_in_any_order(fresh, order):
    node, client = fresh
    fields, file = [("operation", "INSERT"), ("entity", "CUSTOMER"), ("ignored", "x")], ("file", "f.csv", "externalId\r\n1\r\n")
    fields.insert({"file first": 0, "file last": 3}.get(order, 1), file)
    created(client.post(f"nodes/{node}/bulk-jobs", raw=form(fields), headers=kind()), node, operation="INSERT")


def test_a_form_in_chunks_of_any_size(fresh):
    node, client = fresh
    body = form([("operation", "UPSERT"), ("file", "f.csv", "externalId\r\n" + "1\r\n" * 300)])
    for size in (1, 7, 1000):
        pieces = (body[at:at + size] for at in range(0, len(body), size))
        created(client.post(f"nodes/{node}/bulk-jobs", raw=pieces, headers=kind()), node)


def test_a_job_tells_its_rows_before_it_has_read_them(fresh):
    node, client = fresh
    text = "\ufeffexternalId,base.firstName\r\n\r\n" + "".join(f'{n},"a\n""{n}"""\n' for n in range(300)) + "\nlast,b"
    job = created(upload(client, node, text), node, totalEntities=301)
    assert job["processedEntities"] < 301, f"it has only begun: {job}"
    assert ended(client, node, job["id"])["totalEntities"] == 301, "as many as there are"


def test_a_keyed_upload_is_one_job(fresh):
    node, client = fresh
    headers = {"Idempotency-Key": unique("bulk")}
    first = created(upload(client, node, headers=headers), node)
    assert created(upload(client, node, headers=headers), node)["id"] == first["id"]
    check_error(upload(client, node, "externalId\r\n2\r\n", headers=headers), 409)
    check_error(upload(client, node, headers=headers, bulkJobName="other"), 409)
    check_page(client.get(f"nodes/{node}/bulk-jobs"), total=1)


FILE = ("file", "f.csv", "externalId\r\n1\r\n")


@pytest.mark.parametrize("fields, pointers", [
    ([FILE], ["/operation"]),
    ([("operation", "UPSERT")], ["/file"]),
    ([], ["/file", "/operation"]),
    ([("operation", ""), FILE], ["/operation"]),
    ([("operation", "upsert"), FILE], ["/operation"]),
    ([("operation", "UPSERT"), ("entity", "PRODUCT"), FILE], ["/entity"]),
    ([("operation", "UPSERT"), ("entity", "EVENT"), ("eventType", "noSuchType"), FILE], ["/eventType"]),
    ([("operation", "UPSERT"), ("operation", "UPSERT"), FILE], ["/operation"]),
    ([("operation", "UPSERT"), FILE, FILE], ["/file"]),
    ([("operation", "UPSERT"), ("file", "f.csv", "")], ["/file"]),
    ([("operation", "UPSERT"), ("bulkJobName", "x" * 256), FILE], ["/bulkJobName"]),
    ([("operation", "UPSERT"), ("bulkJobName", b"\xff"), FILE], ["/bulkJobName"]),
    ([("operation", "U" * 5000), FILE], ["/operation"]),
], ids=lambda value: "+".join(field[0] for field in value) or "nothing" if value and isinstance(value[0], tuple) else "")
def test_a_wrong_form_is_400(fresh, fields, pointers):
    node, client = fresh
    answer = client.post(f"nodes/{node}/bulk-jobs", raw=form(fields), headers=kind())
    for pointer in pointers:
        check_error(answer, 400, pointer=pointer)
    check_page(client.get(f"nodes/{node}/bulk-jobs"), total=0)


@pytest.mark.parametrize("body", [
    b"", b"words", form([("operation", "UPSERT"), FILE])[:-6], form([("operation", "UPSERT"), FILE]).replace(b"Disposition", b"Other"),
    form([("operation", "UPSERT"), FILE], b"another"), b"--xYzBoundary\r\n" + b"x" * 9000,
], ids=["empty", "no form", "cut", "no names", "another boundary", "endless header"])
def test_a_body_that_is_no_form_is_400(fresh, body):
    node, client = fresh
    check_error(client.post(f"nodes/{node}/bulk-jobs", raw=body, headers=kind()), 400)
    check_page(client.get(f"nodes/{node}/bulk-jobs"), total=0)


@pytest.mark.parametrize("content_type", ["application/json", "text/csv", "multipart/form-data", "multipart/mixed; boundary=x",
                                          "multipart/form-data; boundary=" + "x" * 71])
def test_another_content_type_is_415(fresh, content_type):
    node, client = fresh
    check_error(client.post(f"nodes/{node}/bulk-jobs", raw=form([FILE]), headers={"Content-Type": content_type}), 415)


def test_nodes_that_are_not_there_or_not_the_callers(fresh, space):
    node, client = fresh
    check_error(upload(client, "absent"), 404, "node not found absent")
    check_error(upload(client, new_id()), 404)
    other = space.node()
    check_error(upload(client, other), 403)
    for path in ("", f"/{new_id()}", f"/{new_id()}/results"):
        check_error(client.get(f"nodes/{other}/bulk-jobs{path}"), 403)
        check_error(client.get(f"nodes/{new_id()}/bulk-jobs{path}"), 404)
    check_page(client.get(f"nodes/{node}/bulk-jobs"), total=0)


def test_more_than_a_gibibyte_is_413_before_it_is_sent(fresh):
    node, client = fresh
    assert client.bytes(head_of(client, node, 2 * GIB), 10).startswith(b"HTTP/1.1 413")


def test_a_refusal_in_the_middle_of_a_long_body(fresh):
    """The answer comes, although most of the body has not been sent."""
    node, client = fresh
    host = urllib.parse.urlsplit(client.url)
    body = form([("operation", "UPSERT"), ("operation", "UPSERT"), FILE])
    with socket.create_connection((host.hostname, host.port), 10) as line:
        line.sendall(head_of(client, node, GIB) + body)
        try:
            for _ in range(64):
                line.sendall(bytes(65536))
        except OSError:
            pass
        line.settimeout(10)
        assert line.recv(65536).startswith(b"HTTP/1.1 400")


def test_an_upload_that_breaks_off_leaves_nothing(fresh):
    node, client = fresh
    body = form([("operation", "UPSERT"), ("file", "f.csv", "x" * 3_000_000)])
    client.bytes(head_of(client, node, len(body)) + body[:2_000_000], 0.2)
    check_page(client.get(f"nodes/{node}/bulk-jobs"), total=0)
    created(upload(client, node), node)


def test_uploads_that_break_off_make_room_for_others(fresh):
    """The end of a line may come together with its last bytes."""
    node, client = fresh
    host = urllib.parse.urlsplit(client.url)
    body = form([("operation", "UPSERT"), ("file", "f.csv", "x" * 100_000)])
    for _ in range(UPLOADS_AT_ONCE):
        with socket.create_connection((host.hostname, host.port), 10) as line:
            line.sendall(head_of(client, node, len(body)) + body[:20_000])
            line.send(body[20_000:30_000], socket.MSG_MORE)
    eventually(lambda: created(upload(client, node), node), timeout=5)


def test_slow_uploads_leave_room_for_other_workspaces(fresh, make_space):
    """One workspace begins as many as a gateway takes and goes on with none of them."""
    node, client = fresh
    other = make_space("other")
    others_node = other.node()
    others = other.trusted(others_node)
    body = form([("operation", "UPSERT"), FILE])
    lines = [socket.create_connection(client.address, 10) for _ in range(UPLOADS_AT_ONCE)]
    for line in lines:
        line.sendall(head_of(client, node, len(body)) + body[:20])
    time.sleep(0.5)
    created(upload(others, others_node), others_node)
    for line in lines:
        line.sendall(body[20:])
    came = {line.recv(12) for line in lines}
    for line in lines:
        line.close()
    assert came - {b"HTTP/1.1 409"} == {b"HTTP/1.1 201", b"HTTP/1.1 503"}, "it has those for which there was room, here and at the node"


def drip(client, node, body, pauses, length=None):
    """First line of the answer to a body that is sent in pieces with pauses before each; length is what the headers say."""
    host = urllib.parse.urlsplit(client.url)
    with socket.create_connection((host.hostname, host.port), 10) as line:
        line.sendall(head_of(client, node, length or len(body)))
        step = -(-len(body) // len(pauses))
        for i, pause in enumerate(pauses):
            time.sleep(pause)
            line.sendall(body[i * step:(i + 1) * step])
        line.settimeout(SILENCE_S + NOTICED_S)
        return line.recv(65536).split(b"\r\n")[0]


def test_silence_is_408_and_slowness_is_not(fresh):
    node, client = fresh
    body = form([("operation", "UPSERT"), FILE])
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        slow = pool.submit(drip, client, node, body, [2.0] * 10)
        silent = pool.submit(drip, client, node, body, [0.0], len(body) + 1000)
        assert silent.result().startswith(b"HTTP/1.1 408"), "nothing comes any more"
        assert time.monotonic() - begun > SILENCE_S - 1
        assert slow.result().startswith(b"HTTP/1.1 201"), "20 seconds of progress are an upload"


def test_uploads_at_the_same_time(space):
    """More than a gateway takes at once: each is made, or told to come again; nothing else suffers."""
    nodes = [space.node() for _ in range(4)]
    client = space.trusted(*nodes)
    rows = "externalId\r\n" + ("x" * 200_000 + "\r\n") * 7
    slowest = []
    stop = threading.Event()

    def read():
        while not stop.is_set():
            begun = time.monotonic()
            check_page(client.get(f"nodes/{nodes[0]}/bulk-jobs"))
            slowest.append(time.monotonic() - begun)

    with concurrent.futures.ThreadPoolExecutor(max_workers=13) as pool:
        reader = pool.submit(read)
        answers = list(pool.map(lambda n: upload(client, nodes[n % 4], rows), range(12)))
        stop.set()
        reader.result()
    for answer in answers:
        assert answer.status in (201, 503), f"made, or put off: {answer!r}"
    assert max(slowest) < 2, f"reads go on meanwhile, the slowest took {max(slowest):.2f} s"


# --- list, get, results ------------------------------------------------------------------------------------------------


def test_lists_are_filtered_sorted_and_paged(fresh):
    node, client = fresh
    path = f"nodes/{node}/bulk-jobs"
    made = [created(upload(client, node, bulkJobName=name), node) for name in ("b", "c", "a")]
    events = created(upload(client, node, "customerId\r\nx\r\n", entity="EVENT", eventType="viewedPage"), node, entity="EVENT",
                     eventType="viewedPage", bulkJobName=None)
    everything = [events["id"], *[job["id"] for job in reversed(made)]]

    def ids(**query):
        return [job["id"] for job in check_page(client.get(path, query))]
    for job in check_page(client.get(path), size=50, number=0, total=4):
        check_job(job, node)
    assert ids() == everything, "the youngest comes first"
    assert ids(sort="createdAt,asc") == everything[::-1]
    names = [job["bulkJobName"] for job in check_page(client.get(path, {"sort": "bulkJobName"}))]
    assert names == ["a", "b", "c", None]
    names = [job["bulkJobName"] for job in check_page(client.get(path, {"sort": "bulkJobName,DESC"}))]
    assert names == ["c", "b", "a", None], "what is missing comes last in both directions"
    assert ids(entity="EVENT") == [events["id"]]
    assert ids(entity="CUSTOMER", size=2, page=1) == [made[0]["id"]]
    assert ids(size=2, page=7) == []
    found = [check_page(client.get(path, {"status": status})) for status in sorted(STATUSES)]
    assert all(job["status"] == status for status, jobs in zip(sorted(STATUSES), found) for job in jobs)
    assert check_page(client.get(path, {"status": "", "entity": "", "sort": "", "size": "", "page": ""}), total=4)


@pytest.mark.parametrize("query, pointer", [
    ({"status": "DONE"}, "/status"), ({"status": "loaded"}, "/status"), ({"entity": "PRODUCT"}, "/entity"), ({"size": 0}, "/size"),
    ({"size": 51}, "/size"), ({"page": -1}, "/page"), ({"sort": "nothing"}, "/sort"), ({"sort": "createdAt,down"}, "/sort"),
    ({"sort": "createdAt;drop"}, "/sort"), ({"sort": ",desc"}, "/sort"),
])
def test_wrong_parameters_are_400(fresh, query, pointer):
    node, client = fresh
    check_error(client.get(f"nodes/{node}/bulk-jobs", query), 400, pointer=pointer)


@pytest.mark.parametrize("job", ["absent", "00000000-0000-7000-8000-000000000000"])
def test_a_job_that_is_not_there_is_404(fresh, job):
    node, client = fresh
    check_error(client.get(f"nodes/{node}/bulk-jobs/{job}"), 404, f"bulk job not found {job}")
    check_error(client.get(f"nodes/{node}/bulk-jobs/{job}/results"), 404, f"bulk job not found {job}")


def test_jobs_of_another_node_are_not_there(space):
    one, other = space.node(), space.node()
    client = space.trusted(one, other)
    job = created(upload(client, one), one)
    check_error(client.get(f"nodes/{other}/bulk-jobs/{job['id']}"), 404)
    check_error(client.get(f"nodes/{other}/bulk-jobs/{job['id']}/results"), 404)
    check_page(client.get(f"nodes/{other}/bulk-jobs"), total=0)


def test_results_come_when_the_job_has_ended(fresh):
    node, client = fresh
    text = csv_of(["base.contacts.email"], *[[f"{n}-{node}@example.com"] for n in range(5000)])
    job = created(upload(client, node, text), node)
    answer = client.get(f"nodes/{node}/bulk-jobs/{job['id']}/results")
    assert answer.status in (200, 409), f"before the end 409: {answer!r}"
    if answer.status == 409:
        check_error(answer, 409)
    ended(client, node, job["id"])
    assert [row[0] for row in results(client, node, job["id"])] == [str(n) for n in range(1, 5001)], "one line a row, in order"


def test_head_of_results_has_no_body(fresh):
    """Nor the end of one in pieces, which the next answer on the connection would begin with."""
    node, client = fresh
    job, _ = run(client, node, csv_of(["base.contacts.email"], [f"{node}@example.com"]))
    path = client.path(f"nodes/{node}/bulk-jobs/{job['id']}/results")
    with socket.create_connection(client.address, timeout=10) as line:
        line.sendall(f"HEAD {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.token}\r\n\r\n".encode())
        answer = b""
        while more := line.recv(65536):
            answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 200 OK\r\n" in head and b"text/csv" in head and body == b"", answer


def test_a_stopped_job_has_no_results(fresh):
    """It waits behind a long one, so it is stopped before its first row."""
    node, client = fresh
    long = created(upload(client, node, csv_of(["base.contacts.email"], *[[f"{n}-{node}@example.com"] for n in range(30_000)])), node)
    job = created(upload(client, node), node)
    contacthubctl("bulk-stop", client.workspace, job["id"])
    assert ended(client, node, job["id"])["status"] == "STOPPED"
    check_error(client.get(f"nodes/{node}/bulk-jobs/{job['id']}/results"), 409)
    contacthubctl("bulk-stop", client.workspace, long["id"])
    ended(client, node, long["id"])


def test_eleven_jobs_at_once(fresh):
    """An eleventh job waiting at a node is refused; which one that is depends on how fast jobs are taken."""
    node, client = fresh
    text = csv_of(["externalId"], *[[n] for n in range(5_000)])
    with concurrent.futures.ThreadPoolExecutor(max_workers=14) as pool:
        answers = list(pool.map(lambda _: upload(client, node, text), range(14)))
    for answer in answers:
        if answer.status != 201:
            check_error(answer, 409)
    waiting = check_page(client.get(f"nodes/{node}/bulk-jobs", {"status": "LOADED"}))
    assert len(waiting) <= 10, f"at most ten jobs are LOADED at a node: {len(waiting)}"
    check_page(client.get(f"nodes/{node}/bulk-jobs"), total=sum(answer.status == 201 for answer in answers))


# --- jobs run to their end ---------------------------------------------------------------------------------------------


def test_customers_are_upserted(fresh):
    node, client = fresh
    mails = [f"{n}-{node}@example.com" for n in range(20)]
    text = csv_of(["externalId", "base.firstName", "base.contacts.email"], *[[n, "Ann", mail] for n, mail in enumerate(mails)])
    job, rows = run(client, node, text)
    assert (job["status"], job["totalEntities"], job["failedEntities"]) == ("PROCESSED", 20, 0), f"all rows are good: {job}"
    assert [row[:2] for row in rows] == [[str(n), "CREATED"] for n in range(1, 21)]
    found = check_ok(client.get(f"customers/{rows[3][2]}"))
    assert (found["externalId"], found["base"]["firstName"], found["base"]["contacts"]["email"]) == ("3", "Ann", mails[3])
    _, rows = run(client, node, csv_of(["base.firstName", "base.contacts.email"], ["Eve", mails[3]], ["Ann", mails[4]]))
    assert rows[0][:3] == ["1", "UPDATED", found["id"]]
    assert check_ok(client.get(f"customers/{found['id']}"))["base"]["firstName"] == "Eve"


def test_inserts_fail_where_a_customer_is(fresh):
    node, client = fresh
    text = csv_of(["base.contacts.email"], [f"a-{node}@example.com"])
    _, rows = run(client, node, text, "INSERT")
    assert rows[0][1] == "CREATED"
    job, rows = run(client, node, text, "INSERT")
    assert (job["status"], job["failedEntities"], rows[0][1]) == ("PROCESSED", 1, "FAILED") and rows[0][3], f"why it failed: {rows}"


def test_customers_are_deleted(fresh):
    node, client = fresh
    mail = f"d-{node}@example.com"
    _, [[_, _, customer, _]] = run(client, node, csv_of(["base.contacts.email"], [mail]))
    job, rows = run(client, node, csv_of(["base.contacts.email"], [mail], [f"nobody-{node}@example.com"]), "DELETE")
    assert [row[1] for row in rows] == ["DELETED", "FAILED"] and job["failedEntities"] == 1
    check_error(client.get(f"customers/{customer}"), 404)


def test_events_are_inserted(fresh):
    node, client = fresh
    _, [[_, _, customer, _]] = run(client, node, csv_of(["base.contacts.email"], [f"e-{node}@example.com"]))
    text = csv_of(["customerId", "context", "properties.url", "date"],
                  *[[customer, "WEB", f"https://example.com/{n}", "2026-01-0%dT10:00:00Z" % n] for n in range(1, 4)])
    job, rows = run(client, node, text, "INSERT", entity="EVENT", eventType="viewedPage")
    assert (job["status"], [row[1] for row in rows]) == ("PROCESSED", ["CREATED"] * 3), f"all events are good: {job} {rows}"

    def visible():
        events = check_page(client.get("events", {"customerId": customer}))
        assert sorted(event["properties"]["url"][-1] for event in events) == ["1", "2", "3"]
    eventually(visible)


DEEP_PATH = "properties.extraProperties"


@pytest.mark.parametrize("column, cell", [
    (lambda levels: DEEP_PATH, lambda levels: '{"a":' * levels + "1" + "}" * levels),
    (lambda levels: ".".join([DEEP_PATH, *"x" * levels]), lambda levels: "text"),
], ids=["cell", "path"])
def test_what_a_row_makes_is_no_deeper_than_a_body(fresh, column, cell):
    """A column's path and the JSON of its cell count together: a deeper event could be stored, but never be changed."""
    node, client = fresh
    _, [[_, _, customer, _]] = run(client, node, csv_of(["base.contacts.email"], [f"deep-{node}@example.com"]))

    def insert(levels):
        text = csv_of(["customerId", "context", column(levels)], [customer, "WEB", cell(levels)])
        return run(client, node, text, "INSERT", entity="EVENT", eventType="viewedPage")[1][0]
    _, status, event, _ = insert(30)
    assert status == "CREATED"
    eventually(lambda: check_ok(client.get(f"events/{event}")) is not None)
    check_ok(client.patch(f"events/{event}", {"properties": {"title": "t"}}), 202)
    for levels in (31, 70):
        row = insert(levels)
        assert row[1] == "FAILED" and "too deep" in row[3], row


def test_wrong_rows_fail_alone(fresh):
    node, client = fresh
    text = csv_of(["base.contacts.email", "base.dob"], [f"x-{node}@example.com", "1990-01-01"], [f"y-{node}@example.com", "never"])
    job, rows = run(client, node, text)
    assert (job["status"], job["totalEntities"], job["failedEntities"]) == ("PROCESSED", 2, 1), f"one row is wrong: {job}"
    assert [row[1] for row in rows] == ["CREATED", "FAILED"] and rows[1][3], f"why it failed: {rows}"


def test_a_file_without_event_types_fails_as_a_whole(fresh):
    node, client = fresh
    answer = upload(client, node, csv_of(["customerId", "context"], [new_id(), "WEB"]), "INSERT", entity="EVENT")
    if answer.status != 400:
        job = ended(client, node, created(answer, node)["id"])
        assert job["status"] == "FAILED" and job["errorMessage"], f"nobody knows the events' type: {job}"
