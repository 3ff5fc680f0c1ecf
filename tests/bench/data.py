"""Customers, events and changes put straight into the tables, with all that reading and merging look up: a large data set in a minute."""

import hashlib
import json
import random
import subprocess

DOC = {"base": {"firstName": "Ada", "contacts": {"mobilePhone": "+39 02 000"}, "address": {"country": "IT"}}, "tags": {"manual": ["vip"]}}
BODY = json.dumps({"properties": {"orderId": "order", "type": "sale", "storeCode": "MI01", "paymentMethod": "creditcard", "amount": {
    "total": 61.5, "revenue": 50.0, "shipping": 5.5, "tax": 11.0, "discount": 5.0}, "products": [{
        "id": "P-100", "sku": "SKU-100", "name": "Compact disc", "price": 20.5, "quantity": 3}]}})
FOR_EVER = 9223372036854775807
NOW = "(extract(epoch FROM date_trunc('day', now())) * 1000000)::bigint"
LISTED = 100000


def part(kind, text):
    return kind.encode() + len(text).to_bytes(8, "little") + text.encode()


def unique_key(external_id):
    """Key of a policy with externalId alone, in any case of letters (common/customer_key.c)."""
    parts = part("c", "") + part("p", "externalId") + part("s", external_id)
    return hashlib.blake2b(parts, digest_size=16).hexdigest()


def customer_id(number):
    return f"0bcc0000{number:024x}"


def copy(stack, table, columns, rows):
    command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", stack.env["CONTACTHUB_PG"], "-c",
               f"COPY contacthub.{table} ({columns}) FROM STDIN"]
    psql = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
    for row in rows:
        psql.stdin.write("\t".join(map(str, row)) + "\n")
    psql.stdin.close()
    if psql.wait():
        raise SystemExit(f"bench: {table} does not take the rows")


def make_customers(stack, total):
    """Customers bench-1 to bench-N, those that there are already left alone; two conditions select among them."""
    numbers = range(stack.keys + 1, total + 1)
    w, node = f"'{stack.workspace}'::uuid", f"'{stack.node}'::uuid"
    stack.sql("CREATE TEMP TABLE base AS SELECT last_int_id AS int_id, " + NOW + " AS us FROM customer_heads "
              f"WHERE workspace_id = {w}")
    id_of = "('0bcc0000' || lpad(to_hex(i), 24, '0'))::uuid"
    series = f"base, generate_series({numbers.start}, {total}) AS i"
    doc = f"jsonb_set(jsonb_set(jsonb_set('{json.dumps(DOC)}', '{{base,lastName}}', to_jsonb('L' || i % 100)), '{{base,address,city}}', " \
          "to_jsonb('C' || i % 97)), '{base,contacts,email}', to_jsonb('bench-' || i || '@example.com'))"
    for text in (
        "INSERT INTO customers (workspace_id, id, node_id, int_id, version, registered_us, updated_us, enabled, external_id, doc) "
        f"SELECT {w}, {id_of}, {node}, int_id + i, 1, us + i, us + i, true, 'bench-' || i, {doc} FROM {series}",
        "INSERT INTO bindings (workspace_id, node_id, kind, value, bound_us, customer_id, unbound_us) "
        f"SELECT {w}, {node}, 2, 'bench-' || i, us + i, {id_of}, {FOR_EVER} FROM {series}",
        f"UPDATE customer_heads SET last_int_id = last_int_id + {total} WHERE workspace_id = {w}",
    ):
        stack.sql(text)
    copy(stack, "customer_keys", "workspace_id, node_id, key, customer_id",
         ((stack.workspace, stack.node, unique_key(f"bench-{n}"), customer_id(n)) for n in numbers))
    for table in ("customers", "bindings", "customer_keys"):
        stack.sql(f"VACUUM ANALYZE {table}")
    stack.sql("DROP TABLE base")
    stack.keys = total
    list_customers(stack)


