#include "common/arena.h"
#include "common/buf.h"
#include "common/customer_row.h"
#include "common/event.h"
#include "common/worker.h"
#include "gateway/gateway.h"
#include "gateway/handlers.h"

/*
 * The update stream. An entry (offset, entity, id, operation) never changes; its data is the entity's state at the time
 * of reading, or {id, nodeId} when it is gone. A page is read in two kinds of steps: its entries, then their entities
 * in slices, so that memory stays bounded however large the entities are; a page ends early when it holds PAGE_BYTES.
 */
#define DEFAULT_SIZE 50
#define MAX_SIZE 4000
#define SLICE 250
#define PAGE_BYTES (8UL * 1024 * 1024)
#define SLICE_ARENA_BYTES (512UL * 1024 * 1024)
/* Entries that one request with a filter looks at; a page without a match moves on by as many. */
#define SCAN_ENTRIES 100000

/* Filters: $3 entity or null, $4 nodes or null. */
#define FILTER "($3::bigint IS NULL OR s.entity = $3) AND ($4::uuid[] IS NULL OR s.node_id = ANY ($4))"

const struct statement update_statements[] = {
        /* one row with the head alone when there is no entry */
        {.name = "updates_after",
                .sql = "SELECT h.last_offset, s.stream_offset, s.entity, s.operation, s.entity_id, s.node_id "
                       "FROM stream_heads h LEFT JOIN LATERAL (SELECT * FROM update_stream s "
                       "WHERE s.workspace_id = $1::uuid AND s.stream_offset > $2::bigint "
                       "AND s.stream_offset <= $2 + $6::bigint AND " FILTER
                       " ORDER BY s.stream_offset LIMIT $5::bigint) "
                       "s ON true WHERE h.workspace_id = $1",
                .n_params = 6},
        {.name = "updates_offset_at", .sql = "SELECT stream_offset_before($1::uuid, $2::bigint)", .n_params = 2},
        {.name = "updates_last",
                .sql = "SELECT COALESCE((SELECT s.stream_offset FROM update_stream s WHERE s.workspace_id = $1::uuid "
                       "AND s.stream_offset > $2::bigint AND " FILTER " ORDER BY s.stream_offset DESC LIMIT 1), 0)",
                .n_params = 4},
        {.name = "updates_entities",
                .sql = "SELECT u.i, " CUSTOMER_ROW_COLUMNS ", " EVENT_COLUMNS
                       " FROM unnest($2::integer[], $3::uuid[], $4::uuid[]) AS u(i, customer, event) "
                       "LEFT JOIN customers c ON c.workspace_id = $1::uuid AND c.id = u.customer "
                       "LEFT JOIN events e ON e.workspace_id = $1 AND e.id = u.event ORDER BY u.i",
                .n_params = 4},
};
const size_t update_statement_count = ARRAY_LEN(update_statements);

#define FIRST_CUSTOMER_COLUMN 1
#define FIRST_EVENT_COLUMN 12

struct entry {
	int64_t offset;
	enum entity_kind entity;
	enum change_operation operation;
	struct uuid id, node;
};

struct updates {
	int64_t offset, size;
	bool filtered;
	int16_t entity;         /* 0 = any */
	struct db_array *nodes; /* NULL = all */
	int64_t next_offset;    /* when every entry of the page fits */
	struct entry *entries;
	int n_entries, n_written;
	struct buf body;
};

static const char *const operation_names[] = {
        [CHANGE_CREATE] = "CREATE", [CHANGE_UPDATE] = "UPDATE", [CHANGE_DELETE] = "DELETE"};
static const char *const entity_names[] = {[ENTITY_CUSTOMER] = "CUSTOMER", [ENTITY_EVENT] = "EVENT"};

static void finish(struct request *request, struct updates *updates)
{
	int64_t next = updates->n_written < updates->n_entries ? updates->entries[updates->n_written - 1].offset
	                                                       : updates->next_offset;

	buf_printf(&updates->body, "],\"nextOffset\":%lld}", (long long)next);
	request_answer(request, 200, buf_str(&updates->body));
}

