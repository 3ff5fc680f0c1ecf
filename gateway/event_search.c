#include "gateway/event_search.h"

#include "common/clock.h"
#include "common/event.h"
#include "gateway/handlers.h"

/* What both kinds of search ask of an event; the numbers of the parameters are the same in both. */
#define MATCHES                                                                                                        \
	" AND ($3::text[] IS NULL OR e.type = ANY ($3)) AND ($4::text[] IS NULL OR e.context = ANY ($4))"              \
	" AND e.date_us BETWEEN $5::bigint AND $6::bigint AND e.registered_us BETWEEN $9::bigint AND $10::bigint"

/*
 * The total counts no further than the reach of a search; the left join gives one row with the total when the page is
 * empty. $1 workspace, $2 nodes, $7 rows of the page, $8 rows before it, $9 and $10 from when to when events were
 * registered. profile: of an event that an aggregate node shows as a duplicate.
 */
#define SEARCH(profile, counted, found, order)                                                                         \
	"SELECT t.n, " EVENT_COLUMNS profile " FROM (SELECT count(*) AS n FROM (" counted " LIMIT 10000) x) t "        \
	"LEFT JOIN LATERAL (" found " ORDER BY " order                                                                 \
	" LIMIT $7::bigint OFFSET $8::bigint) e ON true ORDER BY " order

/* $11 customer */
#define OF_CUSTOMER                                                                                                    \
	" FROM events e WHERE e.workspace_id = $1::uuid AND e.customer_id = $11::uuid AND e.node_id = ANY "            \
	"($2::uuid[])" MATCHES
#define CUSTOMER_SEARCH(order) SEARCH("", "SELECT" OF_CUSTOMER, "SELECT e.*" OF_CUSTOMER, order)

/* Each node's events are read in the order of its index, no more of them than the page may need. */
#define OF_NODES(columns, condition, rows)                                                                             \
	"SELECT " columns " FROM unnest($2::uuid[]) AS n(id) CROSS JOIN LATERAL (SELECT " columns                      \
	" FROM events e WHERE e.workspace_id = $1::uuid AND e.node_id = n.id" MATCHES condition rows ") e"
#define NODES(profile, condition, order)                                                                               \
	SEARCH(profile, OF_NODES("", condition, " LIMIT 10000"),                                                       \
	        OF_NODES("e.*", condition, " ORDER BY " order " LIMIT $7::bigint + $8::bigint"), order)
#define NODE_SEARCH(order) NODES("", "", order)

/*
 * An aggregate node's events are its own and those of its entry nodes' customers, $11 aggregate node. Nearly all of
 * these are members, so looking each up costs less than beginning with the members; as a value, so that it stays a
 * look-up. Its own are not shown while their profile is not there, say, because a filter excludes it.
 */
#define MEMBER(column)                                                                                                 \
	"(SELECT " column " FROM aggregate_members m WHERE m.workspace_id = $1::uuid AND m.node_id = $11::uuid "       \
	"AND m.customer_id = e.customer_id)"
#define AGGREGATE_SEARCH(order)                                                                                        \
	NODES(", CASE WHEN e.node_id <> $11::uuid THEN " MEMBER("m.profile_id") " END",                                \
	        " AND CASE WHEN e.node_id <> $11::uuid THEN " MEMBER(                                                  \
	                "NOT m.excluded") " ELSE (SELECT true "                                                        \
	                                  "FROM customers c WHERE c.workspace_id = $1::uuid AND c.id = "               \
	                                  "e.customer_id) END",                                                        \
	        order)

/* A profile's events are its own and its members', $11 profile, $12 aggregate node. Customers of other nodes have none
   here: who may read the aggregate node need not be one who may read them. */
#define OF_PROFILE(columns, column, rows)                                                                              \
	"SELECT " columns " FROM (SELECT m.customer_id AS id, m.profile_id FROM aggregate_members m "                  \
	"WHERE m.workspace_id = $1::uuid AND m.profile_id = $11::uuid AND m.node_id = $12::uuid AND NOT m.excluded "   \
	"UNION ALL SELECT c.id, NULL FROM customers c WHERE c.workspace_id = $1::uuid AND c.id = $11::uuid "           \
	"AND c.node_id = $12::uuid) m "                                                                                \
	"CROSS JOIN LATERAL (SELECT " column                                                                           \
	" FROM events e WHERE e.workspace_id = $1::uuid AND e.customer_id = m.id AND e.node_id = ANY "                 \
	"($2::uuid[])" MATCHES rows ") e"
