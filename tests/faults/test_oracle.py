"""The oracle is tested: each fault, put in on purpose, must be found, and a sound run must give none."""

import copy
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from oracle import (OK, REFUSED, UNKNOWN, BulkFile, BulkJob, CustomerHistory, EventHistory, ItemHistory, NodeCustomer, NodeHistory, Reading, Snapshot, Write,
                    bulk_histories, check, check_bulk, check_nodes, check_reading)


def sound():
    customers = [
        CustomerHistory("a", id="1", created=OK, changes=[Write("a1", OK), Write("a2", OK)], sessions=[("s", OK)],
                        subscriptions=[ItemHistory("u", Write("u1", OK))]),
        CustomerHistory("b", id="2", created=OK, deleted=OK),
        CustomerHistory("c", created=REFUSED),
        CustomerHistory("d", created=UNKNOWN),
    ]
    events = [
        EventHistory("m1", OK, "e1", "a", changes=[Write("x1", OK), Write("x2", OK), Write("x3", UNKNOWN)]),
        EventHistory("m2", OK, "e2", "a", session="s"),
        EventHistory("m3", OK, "e3", "b"),
        EventHistory("m4", UNKNOWN, None, "a"),
        EventHistory("m5", OK, "e5", "a", deleted=OK),
    ]
    snapshot = Snapshot(
        customers={"1": ("a", 4, "a2")},
        tombstones={"2"},
        events=[("e1", "m1", "1"), ("e2", "m2", "1")],
        event_tombstones=["e3", "e5"],
        subscriptions={"1": [("u", "u1")]},
        event_states={"e1": (3, "x2"), "e2": (1, None)},
        stream=[
            (1, "CUSTOMER", "CREATE", "1", 1),
            (2, "CUSTOMER", "CREATE", "2", 1),
            (3, "EVENT", "CREATE", "e1", 1),
            (4, "EVENT", "CREATE", "e3", 1),
            (5, "CUSTOMER", "UPDATE", "1", 2),
            (6, "CUSTOMER", "UPDATE", "1", 4),
            (7, "EVENT", "CREATE", "e2", 1),
            (8, "EVENT", "DELETE", "e3", 1),
            (9, "CUSTOMER", "DELETE", "2", 1),
            (10, "PROFILE", "CREATE", "7", 5),
            (11, "PROFILE", "DELETE", "7", 5),
            (12, "PROFILE", "CREATE", "7", 4),
        ],
        dead_letters=0,
        profiles={"7": 4},
        addresses={"1": "a@example.com"},
        members={"1": "7"},
    )
    return customers, events, snapshot


def lost_write(c, e, s):
    del s.customers["1"]


def lost_change(c, e, s):
    s.customers["1"] = ("a", 3, "a1")


def lost_subscription(c, e, s):
    s.subscriptions.clear()


def doubled_subscription(c, e, s):
    s.subscriptions["1"].append(("u", "u1"))


def lost_event_change(c, e, s):
    s.event_states["e1"] = (3, "x1")


def doubled_event_change(c, e, s):
    s.event_states["e1"] = (5, "x2")


def undone_event_delete(c, e, s):
    s.events.append(("e5", "m5", "1"))
    s.event_tombstones.remove("e5")


def event_of_nobody(c, e, s):
    """Its customer was deleted, and it lives on."""
    s.events.append(("e3", "m3", "2"))
    s.event_tombstones.remove("e3")
    s.stream[7] = (8, "EVENT", "UPDATE", "e3", 2)


def doubled_change(c, e, s):
    s.customers["1"] = ("a", 5, "a2")


def doubled_customer(c, e, s):
    s.customers["9"] = ("a", 1, None)


def undone_delete(c, e, s):
    s.customers["2"] = ("b", 1, None)


def buried_alive(c, e, s):
    s.tombstones.add("1")


def refused_applied(c, e, s):
    s.customers["3"] = ("c", 1, None)


def lost_event(c, e, s):
    s.events.pop(0)


def doubled_event(c, e, s):
    s.events.append(("e9", "m1", "1"))


def unbound_event(c, e, s):
    s.events[1] = ("e2", "m2", None)


def gap(c, e, s):
    s.stream[4:] = [(o + 1, *rest) for o, *rest in s.stream[4:]]


def swapped(c, e, s):
    a, b = s.stream[4], s.stream[5]
    s.stream[4], s.stream[5] = (5, *b[1:]), (6, *a[1:])


def change_not_streamed(c, e, s):
    s.stream.pop(5)
    s.stream[5:] = [(o - 1, *rest) for o, *rest in s.stream[5:]]


def dead_letter(c, e, s):
    s.dead_letters = 1