static void write_gone(struct buf *buf, const struct entry *entry)
{
	char id[UUID_TEXT_BYTES + 1], node[UUID_TEXT_BYTES + 1];

	uuid_format(&entry->id, id);
	uuid_format(&entry->node, node);
	buf_printf(buf, "{\"id\":\"%s\",\"nodeId\":", id);
	buf_printf(buf, uuid_is_nil(&entry->node) ? "null}" : "\"%s\"}", node);
}

static bool write_customer(struct request *request, struct arena *arena, const PGresult *rows, int row, struct buf *buf)
{
	struct customer customer;
	struct err err = {0};

	if (!customer_row_read(arena, rows, row, FIRST_CUSTOMER_COLUMN, &customer, &err)) {
		request_fail_err(request, &err);
		return false;
	}
	customer_render(buf, &customer, NULL, request_gateway(request)->settings->hash_passwords);
	return true;
}

static bool write_entry(struct request *request, struct arena *arena, const struct entry *entry, const PGresult *rows,
        int row, struct buf *buf)
{
	bool good = true;

	buf_printf(buf,
	        "%s{\"operation\":\"%s\",\"entity\":{\"type\":\"%s\",\"data\":", buf->p[buf->n - 1] == '[' ? "" : ",",
	        operation_names[entry->operation], entity_names[entry->entity]);
	if (!db_is_null(rows, row, FIRST_CUSTOMER_COLUMN)) {
		good = write_customer(request, arena, rows, row, buf);
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

static void send_slice(struct request *request);

static void take_slice(struct request *request, const PGresult *rows)
{
	struct updates *updates = request_state(request);
	struct arena *arena = arena_new(SLICE_ARENA_BYTES);
	bool good = true;

	for (int row = 0; row < PQntuples(rows) && good && updates->body.n < PAGE_BYTES; row++)
		good = write_entry(request, arena, &updates->entries[updates->n_written++], rows, row, &updates->body);
	arena_free(arena);
	if (!good)
		return;
	if (updates->n_written == updates->n_entries || updates->body.n >= PAGE_BYTES)
		finish(request, updates);
	else
		send_slice(request);
}

static void send_slice(struct request *request)
{
	struct updates *updates = request_state(request);
	struct arena *arena = request_arena(request);
	struct db_params *params = arena_alloc(arena, sizeof(*params));
	struct db_array numbers, customers, events;
	int end = updates->n_written + SLICE;

	db_array_init(&numbers, arena, DB_I32);
	db_array_init(&customers, arena, DB_UUID);
	db_array_init(&events, arena, DB_UUID);
	for (int i = updates->n_written; i < end && i < updates->n_entries; i++) {
		const struct entry *entry = &updates->entries[i];
		db_array_i64(&numbers, i);
		db_array_uuid(&customers, entry->entity == ENTITY_CUSTOMER ? &entry->id : NULL);
		db_array_uuid(&events, entry->entity == ENTITY_EVENT ? &entry->id : NULL);
	}
	db_params_init(params, arena);
	db_param_uuid(params, config_workspace_id(request_workspace(request)));
	db_param_array(params, &numbers);
	db_param_array(params, &customers);
	db_param_array(params, &events);
	request_query(request, "updates_entities", NULL, params, take_slice);
}

/* Where the next request goes on when the whole page is answered. */
static int64_t next_offset(const struct updates *updates, int64_t head)
{
	int64_t last = updates->n_entries ? updates->entries[updates->n_entries - 1].offset : updates->offset;

	if (updates->filtered && updates->n_entries < updates->size && head > updates->offset + SCAN_ENTRIES)
		return updates->offset + SCAN_ENTRIES;
	return last;
}

static void take_entries(struct request *request, const PGresult *rows)
{
	struct updates *updates = request_state(request);
	int64_t head = PQntuples(rows) ? db_i64(rows, 0, 0) : 0;

	updates->entries =
	        arena_alloc(request_arena(request), ((size_t)PQntuples(rows) + 1) * sizeof(*updates->entries));
	for (int row = 0; row < PQntuples(rows); row++) {
		if (db_is_null(rows, row, 1))
			continue;
		updates->entries[updates->n_entries++] = (struct entry){.offset = db_i64(rows, row, 1),
		        .entity = (enum entity_kind)db_i64(rows, row, 2),
		        .operation = (enum change_operation)db_i64(rows, row, 3),
		        .id = db_uuid(rows, row, 4),
		        .node = db_uuid(rows, row, 5)};
	}
	updates->next_offset = next_offset(updates, head);
	if (updates->n_entries)
		send_slice(request);
	else
		finish(request, updates);
}

static void add_filter(struct db_params *params, const struct updates *updates)
{
	if (updates->entity)
		db_param_i64(params, updates->entity);
	else
		db_param_null(params);
	if (updates->nodes)
		db_param_array(params, updates->nodes);
	else
		db_param_null(params);
}

static struct db_params *begin_params(struct request *request, int64_t number)
{
	struct db_params *params = arena_alloc(request_arena(request), sizeof(*params));

	db_params_init(params, request_arena(request));
	db_param_uuid(params, config_workspace_id(request_workspace(request)));
	db_param_i64(params, number);
	return params;
}

static void send_entries(struct request *request)
{
	const struct updates *updates = request_state(request);
	struct db_params *params = begin_params(request, updates->offset);

	add_filter(params, updates);
	db_param_i64(params, updates->size);
	db_param_i64(params, updates->filtered ? SCAN_ENTRIES : INT64_MAX / 2);
	request_query(request, "updates_after", NULL, params, take_entries);
}

static void take_offset(struct request *request, const PGresult *rows)
{
	struct updates *updates = request_state(request);

	updates->offset = updates->next_offset = db_i64(rows, 0, 0);
	send_entries(request);
}

/* --- what is asked for
 * ------------------------------------------------------------------------------------------------ */

static bool read_number(struct request *request, const char *name, int64_t most, int64_t fallback, int64_t *ret_number,
        struct problems *problems)
{
	struct str text = request_param(request, name);
	uint64_t number;
	char path[64];

	*ret_number = fallback;
	if (!text.n) /* an empty parameter counts as not sent */
		return false;
	snprintf(path, sizeof(path), "/%s", name);
	if (!str_to_u64(text, (uint64_t)most, &number))
		problems_add(problems, str_of(path), "must be a whole number from 0 to %lld", (long long)most);
	else
		*ret_number = (int64_t)number;
	return true;
}

static void read_entity(struct request *request, struct updates *updates, struct problems *problems)
{
	struct str text = request_param(request, "entity");

	for (int16_t kind = ENTITY_CUSTOMER; text.n && kind <= ENTITY_EVENT; kind++)
		if (str_is(text, entity_names[kind]))
			updates->entity = kind;
	if (text.n && !updates->entity)
		problems_add(problems, STR("/entity"), "must be CUSTOMER or EVENT");
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

/* False when it has been answered. */
static bool read_filters(struct request *request, struct updates *updates, struct problems *problems)
{
	read_entity(request, updates, problems);
	if (problems->n) {
		request_fail_problems(request, STR("The update stream is asked for in a wrong way"), problems);
		return false;
	}
	if (!read_nodes(request, updates))
		return false;
	updates->filtered = updates->entity || updates->nodes;
	return true;
}

void update_list(struct request *request)
{
	struct updates *updates = arena_zalloc(request_arena(request), sizeof(*updates));
	struct problems *problems = arena_alloc(request_arena(request), sizeof(*problems));
	int64_t timestamp_ms;

	problems_init(problems, request_arena(request));
	request_set_state(request, updates);
	read_number(request, "size", MAX_SIZE, DEFAULT_SIZE, &updates->size, problems);
	bool has_time = read_number(request, "timestamp", INT64_MAX / 1000, 0, &timestamp_ms, problems);
	bool has_offset = read_number(request, "offset", INT64_MAX / 4, 0, &updates->offset, problems);
	if (!read_filters(request, updates, problems))
		return;
	updates->next_offset = updates->offset;
	buf_init(&updates->body, request_arena(request), 4096);
	buf_add_literal(&updates->body, "{\"updates\":[");
	if (has_time && !has_offset)
		request_query(
		        request, "updates_offset_at", NULL, begin_params(request, timestamp_ms * 1000), take_offset);
	else if (updates->size)
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
	struct updates *updates = arena_zalloc(request_arena(request), sizeof(*updates));
	struct problems *problems = arena_alloc(request_arena(request), sizeof(*problems));

	problems_init(problems, request_arena(request));
	if (!read_filters(request, updates, problems))
		return;
	struct db_params *params = begin_params(request, 0);
	add_filter(params, updates);
	request_query(request, "updates_last", NULL, params, take_last);
}
