#include "workers/bulk_processor/lookup.h"

#include "common/arena.h"
#include "common/worker.h"

/* Events come with all that they hold, half a MiB at most. */
#define ROWS_AT_ONCE 125

static const struct {
	const char *statement;
	bool by_text;
} lookups[LOOKUPS] = {
        [LOOKUP_CUSTOMER] = {"bulk_find_customers", false},
        [LOOKUP_KEY] = {"bulk_find_keys", false},
        [LOOKUP_EXTERNAL_ID] = {"bulk_find_external_ids", true},
        [LOOKUP_BINDING] = {"bulk_find_bindings", true},
        [LOOKUP_EVENT] = {"bulk_find_events", false},
};

/* Queues the question of one kind; *ret_asked tells whether any row has it. */
static bool ask(struct batch *batch, const struct row_rules *rules, enum row_lookup lookup, const struct row *rows,
        size_t n, bool *ret_asked, struct err *err)
{
	struct arena *arena = batch_arena(batch);
	struct db_array indexes, values;
	struct db_params params;

	db_array_init(&indexes, arena, DB_I32);
	db_array_init(&values, arena, lookups[lookup].by_text ? DB_TEXT : DB_UUID);
	for (size_t i = 0; i < n; i++) {
		if (rows[i].lookup != lookup)
			continue;
		db_array_i64(&indexes, (int64_t)i);
		if (lookups[lookup].by_text)
			db_array_text(&values, rows[i].text);
		else
			db_array_uuid(&values, &rows[i].key);
	}
	*ret_asked = indexes.n > 0;
	if (!*ret_asked)
		return true;
	db_params_init(&params, arena);
	db_param_uuid(&params, &rules->workspace);
	db_param_uuid(&params, &rules->node);
	db_param_array(&params, &indexes);
	db_param_array(&params, &values);
	return db_send(batch_db(batch), lookups[lookup].statement, &params, err);
}

/* Its JSON stays in the result; what goes into a command outlives that. */
static const struct event_row *keep_event(struct arena *arena, const PGresult *result, int row)
{
	struct event_row *event = arena_alloc(arena, sizeof(*event));

	event_row_read(result, row, 2, event);
	event->bind_value = arena_str(arena, event->bind_value);
	return event;
}

static void take(struct batch *batch, enum row_lookup lookup, const PGresult *result, struct row *rows)
{
	for (int i = 0; i < PQntuples(result); i++) {
		struct row *row = &rows[db_i64(result, i, 0)];
		row->n_found++;
		if (!db_is_null(result, i, 1))
			row->found = db_uuid(result, i, 1);
		if (lookup == LOOKUP_EVENT)
			row->event = keep_event(batch_arena(batch), result, i);
	}
}

static bool ask_all(struct batch *batch, const struct row_rules *rules, const struct row *rows, size_t n, bool *asked,
        struct err *err)
{
	for (int i = LOOKUP_NONE + 1; i < LOOKUPS; i++)
		if (!ask(batch, rules, (enum row_lookup)i, rows, n, &asked[i], err))
			return false;
	return db_flush(batch_db(batch), err);
}

static bool read_all(struct batch *batch, const bool *asked, struct row *rows, PGresult **results, struct err *err)
{
	for (int i = LOOKUP_NONE + 1; i < LOOKUPS; i++) {
		if (!asked[i])
			continue;
		results[i] = db_result(batch_db(batch), err);
		if (!results[i])
			return false;
		take(batch, (enum row_lookup)i, results[i], rows);
	}
	return true;
}

static bool lookup_some(struct batch *batch, struct row_rules *rules, struct row *rows, size_t n, struct err *err)
{
	PGresult *results[LOOKUPS] = {0};
	bool asked[LOOKUPS] = {0};
	bool good = ask_all(batch, rules, rows, n, asked, err) && read_all(batch, asked, rows, results, err);

	for (size_t i = 0; good && i < n; i++)
		row_finish(batch_arena(batch), rules, &rows[i]);
	for (size_t i = 0; i < LOOKUPS; i++)
		PQclear(results[i]);
	return good;
}

bool lookup_rows(struct batch *batch, struct row_rules *rules, struct row *rows, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i += ROWS_AT_ONCE)
		if (!lookup_some(batch, rules, rows + i, n - i < ROWS_AT_ONCE ? n - i : ROWS_AT_ONCE, err))
			return false;
	return true;
}