def profile_lost(c, e, s):
    del s.profiles["7"]


def profile_left_over(c, e, s):
    s.profiles["8"] = 1


def profile_counts_wrong(c, e, s):
    s.profiles["7"] = 5
    s.stream[11] = (*s.stream[11][:4], 5)


def member_lost(c, e, s):
    del s.members["1"]


def member_left_over(c, e, s):
    s.members["2"] = "7"


def second_customer(s, address, profile):
    """Sound when it stands where its address belongs."""
    s.customers["5"] = ("d", 1, None)
    s.stream.append((13, "CUSTOMER", "CREATE", "5", 1))
    s.stream.append((14, "PROFILE", "UPDATE" if profile in s.profiles else "CREATE", profile, s.profiles.get(profile, 0) + 1))
    s.profiles[profile] = s.profiles.get(profile, 0) + 1
    s.addresses["5"], s.members["5"] = address, profile


def strangers_together(c, e, s):
    second_customer(s, "b@example.com", "7")


def without_address_together(c, e, s):
    second_customer(s, None, "7")


def household_torn(c, e, s):
    second_customer(s, "a@example.com", "8")


def sound_writes():
    """Subscriptions, sources, and 504s that named their commands: k1 was done, k2 was not."""
    customers = [
        CustomerHistory("a", id="1", created=OK, changes=[Write("a1", UNKNOWN, "k1"), Write("a2", UNKNOWN, "k2")], subscriptions=[
            ItemHistory("i", Write("i1", OK), changes=[Write("i2", OK)]),
            ItemHistory("j", Write("j1", OK), deleted=Write(None, OK)),
        ]),
        CustomerHistory("b", created=UNKNOWN, created_by="k2"),
    ]
    events = [EventHistory("m", OK, "e", "a", session="never bound")]
    sources = [ItemHistory("s", Write("s1", OK), changes=[Write("s2", OK), Write("s3", UNKNOWN, "k2")]), ItemHistory("t", Write("t1", UNKNOWN))]
    stream = [(n, "CUSTOMER", "UPDATE" if n > 1 else "CREATE", "1", n) for n in range(1, 7)] + [(7, "EVENT", "CREATE", "e", 1)]
    snapshot = Snapshot(customers={"1": ("a", 6, "a1")}, tombstones=set(), events=[("e", "m", None)], event_tombstones=[], stream=stream,
                        dead_letters=0, subscriptions={"1": [("i", "i2")]}, sources=[("s", "s2")], results={"k1": 200})
    return customers, events, snapshot, sources


def subscription_lost(c, e, s, r):
    s.subscriptions["1"].pop()


def subscription_twice(c, e, s, r):
    s.subscriptions["1"].append(("i", "i2"))


def subscription_not_sent(c, e, s, r):
    s.subscriptions["1"].append(("x", "x1"))


def subscription_changed_back(c, e, s, r):
    s.subscriptions["1"] = [("i", "i1")]


def subscription_not_deleted(c, e, s, r):
    s.subscriptions["1"].append(("j", "j1"))


def done_without_a_result(c, e, s, r):
    s.results.clear()


def not_done_but_a_result(c, e, s, r):
    s.results["k2"] = 200


def made_without_a_result(c, e, s, r):
    s.customers["2"] = ("b", 1, None)
    s.stream.append((8, "CUSTOMER", "CREATE", "2", 1))


def source_lost(c, e, s, r):
    s.sources.clear()


def source_twice(c, e, s, r):
    s.sources.append(("s", "s2"))


def source_changed_back(c, e, s, r):
    s.sources[0] = ("s", "s1")


def source_changed_without_a_result(c, e, s, r):
    s.sources[0] = ("s", "s3")


def bound_to_somebody(c, e, s, r):
    s.events[0] = ("e", "m", "1")


def sound_bulk():
    people, unknown = BulkFile.customers("p", 2), BulkFile.customers("u", 2)
    events, refused = BulkFile.events("e", people, 2), BulkFile.customers("r", 2)
    people.outcome, events.outcome, refused.outcome = OK, OK, REFUSED
    jobs = [
        BulkJob("p.csv", "PROCESSED", [(1, "CREATED", "1"), (2, "CREATED", "2")]),
        BulkJob("e.csv", "PROCESSED", [(1, "CREATED", "3"), (2, "CREATED", "4")]),
    ]
    return [people, events, unknown, refused], jobs


def lost_job(files, jobs):
    jobs.pop()


def doubled_job(files, jobs):
    jobs.append(copy.deepcopy(jobs[0]))


def refused_job(files, jobs):
    jobs.append(BulkJob("r.csv", "PROCESSED", jobs[0].rows))