#define PROFILE_SEARCH(order)                                                                                          \
	SEARCH(", e.profile_id", OF_PROFILE("", "", " LIMIT 10000"),                                                   \
	        OF_PROFILE("e.*, m.profile_id", "e.*", " ORDER BY " order " LIMIT $7::bigint + $8::bigint"), order)

#define PROFILE_NEIGHBOUR(before, beyond, way, other)                                                                  \
	"SELECT e.id, e.customer_id FROM (SELECT m.customer_id AS id FROM aggregate_members m "                        \
	"WHERE m.workspace_id = $1::uuid AND m.profile_id = $2::uuid AND m.node_id = $5::uuid AND NOT m.excluded "     \
	"UNION ALL SELECT $2::uuid) m CROSS JOIN LATERAL (SELECT e.id, e.customer_id, e.date_us FROM events e "        \
	"WHERE e.workspace_id = $1::uuid AND e.customer_id = m.id AND e.registered_us BETWEEN $6::bigint AND "         \
	"$7::bigint "                                                                                                  \
	"AND e.date_us " before "= $3::bigint "                                                                        \
	"AND (e.date_us " before " $3::bigint OR e.id " beyond " $4::uuid) ORDER BY e.date_us " way ", e.id " other    \
	" LIMIT 1) e ORDER BY e.date_us " way ", e.id " other " LIMIT 1"

/* Ties are broken by id, in the direction in which the index can be read. */
#define BY(column, way, other) "e." column " " way ", e.id " other

/* A node may have millions of events of which a type, or an aggregate node, has none. */
#define ROW(kind, suffix, search, n, scan, column, way, other)                                                         \
	{                                                                                                              \
		.name = "event_search_" kind "_" suffix, .sql = search(BY(column, way, other)), .n_params = n,         \
		.scans = scan                                                                                          \
	}
#define ROWS_BY_DATE(kind, search, n, scan)                                                                            \
	ROW(kind, "date_desc", search, n, scan, "date_us", "DESC", "ASC"),                                             \
	        ROW(kind, "date_asc", search, n, scan, "date_us", "ASC", "DESC")
#define ROWS_BY_ALL(kind, search, n, scan)                                                                             \
	ROWS_BY_DATE(kind, search, n, scan),                                                                           \
	        ROW(kind, "registered_desc", search, n, scan, "registered_us", "DESC", "ASC"),                         \
	        ROW(kind, "registered_asc", search, n, scan, "registered_us", "ASC", "DESC"),                          \
	        ROW(kind, "updated_desc", search, n, scan, "updated_us", "DESC", "ASC"),                               \
	        ROW(kind, "updated_asc", search, n, scan, "updated_us", "ASC", "DESC")

