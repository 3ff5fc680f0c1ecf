"""Hostile and broken requests: each gets a clear answer in the contract's error body, and the server goes on."""

import gzip
import json
import socket
import time

import pytest

from client import PREFIX, eventually, unique
from contract import check_error, check_json, check_ok, check_page, check_status

SLOW_BODY_LIMIT_S = 40


@pytest.fixture(autouse=True)
def still_answers(source, node):
    """After every case the server still answers."""
    yield
    check_page(source.get("customers", {"nodeId": node}))


def email():
    return f"{unique()}@example.com"


def text(node, inner):
    return ('{"nodeId":"%s","base":{"contacts":{"email":"%s"}},%s}' % (node, email(), inner)).encode("utf-8")


MALFORMED = [b"", b"{", b"}", b"nonsense", b"{]", b'{"a":1,}', b"{'a':1}", b'{"a" 1}', b'{"a":01}', b'{"a":1.}', b'{"a":.5}', b'{"a":+1}',
             b'{"a":NaN}', b'{"a":Infinity}', b'{"a":0x10}', b'{"a":tru}', b'{"a":"\n"}', b'{"a":"\\x"}', b'{"a":"\\u12"}', b'{"a":1}x',
             b'{"a":1}{"b":2}', b"// comment\n{}", b'{"a":"unterminated', b'{"a":\x00}', b"\x00", b"\xef\xbb\xbf{", b'{"a":[1,2}', b"{" * 5000]
NOT_OBJECTS = [b"null", b"true", b"5", b'"text"', b"[]", b"[{}]"]