def unsent_job(files, jobs):
    jobs.append(BulkJob("x.csv", "PROCESSED"))


def unfinished_job(files, jobs):
    jobs[0].status = "PROCESSING"


def lost_row(files, jobs):
    jobs[0].rows.pop()


def failed_row(files, jobs):
    jobs[0].rows[0] = (1, "FAILED", None)


def sound_nodes():
    nodes = [
        NodeHistory("n0", OK, "n-0", names=[Write("n0/1", OK), Write("n0/2", UNKNOWN), Write("n0/3", REFUSED)],
                    customers=[NodeCustomer("x", OK), NodeCustomer("y", UNKNOWN), NodeCustomer("z", REFUSED), NodeCustomer("gone", OK, emptied=OK),
                               NodeCustomer("perhaps", OK, emptied=UNKNOWN), NodeCustomer("late", UNKNOWN, emptied=OK)]),
        NodeHistory("n1", REFUSED),
        NodeHistory("n2", UNKNOWN),
    ]
    return nodes, Snapshot({}, set(), [], [], [], 0, nodes=[("n-0", "n0/2"), ("main", "shop")], others=[("n-0", "x", "c-x"), ("n-0", "late", "c-late")])


def lost_node(n, s):
    s.nodes.pop(0)


def doubled_node(n, s):
    s.nodes.append(("n-9", "n0"))


def refused_node(n, s):
    s.nodes.append(("n-1", "n1"))


def refused_name(n, s):
    s.nodes[0] = ("n-0", "n0/3")


def old_name(n, s):
    s.nodes[0] = ("n-0", "n0")


def lost_customer_of_node(n, s):
    s.others.clear()


def doubled_customer_of_node(n, s):
    s.others.append(("n-0", "x", "c-x2"))


def refused_customer_of_node(n, s):
    s.others.append(("n-0", "z", "c-z"))


def left_customer_of_node(n, s):
    s.others.append(("n-0", "gone", "c-gone"))


class OracleTest(unittest.TestCase):
    def test_sound_nodes_have_no_faults(self):
        self.assertEqual(check_nodes(*sound_nodes()), [])

    def test_each_fault_of_a_node_is_found(self):
        for spoil in (lost_node, doubled_node, refused_node, refused_name, old_name, lost_customer_of_node, doubled_customer_of_node,
                      refused_customer_of_node, left_customer_of_node):
            with self.subTest(spoil.__name__):
                parts = copy.deepcopy(sound_nodes())
                spoil(*parts)
                self.assertTrue(check_nodes(*parts), spoil.__name__)

    def test_an_emptying_of_unknown_outcome_may_come_later(self):
        for emptyings, customer, event in (
            ([], None, None),
            ([(REFUSED, False)], None, None),
            ([(OK, False)], None, None),
            ([(UNKNOWN, False)], UNKNOWN, UNKNOWN),
            ([(UNKNOWN, True)], None, UNKNOWN),
            ([(UNKNOWN, False), (UNKNOWN, True)], UNKNOWN, UNKNOWN),
            ([(UNKNOWN, True), (UNKNOWN, False)], UNKNOWN, UNKNOWN),
            ([(UNKNOWN, False), (OK, True)], None, None),
            ([(UNKNOWN, False), (REFUSED, False)], UNKNOWN, UNKNOWN),
        ):
            with self.subTest(emptyings):
                node = NodeHistory("n")
                for outcome, events_only in emptyings:
                    node.emptied(outcome, events_only)
                self.assertEqual((node.new_customer().emptied, node.new_event().deleted), (customer, event))

    def test_sound_jobs_have_no_faults(self):
        files, jobs = sound_bulk()
        self.assertEqual(check_bulk(files, jobs), [])
        customers, events = bulk_histories(files, jobs)
        self.assertEqual([(c.external_id, c.id) for c in customers], [("p-0", "1"), ("p-1", "2"), ("e-0", None)])
        self.assertEqual([(e.marker, e.id, e.customer_external_id) for e in events],
                         [("e.csv-0", "3", "e-0"), ("e.csv-1", "4", "p-1")])

    def test_each_fault_of_a_job_is_found(self):
        for spoil in (lost_job, doubled_job, refused_job, unsent_job, unfinished_job, lost_row, failed_row):
            with self.subTest(spoil.__name__):
                parts = copy.deepcopy(sound_bulk())
                spoil(*parts)
                self.assertTrue(check_bulk(*parts), spoil.__name__)

    def test_sound_run_has_no_faults(self):
        self.assertEqual(check(*sound()), [])

    def test_customers_with_one_address_are_one_profile(self):
        for address, profile in (("a@example.com", "7"), ("b@example.com", "8"), (None, "8")):
            with self.subTest(address):
                customers, events, snapshot = sound()
                second_customer(snapshot, address, profile)
                self.assertEqual(check(customers, events, snapshot), [])

    def test_each_fault_is_found(self):
        for spoil in (
            lost_write, lost_change, doubled_change, doubled_customer, undone_delete, buried_alive, refused_applied, lost_event,
            doubled_event, unbound_event, gap, swapped, change_not_streamed, dead_letter, profile_lost, profile_left_over, profile_counts_wrong,
            lost_subscription, doubled_subscription, lost_event_change, doubled_event_change, undone_event_delete, event_of_nobody,
            member_lost, member_left_over, strangers_together, without_address_together, household_torn,
        ):
            with self.subTest(spoil.__name__):
                parts = copy.deepcopy(sound())
                spoil(*parts)
                self.assertTrue(check(*parts), spoil.__name__)


