"""Compares what clients were told with what the tables hold. Pure: works on plain values, so that its own tests can spoil
them on purpose and see that it notices."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

# Outcomes of a request as its client saw them.
OK, REFUSED, UNKNOWN = "ok", "refused", "unknown"
# In the stream of a snapshot: a customer of an aggregate node, which may come and go and whose version is a sum.
PROFILE = "PROFILE"
EVENTS, ALL = "events", "all"  # of a node, to be emptied
# A customer of a node that was made in the run.
OTHER = "OTHER"


class Write(NamedTuple):
    """Each value is new. A 504 names the command, so that its result tells what became of it."""

    value: str | None
    outcome: str
    command: str | None = None

    def settled(self, results):
        """The outcome after all; a command without a result has never been done. results: command id -> status, or None when they are
        not kept any more."""
        if self.outcome != UNKNOWN or self.command is None or results is None:
            return self.outcome
        return OK if results.get(self.command, 500) < 300 else REFUSED


@dataclass
class ItemHistory:
    """A part of something that has a key and a value: a subscription of a customer, a source of the workspace."""

    key: str
    created: Write
    deleted: Write | None = None
    changes: list = field(default_factory=list)  # Write

    def writes(self):
        return [self.created, *self.changes, *([self.deleted] if self.deleted else [])]


@dataclass
class CustomerHistory:
    """What one client did to one customer, in its order. Nobody else writes to this customer."""

    external_id: str
    id: str | None = None
    created: str = UNKNOWN
    created_by: str | None = None  # the command, when a 504 named it
    deleted: str | None = None  # outcome of the delete, if one was sent
    deleted_by: str | None = None
    changes: list = field(default_factory=list)  # Write of `extra`
    sessions: list = field(default_factory=list)  # (value, outcome)
    subscriptions: list = field(default_factory=list)  # ItemHistory


@dataclass
class EventHistory:
    marker: str
    outcome: str
    id: str | None
    customer_external_id: str | None
    session: str | None = None
    by_external_id: bool = False
    changes: list = field(default_factory=list)  # Write
    deleted: str | None = None  # outcome of the delete, if one was sent


@dataclass
class NodeCustomer:
    external_id: str
    outcome: str
    id: str | None = None
    emptied: str | None = None  # whether the node was emptied after it: OK for sure, UNKNOWN perhaps


@dataclass
class NodeHistory:
    """A node that one client made and nobody else writes to. Each name begins with the first one."""

    name: str
    created: str = UNKNOWN
    id: str | None = None
    names: list = field(default_factory=list)  # Write
    customers: list = field(default_factory=list)  # NodeCustomer
    events: list = field(default_factory=list)  # EventHistory, of no customer
    emptyings: list = field(default_factory=list)  # outcomes
    on_its_way: str | None = None  # an emptying of unknown outcome, of EVENTS or of ALL, may come behind what is asked for from now on

    def new_customer(self):
        emptied = UNKNOWN if self.on_its_way == ALL else None
        self.customers.append(NodeCustomer(f"{self.name}-{len(self.customers)}", UNKNOWN, emptied=emptied))
        return self.customers[-1]

    def new_event(self):
        deleted = UNKNOWN if self.on_its_way else None
        self.events.append(EventHistory(f"{self.name}-e{len(self.events)}", UNKNOWN, None, None, deleted=deleted))
        return self.events[-1]

    def emptied(self, outcome, events_only):
        """An emptying that was asked for, behind all that has been asked for so far. Those before it, too, are done when it is answered."""
        self.emptyings.append(outcome)
        if outcome == REFUSED:
            return
        if outcome == OK:
            self.on_its_way = None
        elif self.on_its_way != ALL:
            self.on_its_way = EVENTS if events_only else ALL
        for event in self.events:
            event.deleted = OK if OK in (outcome, event.deleted) else UNKNOWN
        for customer in () if events_only else self.customers:
            customer.emptied = OK if OK in (outcome, customer.emptied) else UNKNOWN


@dataclass
class BulkFile:
    """A file of new customers, or of one event for each of the external ids; outcome is that of its upload."""

    name: str
    entity: str
    external_ids: list
    outcome: str = UNKNOWN

    @staticmethod
    def customers(name, n):
        return BulkFile(f"{name}.csv", "CUSTOMER", [f"{name}-{i}" for i in range(n)])

    @staticmethod
    def events(name, of, n):
        """Every other event for somebody whom nobody has heard of."""
        return BulkFile(f"{name}.csv", "EVENT", [of.external_ids[i] if i % 2 else f"{name}-{i}" for i in range(n)])

    def marker(self, i):
        return f"{self.name}-{i}"

    def text(self):
        if self.entity == "CUSTOMER":
            return "externalId\r\n" + "".join(f"{id_}\r\n" for id_ in self.external_ids)
        rows = [f"{id_},OTHER,{self.marker(i)}\r\n" for i, id_ in enumerate(self.external_ids)]
        return "externalId,context,properties.name\r\n" + "".join(rows)


@dataclass
class BulkJob:
    """As the tables hold it; rows are (line, status, id) in the order of their lines."""

    name: str
    status: str
    rows: list = field(default_factory=list)


@dataclass
class Snapshot:
    """customers: id -> (external_id, version, extra); tombstones: set of customer ids; events: list of (id, marker,
    customer_id); event_tombstones: list of ids; stream: list of (offset, entity, operation, id, version) in offset order; profiles of the aggregate
    node: id -> version; addresses: customer id -> address; members: customer id -> profile id; subscriptions: customer id -> list of (key,
    value); event_states: event id -> (version, value); sources: list of (key, value); nodes: list of (id, name); others: list of (node id,
    external id, customer id); results: command id -> status, None when they are not kept so long."""

    customers: dict
    tombstones: set
    events: list
    event_tombstones: list
    stream: list
    dead_letters: int
    profiles: dict = field(default_factory=dict)
    addresses: dict = field(default_factory=dict)
    members: dict = field(default_factory=dict)
    subscriptions: dict = field(default_factory=dict)
    event_states: dict = field(default_factory=dict)
    sources: list = field(default_factory=list)
    nodes: list = field(default_factory=list)
    others: list = field(default_factory=list)
    results: dict | None = None


class Reading:
    """What a subscriber of the update stream was told through the API, page by page: once an entry has been read it never changes,
    whoever reads it again and with whatever filter."""

    def __init__(self):
        self.entries = []  # (entity, operation, id); the first has offset 1
        self.faults = []
        self.pages = self.again = 0

    def take(self, offset, told, next_offset):
        """A page without a filter. Its entries have no offsets of their own: they are those that follow."""
        self.pages += 1
        if next_offset != offset + len(told):
            self.faults.append(f"update stream: {len(told)} entries behind {offset} lead to {next_offset}")
        for position, entry in enumerate(told, start=offset):
            if position == len(self.entries):
                self.entries.append(entry)
            elif position > len(self.entries) or self.entries[position] != entry:
                known = self.entries[position] if position < len(self.entries) else "not read yet"
                self.faults.append(f"update stream: entry {position + 1} was {known} and is {entry}")
            else:
                self.again += 1

    def take_filtered(self, offset, told, next_offset, entity):
        """A page with a filter, of a part that has been read: exactly what passes the filter."""
        self.pages += 1
        if next_offset > len(self.entries):
            return
        if next_offset < offset:
            self.faults.append(f"update stream: behind {offset} it goes on at {next_offset}")
        if told != [entry for entry in self.entries[offset:next_offset] if entry[0] == entity]:
            self.faults.append(f"update stream: {entity} alone differs between {offset} and {next_offset}")
        self.again += len(told)


def check_reading(reading, snapshot):
    """Faults of a subscriber that has read to the end."""
    faults = list(reading.faults)
    stream = [("CUSTOMER" if entity in (PROFILE, OTHER) else entity, operation, id_) for _, entity, operation, id_, _ in snapshot.stream]
    if len(reading.entries) != len(stream):
        faults.append(f"update stream: {len(reading.entries)} of {len(stream)} entries were read")
    for offset, (told, kept) in enumerate(zip(reading.entries, stream), start=1):
        if told != kept:
            faults.append(f"update stream: entry {offset} was read as {told} and is {kept}")
            break
    return faults


def check(customers, events, snapshot, sources=()):
    """All faults found, as sentences."""
    faults = check_items("source", sources, snapshot.sources, snapshot.results)
    faults += check_customers(customers, snapshot)
    faults += check_events(customers, events, snapshot)
    faults += check_stream(snapshot) + check_profiles(snapshot)
    if snapshot.dead_letters:
        faults.append(f"{snapshot.dead_letters} dead letters")
    return faults


def check_bulk(files, jobs):
    """Each file that was taken is one job, which has applied each of its rows."""
    faults = []
    by_name = defaultdict(list)
    for job in jobs:
        by_name[job.name].append(job)
    faults += [f"bulk job {name} was never sent" for name in by_name.keys() - {file.name for file in files}]
    for file in files:
        found = by_name[file.name]
        if len(found) > 1:
            faults.append(f"bulk job {file.name} is there {len(found)} times")
        if file.outcome == OK and not found:
            faults.append(f"bulk job {file.name} was answered but is lost")
        for job in found:
            faults += check_bulk_job(file, job)
    return faults


def check_bulk_job(file, job):
    faults = []
    if file.outcome == REFUSED:
        faults.append(f"bulk job {file.name} was refused but is there")
    if job.status != "PROCESSED":
        faults.append(f"bulk job {file.name} is {job.status}")
    if [line for line, _, _ in job.rows] != list(range(1, len(file.external_ids) + 1)):
        faults.append(f"bulk job {file.name} has {len(job.rows)} results for {len(file.external_ids)} rows")
    wrong = Counter(status for _, status, _ in job.rows if status != "CREATED")
    if wrong:
        faults.append(f"bulk job {file.name} has rows that are {dict(wrong)}")
    return faults


def bulk_histories(files, jobs):
    """What must be there after the jobs: customers, and events."""
    made = {job.name: {line: id_ for line, _, id_ in job.rows} for job in jobs}
    customers, events = {}, []
    for file in files:
        if file.name not in made:
            continue
        for i, external_id in enumerate(file.external_ids):
            id_ = made[file.name].get(i + 1)
            customer = customers.setdefault(external_id, CustomerHistory(external_id, created=OK))
            if file.entity == "CUSTOMER":
                customer.id = id_
            else:
                events.append(EventHistory(file.marker(i), OK, id_, external_id, by_external_id=True))
    return list(customers.values()), events


def check_customers(histories, snapshot):
    faults = []
    by_external_id = defaultdict(list)
    for id_, (external_id, _, _) in snapshot.customers.items():
        by_external_id[external_id].append(id_)
    faults += [f"customer {id_} is there and deleted" for id_ in snapshot.customers.keys() & snapshot.tombstones]
    known = {h.external_id for h in histories}
    for external_id, ids in by_external_id.items():
        if len(ids) > 1:
            faults.append(f"customer {external_id} is there {len(ids)} times")
        if external_id not in known:
            faults.append(f"customer {external_id} was never sent")
    for h in histories:
        faults += check_one_customer(h, by_external_id[h.external_id], snapshot)
    return faults


def check_presence(name, created, deleted, there):
    """Is it there when it must be, and gone when it must be gone?"""
    if created == REFUSED:
        return [f"{name} was refused but is there"] if there else []
    if deleted == OK:
        return [f"{name} is there after its delete was answered"] if there else []
    if there or deleted == UNKNOWN or created == UNKNOWN:
        return []
    return [f"{name} was answered but is lost"]


def check_value(name, first, changes, value, results):
    """The last answered one, unless one of unknown outcome came later on its way."""
    done = [change.value for change in changes if change.outcome == OK]
    last = done[-1] if done else first
    late = {change.value for change in changes if change.outcome == UNKNOWN and change.settled(results) != REFUSED}
    return [] if value in {last} | late else [f"{name} has value {value}, last answered was {last}"]


def check_one_customer(h, ids, snapshot):
    name = f"customer {h.external_id}"
    created = Write(None, h.created, h.created_by).settled(snapshot.results)
    deleted = h.deleted and Write(None, h.deleted, h.deleted_by).settled(snapshot.results)
    faults = check_presence(name, created, deleted if deleted != REFUSED else None, bool(ids))
    if faults or not ids:
        return faults
    _, version, extra = snapshot.customers[ids[0]]
    if h.id and ids[0] != h.id:
        faults.append(f"{name} has another id than was answered")
    faults += check_value(name, None, h.changes, extra, snapshot.results)
    faults += check_version(name, [*h.changes, *(write for item in h.subscriptions for write in item.writes())], version, snapshot.results)
    return faults + check_items(f"{name}: subscription", h.subscriptions, snapshot.subscriptions.get(ids[0], []), snapshot.results)


def check_version(name, writes, version, results):
    """Every write that was done has changed something, and has done so once."""
    outcomes = Counter(write.settled(results) for write in writes)
    if 1 + outcomes[OK] <= version <= 1 + outcomes[OK] + outcomes[UNKNOWN]:
        return []
    return [f"{name} has version {version} after {outcomes[OK]} changes that were done and {outcomes[UNKNOWN]} unknown ones"]


def check_items(kind, histories, there, results):
    """there: list of (key, value)"""
    faults, by_key = [], defaultdict(list)
    for key, value in there:
        by_key[key].append(value)
    faults += [f"{kind} {key} was never sent" for key in by_key.keys() - {item.key for item in histories}]
    for item in histories:
        name, values = f"{kind} {item.key}", by_key[item.key]
        deleted = item.deleted and item.deleted.settled(results)
        if len(values) > 1:
            faults.append(f"{name} is there {len(values)} times")
        wrong = check_presence(name, item.created.settled(results), deleted if deleted != REFUSED else None, bool(values))
        faults += wrong or (check_value(name, item.created.value, item.changes, values[0], results) if values else [])
    return faults


def check_events(customers, events, snapshot):
    faults = []
    by_id = Counter(id_ for id_, _, _ in snapshot.events)
    by_marker = Counter(marker for _, marker, _ in snapshot.events)
    owner = {id_: customer for id_, _, customer in snapshot.events}
    there = snapshot.customers.keys() | {id_ for _, _, id_ in snapshot.others}
    tombstones = Counter(snapshot.event_tombstones)
    customer_ids = {h.external_id: h for h in customers}
    for id_, count in by_id.items():
        if count > 1:
            faults.append(f"event {id_} is there {count} times")
        if tombstones[id_]:
            faults.append(f"event {id_} is there and deleted")
    sent = {e.marker: e for e in events}
    for marker, count in by_marker.items():
        if marker not in sent:
            faults.append(f"event {marker} was never sent")
        elif sent[marker].outcome == REFUSED:
            faults.append(f"event {marker} was refused but is there")
        elif count > 1:
            faults.append(f"event {marker} is there {count} times")
    faults += [
        f"event {id_} belongs to {customer}, who is not there" for id_, _, customer in snapshot.events
        if customer and customer not in there
    ]
    for e in events:
        if e.outcome != OK:
            continue
        h = customer_ids.get(e.customer_external_id)
        gone = tombstones[e.id] and (e.deleted in (OK, UNKNOWN) or h and h.deleted in (OK, UNKNOWN))
        if by_id[e.id]:
            faults += check_one_event(e, snapshot)
        if not by_id[e.id] and not gone:
            faults.append(f"event {e.marker} was answered but is {'deleted' if tombstones[e.id] else 'lost'}")
        elif by_id[e.id] and h and h.deleted is None and h.id and bound_for_sure(e, h) and owner[e.id] != h.id:
            faults.append(f"event {e.marker} belongs to {owner[e.id]} instead of {h.id}")
        elif by_id[e.id] and h and owner[e.id] and unbound_for_sure(e, h):
            faults.append(f"event {e.marker} belongs to {owner[e.id]}, and its session to nobody")
    return faults


def check_one_event(e, snapshot):
    faults = []
    if e.deleted == OK:
        faults.append(f"event {e.marker} is there after its delete was answered")
    if e.id not in snapshot.event_states:
        return faults
    version, value = snapshot.event_states[e.id]
    # nobody waits for events: their commands have no results
    return faults + check_value(f"event {e.marker}", None, e.changes, value, None) + check_version(f"event {e.marker}", e.changes, version, None)


def check_nodes(histories, snapshot):
    """Nodes are there once under a name that was answered, and so are the customers that were put into them."""
    faults = []
    customers = Counter((node, external_id) for node, external_id, _ in snapshot.others)
    for h in histories:
        found = [(id_, name) for id_, name in snapshot.nodes if name.split("/")[0] == h.name]
        if len(found) > 1:
            faults.append(f"node {h.name} is there {len(found)} times")
        if h.created == OK and not found:
            faults.append(f"node {h.name} was answered but is lost")
        if h.created == REFUSED and found:
            faults.append(f"node {h.name} was refused but is there")
        if found:
            faults += check_value(f"node {h.name}", h.name, h.names, found[0][1], snapshot.results)
        for customer in h.customers:
            faults += check_node_customer(h, customer, customers[h.id, customer.external_id])
    return faults


def check_node_customer(node, customer, count):
    """One that was not known to be there may have come after the node was emptied."""
    lost = customer.outcome == OK and not customer.emptied and not count
    left = customer.outcome == OK and customer.emptied == OK and count
    if count > 1 or lost or left or (customer.outcome == REFUSED and count):
        return [f"customer {customer.external_id} of node {node.name} is there {count} times, answered with {customer.outcome}, "
                f"emptied: {customer.emptied}"]
    return []


def bound_for_sure(event, history):
    if event.session is None:
        return True
    return (event.session, OK) in history.sessions


def unbound_for_sure(event, history):
    return event.session is not None and event.session not in {value for value, outcome in history.sessions if outcome != REFUSED}


def check_stream(snapshot):
    faults = []
    last_version = {}
    last_operation = {}
    for position, (offset, entity, operation, id_, version) in enumerate(snapshot.stream, start=1):
        if offset != position:
            faults.append(f"update stream: offset {offset} where {position} was due")
            break
        key = (entity, id_)
        if key in last_version and operation != "DELETE" and entity == "CUSTOMER" and version <= last_version[key]:
            faults.append(f"update stream: {entity} {id_} goes from version {last_version[key]} to {version}")
        if entity != PROFILE and last_operation.get(key) == "DELETE" and operation != "DELETE":
            faults.append(f"update stream: {entity} {id_} changes after its delete")
        if operation == "CREATE" and key in last_version and (entity != PROFILE or last_operation[key] != "DELETE"):
            faults.append(f"update stream: {entity} {id_} is created twice")
        last_version[key] = version
        last_operation[key] = operation
    customers = {id_: version for id_, (_, version, _) in snapshot.customers.items()}
    for entity, live in (("CUSTOMER", customers), (PROFILE, snapshot.profiles)):
        streamed = {k[1]: v for k, v in last_version.items() if k[0] == entity and last_operation[k] != "DELETE"}
        faults += [f"{entity} {id_} differs between table and update stream" for id_ in live.keys() ^ streamed.keys()]
        faults += [
            f"{entity} {id_} has version {live[id_]} in its table and {streamed[id_]} in the update stream"
            for id_ in live.keys() & streamed.keys()
            if live[id_] != streamed[id_]
        ]
    events = {id_ for id_, _, _ in snapshot.events}
    streamed_events = {k[1] for k in last_version if k[0] == "EVENT" and last_operation[k] != "DELETE"}
    faults += [f"event {id_} differs between table and update stream" for id_ in events ^ streamed_events]
    return faults


def check_profiles(snapshot):
    """Every customer is in one profile, with exactly those who have its address; the version is the sum of its members'."""
    if not snapshot.profiles:
        return [f"customer {id_} belongs to a profile, but there is none" for id_ in snapshot.members]
    faults = [f"customer {id_} differs between customers and members" for id_ in snapshot.customers.keys() ^ snapshot.members.keys()]
    of_address, of_profile = {}, defaultdict(list)
    for id_, profile in snapshot.members.items():
        of_profile[profile].append(id_)
        address = snapshot.addresses.get(id_)
        if address and of_address.setdefault(address, profile) != profile:
            faults.append(f"customer {id_} is in another profile than others with its address")
    faults += [f"profile {id_} differs between customers and members" for id_ in snapshot.profiles.keys() ^ of_profile.keys()]
    for profile, members in of_profile.items():
        faults += check_profile(profile, members, snapshot)
    return faults


def check_profile(profile, members, snapshot):
    faults = []
    addresses = {snapshot.addresses.get(id_) for id_ in members}
    if len(addresses) > 1 or (None in addresses and len(members) > 1):
        faults.append(f"profile {profile} has members that do not belong together")
    version = sum(snapshot.customers[id_][1] for id_ in members if id_ in snapshot.customers)
    if snapshot.profiles.get(profile) not in (None, version):
        faults.append(f"profile {profile} has version {snapshot.profiles[profile]}, its members' sum is {version}")
    return faults