const struct statement event_statements[] = {
        {.name = "event_by_id",
                .sql = "SELECT " EVENT_COLUMNS " FROM events e WHERE e.workspace_id = $1::uuid AND e.id = $2::uuid "
                       "AND e.registered_us BETWEEN $3::bigint AND $4::bigint LIMIT 1",
                .n_params = 4,
                .by_key = true},
        /* what became of a keyed write when the event, or the customer, is gone that would say where it went */
        {.name = "event_first_result",
                .sql = "SELECT r.status, r.body::text FROM command_results r WHERE r.workspace_id = $1::uuid "
                       "AND r.command_id = $2::uuid AND r.topic = 'event-commands' AND r.fingerprint = $3::bigint "
                       "AND (r.kept_until_us >= $4::bigint OR r.kept_until_us IS NULL) LIMIT 1",
                .n_params = 4},
        /* $3 customer, $4 date, $5 id of the event in the middle */
        {.name = "event_neighbours",
                .sql = "SELECT (SELECT e.id FROM events e WHERE e.workspace_id = $1::uuid AND e.customer_id = $2::uuid "
                       "AND e.registered_us BETWEEN $5::bigint AND $6::bigint AND e.date_us <= $3::bigint AND "
                       "(e.date_us < $3::bigint OR e.id > $4::uuid) "
                       "ORDER BY e.date_us DESC, e.id LIMIT 1), "
                       "(SELECT e.id FROM events e WHERE e.workspace_id = $1::uuid AND e.customer_id = $2::uuid "
                       "AND e.registered_us BETWEEN $5::bigint AND $6::bigint AND e.date_us >= $3::bigint AND "
                       "(e.date_us > $3::bigint OR e.id < $4::uuid) "
                       "ORDER BY e.date_us, e.id DESC LIMIT 1)",
                .n_params = 6},
        /* $2 aggregate nodes, $3 the event that each one would show by the id in question */
        {.name = "event_derived",
                .sql = "SELECT u.node, m.profile_id, " EVENT_COLUMNS " FROM unnest($2::uuid[], $3::uuid[]) "
                       "AS u(node, id) CROSS JOIN LATERAL (SELECT * FROM events WHERE workspace_id = $1::uuid "
                       "AND id = u.id AND registered_us BETWEEN $4::bigint AND $5::bigint LIMIT 1) e CROSS JOIN "
                       "LATERAL (SELECT m.profile_id FROM aggregate_members m "
                       "WHERE m.workspace_id = $1::uuid AND m.node_id = u.node AND m.customer_id = e.customer_id "
                       "AND NOT m.excluded OFFSET 0) m LIMIT 1",
                .n_params = 5},
        /* the same for $2 profile of $5 aggregate node: each neighbour's id and customer */
        {.name = "event_profile_neighbours",
                .sql = "SELECT p.id, p.customer_id, n.id, n.customer_id FROM (SELECT) x "
                       "LEFT JOIN LATERAL (" PROFILE_NEIGHBOUR("<", ">", "DESC",
                               "ASC") ") p ON true "
                                      "LEFT JOIN LATERAL (" PROFILE_NEIGHBOUR(">", "<", "ASC", "DESC") ") n ON true",
                .n_params = 7},
        ROWS_BY_ALL("customer", CUSTOMER_SEARCH, 11, false),
        ROWS_BY_DATE("node", NODE_SEARCH, 10, true),
        ROWS_BY_ALL("profile", PROFILE_SEARCH, 12, true),
        ROWS_BY_DATE("aggregate", AGGREGATE_SEARCH, 11, true),
};
const size_t event_statement_count = ARRAY_LEN(event_statements);

#define NAMES_OF(kind)                                                                                                 \
	{                                                                                                              \
		[EVENT_SORT_DATE] = {"event_search_" kind "_date_desc", "event_search_" kind "_date_asc"},             \
		[EVENT_SORT_REGISTERED] = {"event_search_" kind "_registered_desc",                                    \
		        "event_search_" kind "_registered_asc"},                                                       \
		[EVENT_SORT_UPDATED] = {"event_search_" kind "_updated_desc", "event_search_" kind "_updated_asc"},    \
	}

const char *event_search_statement(const struct event_search *search)
{
	/* without a customer by date only; first index: of an aggregate node */
	static const char *const of_customer[2][3][2] = {NAMES_OF("customer"), NAMES_OF("profile")};
	static const char *const of_nodes[2][3][2] = {NAMES_OF("node"), NAMES_OF("aggregate")};

	return (search->by_customer ? of_customer : of_nodes)[search->on_aggregate][search->sort][search->ascending];
}

static void read_customer(const struct event_search_text *text, struct event_search *search)
{
	search->by_customer = text->customer.n > 0;
	search->nothing = search->by_customer && !uuid_parse(text->customer, &search->customer);
}

/* Types of the list, or all, that have the mode, or any. */
static void add_types(struct event_search *search, const struct event_type *named, struct str mode)
{
	for (size_t i = 0; i < EVENT_TYPE_COUNT; i++) {
		const struct event_type *type = &event_types[i];
		if (named && named != type)
			continue;
		if (mode.n && type->active != str_is(mode, "ACTIVE"))
			continue;
		for (size_t j = 0; j < search->n_types; j++)
			if (str_eq(search->types[j], type->id))
				return;
		search->types[search->n_types++] = type->id;
	}
}