def make_events(stack, total):
    """Orders spread over the customers bench-1 to bench-N and over a year."""
    w, node = f"'{stack.workspace}'::uuid", f"'{stack.node}'::uuid"
    stack.sql("CREATE TEMP TABLE owners AS SELECT row_number() OVER () - 1 AS number, id FROM customers "
              f"WHERE workspace_id = {w} AND node_id = {node} AND external_id LIKE 'bench-%'")
    stack.sql("CREATE INDEX ON owners (number)")
    stack.sql("ANALYZE owners")
    stack.sql("INSERT INTO events (workspace_id, id, node_id, customer_id, registered_us, updated_us, date_us, version, type, context, body) "
              f"SELECT {w}, ('0bee0000' || lpad(to_hex(i), 24, '0'))::uuid, {node}, o.id, {NOW} + i, {NOW} + i, "
              f"{NOW} - i % 365 * 86400000000, 1, 'completedOrder', 'ECOMMERCE', '{BODY}' FROM generate_series(1::bigint, {total}) AS i "
              "JOIN owners o ON o.number = i * 7919 % (SELECT count(*) FROM owners)")
    stack.sql("VACUUM ANALYZE events")
    stack.sql("DROP TABLE owners")


def count(stack):
    """What was put into the tables is in the counters, too. Nobody writes meanwhile."""
    stack.sql(f"SELECT stat_recount('{stack.workspace}')")


def list_customers(stack):
    """The ids that load.lua picks from."""
    ids = stack.sql(f"SELECT id FROM customers WHERE workspace_id = '{stack.workspace}' AND node_id = '{stack.node}' "
                    "AND external_id LIKE 'bench-%'").split("\n")
    stack.ids.write_text("\n".join(random.Random(1).sample(ids, min(len(ids), LISTED))) + "\n")


def make_changes(stack, n):
    """So many changes of a fifth as many events and a fiftieth as many customers, put straight into the tables: what reading
    costs at that size. The first half of the entries is in the order in which the entities were made, as creations are; a page of
    the second half meets entities from all over the tables, as after changes of everything."""
    w, node = f"'{stack.workspace}'::uuid", f"'{stack.node}'::uuid"
    doc = json.dumps({"base": {"firstName": "Ada", "lastName": "Lovelace", "contacts": {"email": "ada@example.com", "mobilePhone": "+39 02 000"},
                               "address": {"city": "Milano", "country": "IT"}}, "tags": {"manual": ["vip"]}})
    events, customers = max(n // 5, 1), max(n // 50, 1)
    id_of = "('{}' || lpad(to_hex({}), 24, '0'))::uuid"
    for text in (
        "INSERT INTO customers (workspace_id, id, node_id, int_id, version, registered_us, updated_us, enabled, external_id, doc) "
        f"SELECT {w}, {id_of.format('0bc00000', 'i')}, {node}, 1000000 + i, 1, {NOW} + i, {NOW} + i, true, 'many-' || i, '{doc}' "
        f"FROM generate_series(1, {customers}) AS i",
        "INSERT INTO events (workspace_id, id, node_id, customer_id, registered_us, updated_us, date_us, version, type, context, body) "
        f"SELECT {w}, {id_of.format('0be00000', 'i')}, {node}, {id_of.format('0bc00000', f'i % {customers} + 1')}, {NOW} + i, {NOW} + i, "
        f"{NOW} + i, 1, 'completedOrder', 'ECOMMERCE', '{BODY}' FROM generate_series(1, {events}) AS i",
        f"WITH head AS (UPDATE stream_heads SET last_offset = last_offset + {n}, last_us = last_us + {n} WHERE workspace_id = {w} "
        f"RETURNING last_offset - {n} AS before, last_us - {n} AS us), entries AS (SELECT i, i % 10 = 0 AS customer, "
        f"CASE WHEN i % 10 = 0 THEN {customers} ELSE {events} END AS most FROM generate_series(1::bigint, {n}) AS i), "
        f"numbers AS (SELECT i, customer, CASE WHEN i <= {n // 2} THEN i * most / {n // 2 + 1} ELSE i * 7919 % most END + 1 AS number FROM entries) "
        # runs of 9 events, each followed by a customer
        f"INSERT INTO stream_runs SELECT {w}, before + max(i), CASE WHEN customer THEN 1 ELSE 2 END, {node}, us + max(i), array_agg(2::smallint), array_agg(CASE WHEN customer "
        f"THEN {id_of.format('0bc00000', 'number')} ELSE {id_of.format('0be00000', 'number')} END ORDER BY i), array_agg(1::bigint) "
        "FROM head, numbers GROUP BY before, us, customer, (i - 1) / 10 ORDER BY max(i)",
        # nobody is to tell the other workers of them
        "UPDATE fact_cursors c SET published = h.last_offset FROM stream_heads h WHERE h.workspace_id = c.workspace_id",
        "VACUUM ANALYZE customers", "VACUUM ANALYZE events", "VACUUM ANALYZE stream_runs",
    ):
        stack.sql(text)