@pytest.mark.parametrize("raw", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_json_is_400(source, raw):
    for path in ("customers", "events"):
        assert check_error(source.post(path, raw=raw), 400)["errors"]
    check_error(source.request("PATCH", "customers/00000000-0000-4000-8000-000000000000", raw=raw), (400, 404))


@pytest.mark.parametrize("raw", NOT_OBJECTS, ids=range(len(NOT_OBJECTS)))
def test_a_body_that_is_no_object_is_400(source, space, raw):
    for path in ("customers", "events"):
        assert [fault["path"] for fault in check_error(source.post(path, raw=raw), 400)["errors"]] == [""]
    check_error(space.admin.put("configuration/properties/extended", raw=raw), 400)


INVALID_UTF8 = [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82", b"\x80", b"\xf0\x8f\xbf\xbf"]


@pytest.mark.parametrize("piece", INVALID_UTF8, ids=lambda piece: piece.hex())
def test_invalid_utf8_is_400(source, node, piece):
    check_error(source.post("customers", raw=text(node, '"extra":"@"').replace(b'"@"', b'"' + piece + b'"')), 400)
    check_error(source.post("customers", raw=text(node, '"@":1').replace(b'"@"', b'"' + piece + b'"')), 400)


@pytest.mark.parametrize("inner", ['"extra":"a\\u0000b"', '"extra":"\\ud800"', '"extra":"\\udc00\\ud800"', '"a\\u0000":1'])
def test_nul_and_lone_surrogates_are_400(source, node, inner):
    check_error(source.post("customers", raw=text(node, inner)), 400)


def test_surrogate_pairs_and_controls_are_text(source, node):
    made = check_ok(source.post("customers", raw=text(node, '"extra":"\\ud83d\\ude00\\u0001\\u007f\\u2028"')), 201)
    assert made["extra"] == "\U0001F600\x01\x7f\u2028"


@pytest.mark.parametrize("inner", ['"extra":"a","extra":"b"', '"base":{"firstName":"a","firstName":"b"}'])
def test_duplicate_keys_are_400(source, node, inner):
    body = '{"nodeId":"%s","externalId":"x",%s}' % (node, inner)
    check_error(source.post("customers", raw=body.encode()), 400)


@pytest.mark.parametrize("depth", [100, 1000, 20_000])
def test_deep_nesting_is_400(source, node, depth):
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        inner = opening * depth + "1" + closing * depth
        body = text(node, '"extended":{"x":%s}' % inner)
        check_error(source.post("customers", raw=body), (400, 413))
        check_error(source.post("customers", raw=(opening * depth).encode()), (400, 413))


NUMBERS = ["1e400", "-1e400", "9" * 400, "1e-400", "1" + "0" * 5000, "0." + "1" * 5000, "1e99999999999999999999"]


@pytest.mark.parametrize("number", NUMBERS, ids=range(len(NUMBERS)))
def test_huge_numbers_are_no_trouble(source, people, node, number):
    body = '{"nodeId":"%s","base":{"contacts":{"email":"%s"},"address":{"geo":{"lat":%s,"lon":0}}}}' % (node, email(), number)
    answer = source.post("customers", raw=body.encode())
    assert answer.status in (201, 400), f"a huge number is stored as written or refused: {answer!r}"
    event = '{"customerId":"%s","type":"completedOrder","context":"WEB","properties":{"amount":{"total":%s}}}' % (people.new()["id"], number)
    answer = source.post("events", raw=event.encode())
    assert answer.status in (202, 400), f"a huge number is stored as written or refused: {answer!r}"
    check_json(answer)


def test_bad_events_do_not_stop_the_good_ones(source, people):
    """Numbers at the edge must not block the log behind the gateway."""
    customer = people.new()["id"]
    for number in NUMBERS:
        source.post("events", raw=('{"customerId":"%s","type":"searched","context":"WEB","properties":{"resultCount":%s,"extraProperties":{"n":%s}}}'
                                   % (customer, 1, number)).encode())
    good = check_ok(source.post("events", {"customerId": customer, "type": "loggedIn", "context": "WEB", "properties": {}}), 202)["id"]
    eventually(lambda: check_ok(source.get(f"events/{good}")), timeout=10)


def test_many_members_and_long_keys(source, node):
    check_error(source.post("customers", {"nodeId": node, "extended": {f"k{number}": number for number in range(3000)}}), 400)
    check_error(source.post("customers", {"nodeId": node, "k" * 30_000: 1}), 400)
    check_error(source.post("events", {"type": "viewedPage", **{f"k{number}": 1 for number in range(3000)}}), 400)


@pytest.mark.parametrize("size", [70_000, 1_000_000, 8_000_000])
def test_oversize_is_413(source, size):
    """The answer may come before the body has been read, so the line may break while it is sent."""
    for path, start in (("customers", b'{"extra":"'), ("events", b'{"type":"viewedPage","extra":"')):
        try:
            answer = source.post(path, raw=start + b"x" * size + b'"}')
        except OSError:
            continue
        check_error(answer, 413)


def test_oversize_without_a_declared_length_is_413(source):
    try:
        answer = source.post("customers", raw=iter([b'{"extra":"', *[b"x" * 50_000] * 20, b'"}']), headers={"Transfer-Encoding": "chunked"})
    except OSError:
        return
    check_error(answer, 413)


def test_compressed_bodies_are_told_as_such(source, node):
    body = text(node, '"extra":"x"')
    check_error(source.post("customers", raw=gzip.compress(body), headers={"Content-Encoding": "gzip"}), 415)
    check_ok(source.post("customers", raw=body, headers={"Content-Encoding": "identity"}), 201)


def test_chunked_bodies_are_fine(source, node):
    pieces = [bytes([byte]) for byte in text(node, '"extra":"x"')]
    assert check_ok(source.post("customers", raw=iter(pieces), headers={"Transfer-Encoding": "chunked"}), 201)["extra"] == "x"


QUERIES = ["nodeId=%zz", "nodeId=%", "nodeId=%2", "nodeId=%00", "nodeId=%ff%fe", "nodeId", "nodeId=", "=x", "&&&", "nodeId=" + "x" * 5000,
           "size=10", "nodeId[]=x", "nodeId=%F0%9F%98%80"]


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_broken_query_strings(source, query):
    answer = source.get("customers", query)
    check_error(answer, (400, 404, 414))


@pytest.mark.parametrize("parameters", [{"query": "x"}, {"query": "%"}, {"sort": "x" * 3000}, {"fields": "," * 3000}, {"fields": "x" * 3000},
                                        {"externalId": "x" * 3000}, {"externalId": "a\x00b"}, {"unknown": "x"}, {"size": "10", "page": "0"},
                                        {"size": ""}, {"page": ""}], ids=lambda value: str(value)[:40])
def test_odd_parameters(source, node, parameters):
    answer = source.get("customers", {"nodeId": node, **parameters})
    assert answer.status in (200, 400, 414), f"an odd parameter is ignored or refused: {answer!r}"
    check_json(answer)


def test_unknown_parameters_are_ignored(source, node, people):
    customer = people.new()
    check_ok(source.get(f"customers/{customer['id']}", {"nodeId": node, "colour": "red"}))


@pytest.mark.parametrize("path", ["customers/%zz", "customers/%", "customers/%00", "customers/a%00b", "customers/%ff", "customers/%2e%2e/events",
                                  "customers/..", "customers/../events", "customers//", "events/%c0%ae", "customers/" + "x" * 4000,
                                  "configuration/nodes/entries/%zz", "configuration/events/%00"])
def test_broken_paths(source, path):
    check_error(source.get(path), (400, 403, 404, 414))


@pytest.mark.parametrize("token", ["\xe9", "a" * 6000, "a\tb", "🙂".encode().decode("latin-1")])
def test_odd_tokens(source, token):
    answer = source.get("customers", token=None, headers={"Authorization": f"Bearer {token}"})
    assert answer.status in (400, 401, 431), f"an odd token is refused: {answer.status}"


@pytest.mark.parametrize("size, statuses", [(12_000, (200,)), (15_000, (431,)), (24_000, (431,))])
def test_long_headers(source, node, size, statuses):
    answer = source.get("customers", {"nodeId": node}, headers={"X-Long": "x" * size})
    if 200 in statuses:
        assert answer.status == 200, f"there is room for a long header: {answer!r}"
    else:
        check_error(answer, statuses)


def test_many_headers(source):
    answer = source.get("customers", headers={f"X-Header-{number}": "x" * 50 for number in range(300)})
    assert answer.status in (400, 413, 431), f"too many headers are refused, or nodeId is missing: {answer!r}"


@pytest.mark.parametrize("key", ["x" * 5000, "", " ", "é", "a\tb"])
def test_odd_idempotency_keys(people, key):
    answer = people.post({}, headers={"Idempotency-Key": key.encode("utf-8").decode("latin-1")})
    assert answer.status in (201, 400, 431), f"an odd key is used, ignored or refused: {answer!r}"


# --- below HTTP libraries --------------------------------------------------------------------------------------------------------------------


def head(source, method="POST", path="customers", *lines):
    host = "%s:%s" % source.address
    return "\r\n".join([f"{method} {PREFIX}/workspaces/{source.workspace}/{path} HTTP/1.1", f"Host: {host}",
                        f"Authorization: Bearer {source.token}", "Content-Type: application/json", *lines, "", ""]).encode("latin-1")


def status_of(came):
    return int(came.split(b" ", 2)[1]) if came.startswith(b"HTTP/1.") else None


def test_both_lengths_are_refused(source, node):
    body = text(node, '"extra":"smuggled"')
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    came = source.bytes(head(source, "POST", "customers", f"Content-Length: {len(chunked)}", "Transfer-Encoding: chunked") + chunked, 10, close=True)
    assert status_of(came) in (None, 400), f"Content-Length together with chunked is refused: {came[:200]!r}"
    assert came.count(b"HTTP/1.1") <= 1, "one request, at most one answer"


@pytest.mark.parametrize("lines", [["Content-Length: 5", "Content-Length: 6"], ["Content-Length: -1"], ["Content-Length: x"],
                                   ["Content-Length: 99999999999999999999"], ["Transfer-Encoding: gzip"], ["Transfer-Encoding: chunked, chunked"]],
                         ids=str)
def test_bad_lengths_are_refused(source, lines):
    came = source.bytes(head(source, "POST", "customers", *lines) + b"{}{}{}", 10, close=True)
    assert status_of(came) is None or 400 <= status_of(came) < 600, f"{lines} is refused: {came[:200]!r}"


@pytest.mark.parametrize("data", [b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x00" * 100,
                                  b"GET " + b"/x" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
                                  b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"GET / HTTP/1.1\r\n\r\n",
                                  b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], ids=range(10))
def test_what_is_not_http(source, data):
    try:
        came = source.bytes(data, 5, close=True)
    except OSError:
        return
    assert status_of(came) is None or status_of(came) >= 400, f"refused or cut off: {came[:100]!r}"


def test_pipelined_requests_get_their_answers_in_order(source, node):
    one = head(source, "GET", f"customers?nodeId={node}")
    two = head(source, "GET", "customers/00000000-0000-4000-8000-000000000000", "Connection: close")
    came = source.bytes(one + two, 10)
    assert [int(part.split(b" ", 1)[0]) for part in came.split(b"HTTP/1.1 ")[1:]] == [200, 404]


def test_http_1_0(source, node):
    data = head(source, "GET", f"customers?nodeId={node}").replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    assert status_of(source.bytes(data, 10)) == 200


def test_expect_100_continue(source, node):
    """Curl sends it for larger bodies and waits."""
    body = text(node, '"extra":"%s"' % ("x" * 2000))
    with socket.create_connection(source.address, timeout=20) as line:
        line.sendall(head(source, "POST", "customers", f"Content-Length: {len(body)}", "Expect: 100-continue", "Connection: close"))
        first = line.recv(4096)
        assert first.startswith(b"HTTP/1.1 100"), f"the body is invited first: {first[:100]!r}"
        line.sendall(body)
        rest = b""
        while piece := line.recv(65536):
            rest += piece
    assert status_of(rest or first.split(b"\r\n\r\n", 1)[1]) == 201


def test_a_vanished_client_is_no_trouble(source, node):
    for size in (0, 10, 200):
        body = text(node, '"extra":"x"')
        with socket.create_connection(source.address, timeout=5) as line:
            line.sendall((head(source, "POST", "customers", f"Content-Length: {len(body)}") + body)[:300 + size])


def test_requests_after_a_refused_body_are_read_right(source, node):
    """The rest of a refused body must not be taken for the next request."""
    inner = head(source, "DELETE", "customers/x")
    body = b'{"a":' + inner
    came = source.bytes(head(source, "POST", "customers", f"Content-Length: {len(body)}", "Connection: close") + body, 10)
    assert came.count(b"HTTP/1.1 ") == 1 and status_of(came) == 400


def test_slow_bodies_are_cut_off(source):
    """A body that comes at a byte a second does not hold the server: the answer is 408, or the line is closed."""
    started = time.monotonic()
    with socket.create_connection(source.address, timeout=5) as line:
        line.settimeout(1)
        line.sendall(head(source, "POST", "customers", "Content-Length: 5000"))
        while time.monotonic() - started < SLOW_BODY_LIMIT_S:
            try:
                line.sendall(b" ")
                came = line.recv(65536)
                break
            except socket.timeout:
                continue
            except OSError:
                came = b""
                break
        else:
            pytest.fail(f"a slow body was still read after {SLOW_BODY_LIMIT_S} seconds")
    assert status_of(came) in (None, 400, 408), f"{came[:200]!r}"


def test_error_bodies_name_no_inner_things(source, node):
    """No SQL, no source files, no addresses of the machine."""
    answers = [source.post("customers", raw=b"{"), source.get("customers", {"nodeId": node, "query": "{"}), source.get("customers/x"),
               source.get("customers", {"nodeId": node, "sort": "a'b"})]
    for answer in answers:
        for word in ("SELECT", "SQLSTATE", ".c:", "libpq", "kafka", "/home", "/root", "/usr"):
            assert word not in answer.text, f"an error body must not show {word}: {answer!r}"


def test_no_answer_names_the_password(source, people):
    body = {"base": {"credential": {"username": "u", "password": 12345678}}}
    answer = people.post(body)
    check_error(answer, 400, pointer="/base/credential/password")
    assert "12345678" not in answer.text, "what is wrong is named, not repeated"


def test_statuses_of_unusual_methods(source):
    for method in ("HEAD", "TRACE", "CONNECT", "PROPFIND", "FOO"):
        came = source.bytes(head(source, method, "customers", "Connection: close"), 10, close=True)
        assert status_of(came) is None or 200 <= status_of(came) < 502, f"{method}: {came[:100]!r}"
        assert status_of(came) != 500, f"{method}: {came[:100]!r}"


def test_wrong_types_of_configuration(space):
    for path in ("configuration/nodes/entries", "configuration/sources"):
        for body in ({"name": {}}, {"name": [], "nodes": {}}, {"name": "x" * 70_000}):
            check_status(space.admin.post(path, body), (400, 413))


def test_json_numbers_keep_their_text(source, people):
    customer = people.new()["id"]
    raw = '{"customerId":"%s","type":"completedOrder","context":"WEB","properties":{"amount":{"total":19.990,"tax":1e2}}}' % customer
    event = check_ok(source.post("events", raw=raw.encode()), 202)["id"]
    stored = eventually(lambda: check_ok(source.get(f"events/{event}")))
    assert stored["properties"]["amount"] == {"total": 19.99, "tax": 100}
    assert json.loads(source.get(f"events/{event}").raw)["properties"]["amount"]["total"] == 19.99
