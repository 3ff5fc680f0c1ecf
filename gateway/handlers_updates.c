#include "common/arena.h"
#include "common/buf.h"
#include "common/customer_row.h"
#include "common/event.h"
#include "common/worker.h"
#include "gateway/gateway.h"
#include "gateway/handlers.h"
#include "gateway/update_query.h"

/*
 * The update stream. An entry (offset, entity, id, operation) never changes; its data is the entity's state at the time
 * of reading, or {id, nodeId} when it is gone, and of a deletion always (a profile may be there again). A page is read
 * in two kinds of steps: its entries, then their entities in slices, so that memory stays bounded however large the
 * entities are: a slice ends at SLICE entries, or where its events and profiles pass SLICE_BYTES (a customer is small,
 * an event may be near a MiB, a profile has what all its members have); a page ends early when what is written makes
 * PAGE_BYTES. Two slices are looked for at a time, on two connections, and a third is when one of them is written.
 */
#define SLICE 250
#define SLICE_BYTES (2LL * 1024 * 1024)
#define PAGE_BYTES (8UL * 1024 * 1024)
#define SLICES_AT_ONCE 2
/* Room for what is written beside an entity's document; it grows where that is not enough. */
#define ENTRY_BYTES 512

/* Filters: $3 entity or null, $4 nodes or null. */
#define FILTER "($3::bigint IS NULL OR s.entity = $3) AND ($4::uuid[] IS NULL OR s.node_id = ANY ($4))"

/* Of a JSON value; as stored where it is small, since to unpack all of them takes a fifth of the time. */
#define SIZE_OF(value)                                                                                                 \
	"CASE WHEN pg_column_size(" value ") < 2000 THEN pg_column_size(" value ") ELSE octet_length(" value           \
	"::text) END"

/* A profile's text takes a seventh of a second to make where it is as large as can be, and the stream may name one many
 * times: it is about so many times as long as what is stored of it. */
#define SIZE_OF_PROFILE                                                                                                \
	"CASE WHEN pg_column_size(p.doc) < 2000 THEN pg_column_size(p.doc) ELSE 4 * pg_column_size(p.doc) END"

const struct statement update_statements[] = {
        /* one row with the head alone when there is no entry */
        {.name = "updates_after",
                .sql = "SELECT h.last_offset, s.stream_offset, s.entity, s.operation, s.entity_id, s.node_id "
                       "FROM stream_heads h LEFT JOIN LATERAL (SELECT * FROM update_stream s "
                       "WHERE s.workspace_id = $1::uuid AND s.run_offset > $2::bigint AND s.stream_offset > $2 "
                       "AND s.stream_offset <= $2 + $6::bigint AND s.run_offset < $2 + $6 + $7::bigint AND " FILTER
                       " ORDER BY s.run_offset, s.stream_offset LIMIT $5::bigint) "
                       "s ON true WHERE h.workspace_id = $1",
                .n_params = 7},
        {.name = "updates_offset_at", .sql = "SELECT stream_offset_before($1::uuid, $2::bigint)", .n_params = 2},
        /* Of the latest $2 entries; when none of them matches, the offset before them: nothing later does. */
        {.name = "updates_last",
                .sql = "SELECT COALESCE((SELECT COALESCE((SELECT s.stream_offset FROM update_stream s "
                       "WHERE s.workspace_id = h.workspace_id AND s.run_offset > h.last_offset - $2::bigint "
                       "AND s.stream_offset > h.last_offset - $2 AND " FILTER
                       " ORDER BY s.run_offset DESC, s.stream_offset DESC LIMIT 1), GREATEST(h.last_offset - $2, 0)) "
                       "FROM stream_heads h WHERE h.workspace_id = $1::uuid), 0)",
                .n_params = 4},
        /* Always one row at least; `bytes` is of the events and profiles before. LIMIT ends the search at the partition
           that has the event. An aggregate node's own event is gone while its profile is, as it is for whoever reads
           or lists it. */
        {.name = "updates_entities",
                .sql = "SELECT e.i, " CUSTOMER_ROW_COLUMNS ", " EVENT_COLUMNS
                       " FROM (SELECT u.i, u.customer, e.*, COALESCE(sum(COALESCE(" SIZE_OF(
                               "e.body") ", p.size)) OVER "
                                         "(ORDER BY u.i ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS bytes "
                                         "FROM unnest($2::integer[], $3::uuid[], $4::uuid[], $6::boolean[]) "
                                         "AS u(i, customer, event, of_profile) LEFT JOIN LATERAL (SELECT * FROM events "
                                         "WHERE workspace_id = $1::uuid AND id = u.event AND registered_us BETWEEN "
                                         "$7::bigint AND $8::bigint LIMIT 1) e ON NOT "
                                         "u.of_profile OR "
                                         "(SELECT true FROM customers p WHERE p.workspace_id = $1 AND p.id = "
                                         "e.customer_id) "
                                         "LEFT JOIN LATERAL (SELECT " SIZE_OF_PROFILE " AS size FROM customers p "
                                         "WHERE u.of_profile AND p.workspace_id = $1 AND p.id = "
                                         "u.customer OFFSET 0) p ON true) e "
                                         "LEFT JOIN customers c ON c.workspace_id = $1 AND c.id = "
                                         "e.customer "
                                         "WHERE e.bytes < $5::bigint ORDER BY e.i",
                .n_params = 8},
};
const size_t update_statement_count = ARRAY_LEN(update_statements);

