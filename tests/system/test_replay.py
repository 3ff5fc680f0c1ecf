"""Replay: the tables are rebuilt from the log beside the live ones, under traffic, compared, and swapped."""

import os
import re
import signal
import subprocess
import threading
import time

import pytest

from aggregates import EVENT, Aggregate
from client import eventually, new_id, unique
from conftest import CHECKOUT, contacthubctl, make_source, psql_target, stack_directory
from contract import check_ok, check_status

SECONDS = 600
CUSTOMERS = 30


def start_replay(*options):
    environment = dict(os.environ, CONTACTHUB_STACK=str(stack_directory()))
    return subprocess.Popen([str(CHECKOUT / "deploy/local/replay"), *options], env=environment, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, start_new_session=True)


def replay(*options):
    """(exit status, output)"""
    process = start_replay(*options)
    out, _ = process.communicate(timeout=SECONDS)
    return process.returncode, out


class History:
    """Something of everything that the command topics hold."""

    def __init__(self, people, source, node):
        self.people, self.source, self.node = people, source, node
        self.customers, self.events, self.gone = [], [], []
        for number in range(CUSTOMERS):
            self.customers.append(self.person(number))
        self.delete(self.customers.pop())
        self.change_events()
        self.before = self.answers()

    def person(self, number):
        session, email = new_id(), f"{unique()}@example.com"
        waiting = self.event({"bringBackProperties": {"type": "SESSION_ID", "value": session, "nodeId": self.node}})
        made = self.people.new({"base": {"firstName": f"N{number}", "contacts": {"email": email}}, "extra": "one",
                                "consents": {"marketing": {"automatic": {"email": {"status": True}}}}})
        check_ok(self.source.post(f"customers/{made['id']}/sessions", {"value": session}), (200, 201))
        key = {"Idempotency-Key": unique()}
        merged = self.source.post("customers", {"nodeId": self.node, "base": {"lastName": "L", "contacts": {"email": email}}}, headers=key)
        assert merged.status in (200, 201, 409), f"a second POST of the same e-mail merges or conflicts: {merged}"
        check_ok(self.source.patch(f"customers/{made['id']}", {
            "extra": f"patched {number}", "consents": {"marketing": {"automatic": {"email": {"objection": True}}}}}))
        check_ok(self.source.post(f"customers/{made['id']}/likes", {"id": unique(), "name": "tea"}), (200, 201))
        self.events += [waiting, self.event({"customerId": made["id"]}, headers=key)]  # which worker comes first does not matter
        return made["id"]

    def event(self, whose, **more):
        body = {**whose, "type": "viewedPage", "context": "WEB", "properties": {"title": unique()}}
        return check_ok(self.source.post("events", body, **more), 202)["id"]

    def delete(self, customer):
        last = self.event({"customerId": customer})
        eventually(lambda: check_ok(self.source.get(f"events/{last}")))
        answer = self.source.delete(f"customers/{customer}")
        assert answer.status in (200, 204), f"DELETE customer must succeed: {answer}"
        self.gone.append(customer)
        self.events = self.events[:-2]

    def change_events(self):
        def all_there():
            assert all(self.source.get(f"events/{event}").status == 200 for event in self.events)
        eventually(all_there)
        removed = self.events.pop()
        assert self.source.delete(f"events/{removed}").status in (200, 202, 204)
        self.gone_event = removed

        def is_gone():
            assert self.source.get(f"events/{removed}").status == 404
        eventually(is_gone)

    def answers(self):
        paths = [f"customers/{c}" for c in self.customers] + [f"events/{e}" for e in self.events]
        return {path: check_ok(self.source.get(path)) for path in paths}

    def check(self):
        assert self.answers() == self.before, "every customer and event must read as before"
        for customer in self.gone:
            assert self.source.get(f"customers/{customer}").status == 404
        assert self.source.get(f"events/{self.gone_event}").status == 404