static void read_types(const struct event_search_text *text, struct event_search *search, struct problems *problems)
{
	struct str rest = text->type, part;

	search->has_types = text->type.n || text->mode.n;
	if (text->mode.n && !str_is(text->mode, "ACTIVE") && !str_is(text->mode, "PASSIVE"))
		problems_add(problems, STR("/mode"), "must be ACTIVE or PASSIVE");
	if (!text->type.n) {
		if (text->mode.n)
			add_types(search, NULL, text->mode);
		return;
	}
	while (str_split(&rest, ',', &part)) {
		const struct event_type *type = event_type_find(part);
		if (type)
			add_types(search, type, text->mode);
		else
			problems_add(problems, STR("/type"), "unknown event type");
	}
}

static void add_context(struct event_search *search, struct str name)
{
	for (size_t i = 0; i < search->n_contexts; i++)
		if (str_eq(search->contexts[i], name))
			return;
	search->contexts[search->n_contexts++] = name;
}

static void read_contexts(const struct event_search_text *text, struct event_search *search, struct problems *problems)
{
	struct str rest = text->context, part;

	search->has_contexts = text->context.n > 0;
	while (text->context.n && str_split(&rest, ',', &part)) {
		const struct event_context *context = event_context_find(part);
		if (context)
			add_context(search, context->id);
		else
			problems_add(problems, STR("/context"), "unknown event context");
	}
}

static void read_dates(const struct event_search_text *text, struct event_search *search, struct problems *problems)
{
	search->from_us = INT64_MIN;
	search->to_us = INT64_MAX;
	if (text->date_from.n && !time_parse(text->date_from, &search->from_us))
		problems_add(problems, STR("/dateFrom"), "must be a date-time");
	if (!text->date_to.n)
		return;
	if (!time_parse(text->date_to, &search->to_us))
		problems_add(problems, STR("/dateTo"), "must be a date-time");
	else
		search->to_us += 999 - ((search->to_us % 1000) + 1000) % 1000;
}

static void read_sort(const struct event_search_text *text, struct event_search *search, struct problems *problems)
{
	static const struct {
		const char *name;
		enum event_sort sort;
	} fields[] = {
	        {.name = "date", .sort = EVENT_SORT_DATE},
	        {.name = "registeredAt", .sort = EVENT_SORT_REGISTERED},
	        {.name = "updatedAt", .sort = EVENT_SORT_UPDATED},
	};
	struct str way = text->sort, name;
	bool known = false;

	if (!text->sort.n)
		return;
	str_split(&way, ',', &name);
	for (size_t i = 0; i < ARRAY_LEN(fields) && !known; i++) {
		known = str_is(name, fields[i].name);
		search->sort = fields[i].sort;
	}
	search->ascending = !way.p || str_eq_nocase(way, STR("asc"));
	if (!known || (way.p && !search->ascending && !str_eq_nocase(way, STR("desc"))))
		problems_add(problems, STR("/sort"), "must be date, registeredAt or updatedAt, then ,asc or ,desc");
	else if (search->sort != EVENT_SORT_DATE && !search->by_customer)
		problems_add(problems, STR("/sort"), "without customerId events are sorted by date only");
}

bool event_search_read(const struct event_search_text *text, struct event_search *ret_search, struct problems *problems)
{
	size_t before = problems->n;

	*ret_search = (struct event_search){0};
	read_customer(text, ret_search);
	read_types(text, ret_search, problems);
	read_contexts(text, ret_search, problems);
	read_dates(text, ret_search, problems);
	read_sort(text, ret_search, problems);
	if (ret_search->has_types && !ret_search->n_types)
		ret_search->nothing = true;
	return problems->n == before;
}

void event_search_window(int64_t page, int64_t size, int64_t *ret_limit, int64_t *ret_offset)
{
	/* both are bounded far below what their product could exceed */
	int64_t offset = page * size;
	int64_t left = offset < EVENT_SEARCH_MAX ? EVENT_SEARCH_MAX - offset : 0;

	*ret_limit = size < left ? size : left;
	*ret_offset = offset < EVENT_SEARCH_MAX ? offset : EVENT_SEARCH_MAX;
}