#define FIRST_CUSTOMER_COLUMN 1
#define FIRST_EVENT_COLUMN (FIRST_CUSTOMER_COLUMN + CUSTOMER_ROW_WIDTH)
/* the last of each */
#define CUSTOMER_DOC_COLUMN (FIRST_EVENT_COLUMN - 1)
#define EVENT_BODY_COLUMN (FIRST_EVENT_COLUMN + EVENT_COLUMN_COUNT - 1)

struct entry {
	int64_t offset;
	enum entity_kind entity;
	enum change_operation operation;
	struct uuid id, node;
};

/* Entries of the page that are looked for together. */
struct slice {
	int64_t first, n; /* of the page's entries */
	int64_t n_read;   /* from the first on, whose entities have come from the database */
	struct buf body;  /* what is written of them */
};

struct updates {
	struct update_query query;
	struct db_array *nodes; /* NULL = all */
	struct update_page page;
	struct entry *entries; /* of the page: page.n */
	struct slice *slices;
	int64_t n_slices, n_sent;
	int n_expected; /* results of slices that are still to come */
	size_t n_bytes; /* written */
};

/* Joins the slices, as far as they have come without a gap. */
static void finish(struct request *request, struct updates *updates)
{
	struct buf body;
	int64_t n = 0;

	buf_init(&body, request_arena(request), updates->n_bytes + (size_t)updates->n_slices + 128);
	buf_add_literal(&body, "{\"updates\":[");
	for (int64_t i = 0; i < updates->n_slices && n == updates->slices[i].first; i++) {
		const struct slice *slice = &updates->slices[i];
		if (i && slice->n_read)
			buf_add_char(&body, ',');
		buf_add_str(&body, buf_str(&slice->body));
		n += slice->n_read;
	}
	buf_add_literal(&body, "],\"nextOffset\":");
	buf_add_number(
	        &body, n < updates->page.n ? updates->entries[n - 1].offset : update_next_offset(&updates->page));
	buf_add_char(&body, '}');
	request_answer(request, 200, buf_str(&body));
}

static void write_gone(struct buf *buf, const struct entry *entry)
{
	char id[UUID_TEXT_BYTES + 1], node[UUID_TEXT_BYTES + 1];

	uuid_format(&entry->id, id);
	uuid_format(&entry->node, node);
	buf_printf(buf, "{\"id\":\"%s\",\"nodeId\":", id);
	buf_printf(buf, uuid_is_nil(&entry->node) ? "null}" : "\"%s\"}", node);
}

static bool write_customer(
        struct request *request, struct arena *scratch, const PGresult *rows, int row, struct buf *buf)
{
	struct customer customer;
	struct err err = {0};

	if (!customer_row_read(scratch, rows, row, FIRST_CUSTOMER_COLUMN, &customer, &err)) {
		request_fail_err(request, &err);
		return false;
	}
	customer_render(buf, &customer, NULL, request_gateway(request)->settings->hash_passwords);
	return true;
}

static void write_head(struct buf *buf, const struct entry *entry)
{
	if (buf->n)
		buf_add_char(buf, ',');
	buf_add_literal(buf, "{\"operation\":\"");
	buf_add_str(buf, str_of(update_operation_names[entry->operation]));
	buf_add_literal(buf, "\",\"entity\":{\"type\":\"");
	buf_add_str(buf, str_of(update_entity_names[entry->entity]));
	buf_add_literal(buf, "\",\"data\":");
}

static bool write_entry(struct request *request, struct arena *scratch, const struct entry *entry, const PGresult *rows,
        int row, struct buf *buf)
{
	bool good = true;

	write_head(buf, entry);
	if (!db_is_null(rows, row, FIRST_CUSTOMER_COLUMN)) {
		good = write_customer(request, scratch, rows, row, buf);
	} else if (!db_is_null(rows, row, FIRST_EVENT_COLUMN)) {
		struct event_row event;
		event_row_read(rows, row, FIRST_EVENT_COLUMN, &event);
		event_render(buf, &event, NULL);
	} else {
		write_gone(buf, entry);
	}
	buf_add_literal(buf, "}}");
	return good;
}

