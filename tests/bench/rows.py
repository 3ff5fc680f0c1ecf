"""The rows that wrk measures, as data. A goal that is not given is not judged."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    connections: int
    what: str
    lua: str = ""  # row of load.lua, when it is not the name
    admin: bool = False  # read by people, not by sources
    half_of: str = ""  # at half the rate that this row, with the same connections, has reached
    rate: float = 0  # goals: at least so many per second,
    p50: float = 0  # at most so many ms,
    p99: float = 0
    cpu_us: float = 0  # and at most so much CPU of all processes per operation
    flat: bool = False  # must cost the same however many customers there are
    quick: bool = False


ROWS = (
    Row("live", 64, "the gateway's health, no store asked", quick=True),
    Row("event", 64, "POST an event, acknowledged, until it is in the tables", cpu_us=100, rate=15000),
    Row("event", 256, "the same", cpu_us=100, rate=15000, quick=True),
    Row("event", 512, "the same", cpu_us=100, rate=15000),
    Row("event_half", 256, "the same at half that rate", lua="event", half_of="event", p99=50, quick=True),
    Row("session_event", 256, "POST an event of a session that is nobody's yet"),
    Row("customer_create", 128, "POST a customer who is new", rate=5000, flat=True, quick=True),
    Row("customer_merge", 128, "POST a customer who is there", rate=5000, flat=True),
    Row("customer_post", 128, "POST a customer, new and there in turn", rate=5000, quick=True),
    Row("customer_post_half", 128, "the same at half that rate", lua="customer_post", half_of="customer_post", p50=5, p99=15, quick=True),
    Row("customer_get", 64, "GET a customer by id", rate=20000, flat=True, quick=True),
    Row("customer_by_key", 16, "search customers by the unique key", p99=10, flat=True),
    Row("customer_by_query", 8, "search customers by two conditions, each met by 1 of 100", p99=50, flat=True),
    Row("customer_events", 16, "GET the events of a customer", p99=10, flat=True),
    Row("stats_snapshot", 4, "statistics: customers by channel", p99=20, admin=True),
    Row("stats_purchases", 4, "statistics: purchases of a month", p99=20, admin=True),
    Row("stats_types", 4, "statistics: events by type and context of a month", p99=20, admin=True),
    Row("updates", 1, "update stream: a page of 4,000 in the order of creation", p99=100, admin=True, quick=True),
    Row("updates_scattered", 1, "the same, entities from all over the tables", p99=100, admin=True),
    Row("updates_rare", 1, "the same, a filter that nothing passes", p99=100, admin=True),
    Row("updates_time", 1, "the same, looked for by time", p99=100, admin=True),
)