class Traffic(threading.Thread):
    """Writes customers and events until it is told to stop, and keeps what was acknowledged."""

    def __init__(self, source, node):
        super().__init__(daemon=True)
        self.source, self.node = source, node
        self.customers, self.events, self.refused = {}, [], []
        self.ended = threading.Event()

    def run(self):
        number = 0
        while not self.ended.is_set():
            number += 1
            email = f"{unique()}@example.com"
            answer = self.source.post("customers", {"nodeId": self.node, "base": {"contacts": {"email": email}}})
            if answer.status != 201:
                self.refused.append(answer)
                continue
            customer = answer.json["id"]
            self.customers[customer] = email
            event = self.source.post("events", {"customerId": customer, "type": "viewedPage", "context": "WEB",
                                                "properties": {"title": str(number)}})
            if event.status == 202:
                self.events.append(event.json["id"])
            else:
                self.refused.append(event)

    def stop(self):
        self.ended.set()
        self.join(60)
        assert not self.is_alive()


class Members(Traffic):
    """Makes customers of an aggregate node, changes each once, and deletes half of them again."""

    def __init__(self, aggregate):
        super().__init__(aggregate.client, aggregate.shop)
        self.names = {}

    def run(self):
        made = []
        while not self.ended.is_set():
            external = unique("member")
            answer = self.source.post("customers", {"nodeId": self.node, "externalId": external, "base": {"firstName": "new"}})
            made.append((external, check_ok(answer, 201)["id"]))
            self.names[external] = "new"
            if len(made) > 20:
                self.change(*made[-20], len(made))

    def change(self, external, customer, number):
        if number % 2:
            assert self.source.delete(f"customers/{customer}").status in (200, 204)
            del self.names[external]
        else:
            check_ok(self.source.patch(f"customers/{customer}", {"base": {"firstName": "changed"}}))
            self.names[external] = "changed"


@pytest.fixture(scope="module")
def history(people, source, node, sql):
    return History(people, source, node)


def stream_of(sql, space, up_to=None):
    limit = f"AND stream_offset <= {up_to}" if up_to else ""
    return sql("SELECT stream_offset, entity, operation, entity_id, version FROM update_stream "
               f"WHERE workspace_id = '{space.id}' {limit} ORDER BY stream_offset")


def check_counters(space):
    """What is derived from facts was carried over: it must fit the rebuilt tables as soon as the facts have come through."""
    assert " ".join(contacthubctl("recount", "--workspace", space.id)) == "every counter is equal to its recount"


def test_replay_under_traffic(history, space, source, node, sql):
    before = stream_of(sql, space)
    traffic = Traffic(source, node)
    traffic.start()
    time.sleep(0.5)
    status, out = replay()
    time.sleep(0.5)
    traffic.stop()
    assert status == 0 and "swapped" in out and "DIFFERS" not in out, out
    history.check()
    assert len(traffic.customers) > 10, "traffic goes on during a replay"
    assert not traffic.refused, f"no write fails while the tables are swapped: {traffic.refused[:3]}"
    for customer, email in traffic.customers.items():
        assert check_ok(source.get(f"customers/{customer}"))["base"]["contacts"]["email"] == email, "nothing acknowledged is lost"

    def all_there():
        assert all(source.get(f"events/{event}").status == 200 for event in traffic.events)
    eventually(all_there)
    stored = sql(f"SELECT id, version FROM customers WHERE workspace_id = '{space.id}'")
    assert {row[0] for row in stored} == set(traffic.customers) | set(history.customers), "nothing is there twice or too much"
    after = stream_of(sql, space)
    assert after[:len(before)] == before, "what a subscriber has read stays as it is"
    assert [int(row[0]) for row in after] == list(range(1, len(after) + 1)), "the stream goes on without a hole"
    eventually(lambda: check_counters(space))
    ours = [row[3] for row in after[len(before):] if row[3] in traffic.customers]
    assert sorted(ours) == sorted(traffic.customers), "each customer of the traffic is created once in the stream"