/* Of the documents alone: what is written of the rows is more. */
static size_t bytes_of(const PGresult *rows)
{
	return db_column_bytes(rows, CUSTOMER_DOC_COLUMN) + db_column_bytes(rows, EVENT_BODY_COLUMN);
}

/* The rows from entry `first` on: all of them, or, when they make the page full, those until it is, one at least. */
static bool write_rows(struct request *request, struct slice *slice, int64_t first, const PGresult *rows, bool full)
{
	struct updates *updates = request_state(request);
	struct arena *scratch = arena_new(CUSTOMER_ROW_ARENA_BYTES);
	bool good = true;
	int row = 0;

	if (!slice->body.p)
		buf_init(&slice->body, request_arena(request),
		        (full ? PAGE_BYTES : bytes_of(rows)) + (size_t)PQntuples(rows) * ENTRY_BYTES);
	do {
		size_t before = slice->body.n;
		good = write_entry(request, scratch, &updates->entries[first + row], rows, row, &slice->body);
		arena_reset(scratch);
		updates->n_bytes += slice->body.n - before;
	} while (++row < PQntuples(rows) && good && !(full && updates->n_bytes >= PAGE_BYTES));
	slice->n_read = first + row - slice->first;
	arena_free(scratch);
	return good;
}

static void send_slice(struct request *request, const struct slice *slice);

/* While one slice is written, PostgreSQL looks for others. */
static void take_slice(struct request *request, const PGresult *rows)
{
	struct updates *updates = request_state(request);
	int64_t first = db_i64(rows, 0, 0);
	struct slice *slice = &updates->slices[first / SLICE];
	bool full = updates->n_bytes + bytes_of(rows) >= PAGE_BYTES;

	updates->n_expected--;
	slice->n_read += PQntuples(rows);
	if (!full && slice->n_read < slice->n)
		send_slice(request, slice);
	else if (!full && updates->n_sent < updates->n_slices)
		send_slice(request, &updates->slices[updates->n_sent++]);
	if (write_rows(request, slice, first, rows, full) && !updates->n_expected)
		finish(request, updates);
}

static bool is_of_aggregate(struct request *request, const struct uuid *node)
{
	const struct config_node *found = config_node_find(request_workspace(request), node);

	return found && found->aggregate;
}

/* Looks for those of its entries that have not come yet. */
static void send_slice(struct request *request, const struct slice *slice)
{
	struct updates *updates = request_state(request);
	struct arena *arena = request_arena(request);
	struct db_array numbers, customers, events, of_profiles;

	db_array_init(&numbers, arena, DB_I32);
	db_array_init(&customers, arena, DB_UUID);
	db_array_init(&events, arena, DB_UUID);
	db_array_init(&of_profiles, arena, DB_BOOL);
	for (int64_t i = slice->first + slice->n_read; i < slice->first + slice->n; i++) {
		const struct entry *entry = &updates->entries[i];
		bool gone = entry->operation == CHANGE_DELETE;
		db_array_i64(&numbers, i);
		db_array_uuid(&customers, !gone && entry->entity == ENTITY_CUSTOMER ? &entry->id : NULL);
		db_array_uuid(&events, !gone && entry->entity == ENTITY_EVENT ? &entry->id : NULL);
		db_array_i64(&of_profiles, is_of_aggregate(request, &entry->node));
	}
	struct db_params *params = request_params(request);
	db_param_array(params, &numbers);
	db_param_array(params, &customers);
	db_param_array(params, &events);
	db_param_i64(params, SLICE_BYTES);
	db_param_array(params, &of_profiles);
	request_years_params(request, params);
	updates->n_expected++;
	request_query_beside(request, "updates_entities", params, take_slice);
}

static void send_first_slices(struct request *request, struct updates *updates)
{
	updates->n_slices = (updates->page.n + SLICE - 1) / SLICE;
	updates->slices = arena_zalloc(request_arena(request), (size_t)updates->n_slices * sizeof(*updates->slices));
	for (int64_t i = 0; i < updates->n_slices; i++) {
		int64_t left = updates->page.n - i * SLICE;
		updates->slices[i].first = i * SLICE;
		updates->slices[i].n = left < SLICE ? left : SLICE;
	}
	while (updates->n_sent < updates->n_slices && updates->n_sent < SLICES_AT_ONCE)
		send_slice(request, &updates->slices[updates->n_sent++]);
}