class WritesTest(unittest.TestCase):
    def test_sound_writes_have_no_faults(self):
        self.assertEqual(check(*sound_writes()), [])

    def test_results_that_are_not_kept_tell_nothing(self):
        for version, value in ((5, None), (6, "a1"), (6, "a2"), (7, "a2")):
            with self.subTest(f"{version} {value}"):
                customers, events, snapshot, sources = sound_writes()
                snapshot.results = None
                snapshot.customers["1"] = ("a", version, value)
                snapshot.stream[:] = [(n, "CUSTOMER", "UPDATE" if n > 1 else "CREATE", "1", n) for n in range(1, version + 1)]
                snapshot.stream.append((version + 1, "EVENT", "CREATE", "e", 1))
                self.assertEqual(check(customers, events, snapshot, sources), [])

    def test_each_fault_of_writes_is_found(self):
        for spoil in (
            subscription_lost, subscription_twice, subscription_not_sent, subscription_changed_back, subscription_not_deleted,
            done_without_a_result, not_done_but_a_result, made_without_a_result, source_lost, source_twice, source_changed_back,
            source_changed_without_a_result, bound_to_somebody,
        ):
            with self.subTest(spoil.__name__):
                parts = copy.deepcopy(sound_writes())
                spoil(*parts)
                self.assertTrue(check(*parts), spoil.__name__)


def told(first, last):
    """Entries behind `first` up to `last`, as a page tells them."""
    stream = sound()[2].stream[first:last]
    return [("CUSTOMER" if entity in ("PROFILE", "OTHER") else entity, operation, id_) for _, entity, operation, id_, _ in stream]


def read_well(reading):
    reading.take(0, told(0, 4), 4)
    reading.take(4, told(4, 9), 9)
    reading.take(9, told(9, 12), 12)
    reading.take(12, [], 12)
    reading.take(2, told(2, 6), 6)
    reading.take_filtered(0, [entry for entry in told(0, 9) if entry[0] == "EVENT"], 8, "EVENT")
    reading.take_filtered(8, [], 8, "EVENT")


def entry_changed(reading):
    read_well(reading)
    reading.take(2, [("EVENT", "UPDATE", "e1")], 3)


def entry_left_out(reading):
    reading.take(0, told(0, 4) + told(5, 12), 11)


def entries_swapped(reading):
    reading.take(0, told(0, 4), 4)
    reading.take(4, told(4, 6) + told(7, 8) + told(6, 7) + told(8, 12), 12)


def page_passed_over(reading):
    reading.take(0, told(0, 4), 5)
    reading.take(5, told(5, 12), 12)


def not_read_to_the_end(reading):
    reading.take(0, told(0, 11), 11)


def filter_lost_one(reading):
    read_well(reading)
    reading.take_filtered(0, told(2, 4), 8, "EVENT")


def filter_let_pass(reading):
    read_well(reading)
    reading.take_filtered(0, told(0, 4), 4, "EVENT")


def goes_back(reading):
    read_well(reading)
    reading.take_filtered(5, [], 3, "CUSTOMER")


class ReadingTest(unittest.TestCase):
    def test_a_sound_reading_has_no_faults(self):
        reading = Reading()
        read_well(reading)
        self.assertEqual(check_reading(reading, sound()[2]), [])

    def test_each_fault_of_reading_is_found(self):
        for spoil in (
            entry_changed, entry_left_out, entries_swapped, page_passed_over, not_read_to_the_end, filter_lost_one, filter_let_pass,
            goes_back,
        ):
            with self.subTest(spoil.__name__):
                reading = Reading()
                spoil(reading)
                self.assertTrue(check_reading(reading, sound()[2]), spoil.__name__)


if __name__ == "__main__":
    unittest.main()