RIGHTS = [("TABLE customers", "SELECT"), ("TABLE update_stream", "SELECT"), ("TABLE stat_days", "SELECT"), ("TABLE events", "SELECT"),
          ("SCHEMA contacthub", "USAGE")]


@pytest.fixture
def reader(sql):
    """A role for reports."""
    name = "replay_reader"
    sql(f'CREATE ROLE {name}')
    for what, right in RIGHTS:
        sql(f'GRANT {right} ON {what} TO {name}')
    yield name
    sql(f'DROP OWNED BY {name}; DROP ROLE {name}')


def test_who_was_allowed_to_read_still_is(history, reader, sql):
    status, out = replay()
    assert status == 0 and "swapped" in out, out
    for what, right in RIGHTS:
        kind, name = what.split()
        assert sql(f"SELECT has_{kind.lower()}_privilege('{reader}', '{name}', '{right}')") == [["t"]], what
    assert sql(f"SELECT has_table_privilege('{reader}', 'customers', 'INSERT')") == [["f"]]


def test_replay_again_changes_nothing(history):
    status, out = replay()
    assert status == 0 and "swapped" in out, out
    history.check()


def test_replay_waits_until_a_node_is_emptied(history, space, sql):
    """Its rows go in steps, which no offset names. -1: nobody's partition, so that none is done."""
    key = f"'{space.id}', '{new_id()}'"
    sql(f"INSERT INTO node_emptyings VALUES ({key}, 1, -1, true)")
    process = start_replay()
    try:
        for line in process.stdout:
            if "waiting" in line:
                break
        time.sleep(1)
        assert process.poll() is None
    finally:
        sql(f"DELETE FROM node_emptyings WHERE (workspace_id, node_id) = ({key})")
    out, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0 and "swapped" in out, out
    assert "DIFFERS" not in out, out
    history.check()


def test_configuration_goes_on(history, space, admin, source):
    """Gateways ask for what is newer than they know: after a swap that must still hold."""
    node = space.node()
    other = space.trusted(node)
    answer = other.post("customers", {"nodeId": node, "base": {"contacts": {"email": f"{unique()}@example.com"}}})
    assert answer.status == 201, f"a node made after a replay takes customers: {answer}"
    make_source(admin, space.id, "API", [node])


def test_damage_is_found(history, space, sql):
    victim = history.customers[0]
    healthy = history.people.get(victim)
    where = f"WHERE workspace_id = '{space.id}' AND id = '{victim}'"
    [[document]] = sql(f"SELECT doc FROM customers {where}")
    sql(f"UPDATE customers SET doc = jsonb_set(doc, '{{extra}}', '\"damaged\"') {where}")
    try:
        check_found_and_healed(history, space, sql, victim, healthy)
    finally:
        sql(f"UPDATE customers SET doc = '{document}' {where}")


def test_a_damaged_time_of_a_consent_is_found(history, space, sql):
    """The last word of a consent counts, so when it was said must follow from the log, too: nobody reads it by itself."""
    victim = history.customers[1]
    where = f"WHERE workspace_id = '{space.id}' AND id = '{victim}'"
    [[times]] = sql(f"SELECT consent_times FROM customers {where}")
    assert "marketing.automatic.email.status" in times
    sql(f"UPDATE customers SET consent_times = jsonb_set(consent_times, '{{marketing.automatic.email.status}}', '9000000000000001') {where}")
    try:
        check_found(victim)
        heal()
        assert sql(f"SELECT consent_times FROM customers {where}") == [[times]], "the log knows when it was said"
    finally:
        sql(f"UPDATE customers SET consent_times = '{times}' {where}")