static void take_entries(struct request *request, const PGresult *rows)
{
	struct updates *updates = request_state(request);
	struct update_page *page = &updates->page;

	page->head = PQntuples(rows) ? db_i64(rows, 0, 0) : 0;
	updates->entries =
	        arena_alloc(request_arena(request), ((size_t)PQntuples(rows) + 1) * sizeof(*updates->entries));
	for (int row = 0; row < PQntuples(rows); row++) {
		if (db_is_null(rows, row, 1))
			continue;
		page->last = db_i64(rows, row, 1);
		updates->entries[page->n++] = (struct entry){.offset = page->last,
		        .entity = (enum entity_kind)db_i64(rows, row, 2),
		        .operation = (enum change_operation)db_i64(rows, row, 3),
		        .id = db_uuid(rows, row, 4),
		        .node = db_uuid(rows, row, 5)};
	}
	if (page->n)
		send_first_slices(request, updates);
	else
		finish(request, updates);
}

static void add_filter(struct db_params *params, const struct updates *updates)
{
	if (updates->query.entity)
		db_param_i64(params, updates->query.entity);
	else
		db_param_null(params);
	if (updates->nodes)
		db_param_array(params, updates->nodes);
	else
		db_param_null(params);
}

static struct db_params *begin_params(struct request *request, int64_t number)
{
	struct db_params *params = request_params(request);

	db_param_i64(params, number);
	return params;
}

static void send_entries(struct request *request)
{
	const struct updates *updates = request_state(request);
	struct db_params *params = begin_params(request, updates->page.offset);

	add_filter(params, updates);
	db_param_i64(params, updates->page.size);
	db_param_i64(params, updates->page.filtered ? UPDATE_SCAN_ENTRIES : INT64_MAX / 2);
	db_param_i64(params, STREAM_RUN_MAX);
	request_query(request, "updates_after", NULL, params, take_entries);
}

static void take_offset(struct request *request, const PGresult *rows)
{
	struct updates *updates = request_state(request);

	updates->page.offset = db_i64(rows, 0, 0);
	if (updates->page.size)
		send_entries(request);
	else
		finish(request, updates);
}

/* The node asked for, or all that the caller may read; entries of no node are for those who may read all. */
static bool read_nodes(struct request *request, struct updates *updates)
{
	const struct config_workspace *workspace = request_workspace(request);
	struct str node_id = request_param(request, "nodeId");
	const struct config_node *node;
	bool all = true;

	updates->nodes = arena_alloc(request_arena(request), sizeof(*updates->nodes));
	db_array_init(updates->nodes, request_arena(request), DB_UUID);
	if (node_id.n) {
		if (!request_node_access(request, node_id, false, &node))
			return false;
		db_array_uuid(updates->nodes, &node->id);
		return true;
	}
	for (size_t i = 0; i < config_node_count(workspace); i++) {
		node = config_node_at(workspace, i);
		if (request_may_use_node(request, &node->id, false))
			db_array_uuid(updates->nodes, &node->id);
		else
			all = false;
	}
	if (all)
		updates->nodes = NULL;
	return true;
}

/* What the request asks for, as its state; NULL when it has been answered. */
static struct updates *begin(struct request *request, const struct update_text *text)
{
	struct updates *updates = arena_zalloc(request_arena(request), sizeof(*updates));
	struct problems *problems = arena_alloc(request_arena(request), sizeof(*problems));

	problems_init(problems, request_arena(request));
	update_query_read(text, &updates->query, problems);
	if (problems->n) {
		request_fail_problems(request, STR("The update stream is asked for in a wrong way"), problems);
		return NULL;
	}
	if (!read_nodes(request, updates))
		return NULL;
	updates->page = (struct update_page){.offset = updates->query.offset,
	        .size = updates->query.size,
	        .filtered = updates->query.entity || updates->nodes};
	request_set_state(request, updates);
	return updates;
}

void update_list(struct request *request)
{
	struct updates *updates = begin(request, &(struct update_text){.size = request_param(request, "size"),
	                                                 .offset = request_param(request, "offset"),
	                                                 .timestamp = request_param(request, "timestamp"),
	                                                 .entity = request_param(request, "entity")});

	if (!updates)
		return;
	if (updates->query.time_us >= 0)
		request_query(
		        request, "updates_offset_at", NULL, begin_params(request, updates->query.time_us), take_offset);
	else if (updates->page.size)
		send_entries(request);
	else
		finish(request, updates);
}

static void take_last(struct request *request, const PGresult *rows)
{
	struct buf body;

	buf_init(&body, request_arena(request), 64);
	buf_printf(&body, "{\"lastOffset\":%lld}", (long long)db_i64(rows, 0, 0));
	request_answer(request, 200, buf_str(&body));
}

void update_last_offset(struct request *request)
{
	struct updates *updates = begin(request, &(struct update_text){.entity = request_param(request, "entity")});
	struct db_params *params;

	if (!updates)
		return;
	params = begin_params(request, UPDATE_SCAN_ENTRIES);
	add_filter(params, updates);
	request_query(request, "updates_last", NULL, params, take_last);
}