def test_times_of_consents_from_before_they_were_kept(history, space, sql):
    """Tables that are older than the migration lack them, which is no difference; the log gives them."""
    victim = history.customers[1]
    where = f"WHERE workspace_id = '{space.id}' AND id = '{victim}'"
    [[times]] = sql(f"SELECT consent_times FROM customers {where}")
    sql(f"UPDATE customers SET consent_times = NULL {where}")
    kept = sql("SELECT number, applied_at FROM schema_migrations")
    sql("UPDATE schema_migrations SET applied_at = CASE WHEN number < 18 THEN applied_at - interval '1 year' ELSE now() END")
    try:
        status, out = replay()
        assert status == 0 and "swapped" in out and "DIFFERS" not in out, out
        assert sql(f"SELECT consent_times FROM customers {where}") == [[times]]
    finally:
        sql(f"UPDATE customers SET consent_times = '{times}' {where}")
        sql("; ".join(f"UPDATE schema_migrations SET applied_at = '{at}' WHERE number = {number}" for number, at in kept))


def check_found(victim):
    status, out = replay()
    assert status == 1 and re.search(r"customers: 1 rows differ", out) and victim in out, out


def heal():
    status, out = replay("--force")
    assert status == 0 and "swapped" in out, out


def check_found_and_healed(history, space, sql, victim, healthy):
    check_found(victim)
    assert history.people.get(victim)["extra"] == "damaged", "without --force nothing is swapped"
    last = len(stream_of(sql, space))
    heal()
    assert history.people.get(victim) == healthy, "the log knows what the customer was"
    told = stream_of(sql, space)[last:]
    assert [row[1:4] for row in told] == [["1", "2", victim]], "subscribers are told what differs from before, and nothing else"


DERIVED = ("aggregate_nodes", "aggregate_members", "profiles", "stat_shares", "stat_days", "stat_people", "stat_gaps")


def quiet_replay(*options):
    """Of a moment in which no fact is on its way: only then is what follows from facts judged."""
    def run():
        status, out = replay(*options)
        assert status == 0 and "in motion" not in out, out
        return out
    return eventually(run, timeout=60)


def test_profiles_and_counters_follow_from_the_log(history, make_space):
    aggregate = Aggregate(make_space("derived")).ready()
    external = unique("x")
    one, two = aggregate.new(aggregate.shop, external), aggregate.new(aggregate.letter, external)
    check_status(aggregate.client.post("events", {**EVENT, "customerId": one["id"]}), 202)
    aggregate.of(one, two)
    out = quiet_replay()
    for table in DERIVED:
        line = re.search(rf"^{table} +(\d+) .* equal$", out, re.MULTILINE)
        assert line and int(line[1]) > 0, f"{table} must be equal, and hold something: {out}"


@pytest.fixture
def no_temporary_tables(sql):
    """As for a role without that right, which the stack's, a superuser, has in any case."""
    sql("CREATE FUNCTION public.refuse_temporary() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE schema_name = 'pg_temp') THEN "
        "RAISE EXCEPTION 'permission denied to create temporary tables'; END IF; END $$")
    sql("CREATE EVENT TRIGGER refuse_temporary ON ddl_command_end EXECUTE FUNCTION public.refuse_temporary()")
    yield
    sql("DROP EVENT TRIGGER refuse_temporary; DROP FUNCTION public.refuse_temporary()")


def test_profiles_that_change_meanwhile_are_taken_over(history, make_space, sql, no_temporary_tables):
    """Up to the moment of the swap the live ones are right, and nothing tells of those changes afterwards."""
    aggregate = Aggregate(make_space("meanwhile")).ready()
    members = Members(aggregate)
    members.start()
    status, out = replay()
    members.stop()
    assert status == 0 and "swapped" in out, out

    def profiles():
        rows = sql(f"SELECT external_id, doc #>> '{{base,firstName}}' FROM customers WHERE node_id = '{aggregate.id}'")
        assert {external: name for external, name in rows} == members.names
    eventually(profiles)
    assert len(members.names) > 100


def test_wrong_counters_are_healed(history, space, sql):
    sql(f"UPDATE stat_days SET n = n + 1 WHERE workspace_id = '{space.id}'")
    out = quiet_replay()
    assert re.search(r"^stat_days .* DIFFERS$", out, re.MULTILINE) and "counted again" in out, out
    eventually(lambda: check_counters(space))
    history.check()


def test_tables_of_another_version_are_left_alone(sql):
    """Tables that a replay carries over would not be what the new schema's migrations make of them."""
    last = "(SELECT max(number) FROM schema_migrations)"
    for change, back in ((f"INSERT INTO schema_migrations SELECT 9999, '9999_newer.sql', sha256, applied_at FROM schema_migrations WHERE number = {last}",
                          "DELETE FROM schema_migrations WHERE number = 9999"),
                         (f"UPDATE schema_migrations SET name = 'x' || name WHERE number = {last}",
                          f"UPDATE schema_migrations SET name = substr(name, 2) WHERE number = {last}")):
        sql(change)
        try:
            status, out = replay()
        finally:
            sql(back)
        assert status == 1 and "contacthubctl migrate" in out, out


def test_tables_that_are_upgraded_meanwhile_are_left_alone(sql):
    """The new ones lack what the migration has brought."""
    sql("SET client_min_messages = error; DROP SCHEMA IF EXISTS contacthub_replay CASCADE")
    process = start_replay()
    eventually(lambda: sql("SELECT to_regclass('contacthub_replay.fact_cursors') IS NOT NULL") == [["t"]], timeout=20)
    sql("INSERT INTO schema_migrations VALUES (9999, '9999_newer.sql', 'x', now())")
    try:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 1 and "contacthubctl migrate" in out, out
        assert sql("SELECT count(*) FROM schema_migrations WHERE number = 9999") == [["1"]]
    finally:
        sql("DELETE FROM schema_migrations WHERE number = 9999")


def test_killed_replay_leaves_no_trace(history):
    for seconds in (0.1, 0.5, 1.5):
        process = start_replay()
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        history.check()
    status, out = replay()
    assert status == 0 and "swapped" in out, out
    history.check()


def restore_backup(sql, name):
    """As the README says: the schema of now, under another name, by way of a scratch database."""
    target, scratch = psql_target(), unique("scratch").replace("-", "_")
    other = re.sub(r"/[^/?]+(\?|$)", rf"/{scratch}\1", target)
    sql(f"CREATE DATABASE {scratch}")
    try:
        for command in (f"pg_dump -d '{target}' -n contacthub | psql -X -q -v ON_ERROR_STOP=1 -d '{other}'",
                        f"psql -X -q -d '{other}' -c 'ALTER SCHEMA contacthub RENAME TO {name}'",
                        f"pg_dump -d '{other}' -n {name} | psql -X -q -v ON_ERROR_STOP=1 -d '{target}'"):
            subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], check=True, stdout=subprocess.DEVNULL, timeout=SECONDS)
    finally:
        sql(f"DROP DATABASE {scratch}")


def test_a_backup_survives_a_killed_replay(history, sql):
    """It may be the only copy of what the log does not hold any more."""
    def schemas():
        return {row[0] for row in sql("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'contacthub%'")}

    def is_taken():
        assert "contacthub_backup" not in schemas() and "contacthub_replay" in schemas()
    restore_backup(sql, "contacthub_backup")
    process = start_replay("--from", "contacthub_backup")
    eventually(is_taken)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    status, out = replay("--from", "contacthub_backup")
    assert status == 0 and "has its name back" in out and "swapped" in out, out
    assert "contacthub_backup" not in schemas() and "contacthub_replay" not in schemas(), "it is used up"
    history.check()


def test_old_tables_stay_until_told(history, sql):
    def schemas():
        return {row[0] for row in sql("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'contacthub%'")}
    assert "contacthub_old" in schemas()
    status, out = replay("--keep-old")
    assert status == 1 and "--drop-old" in out, out
    status, out = replay("--drop-old")
    assert status == 0, out
    assert schemas() == {"contacthub"}
    history.check()
