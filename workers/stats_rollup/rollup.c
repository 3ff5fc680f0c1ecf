#include "workers/stats_rollup/rollup.h"

#include "common/arena.h"
#include "common/event_years.h"
#include "common/rows.h"
#include "workers/stats_rollup/gaps.h"

/* Entities whose facts are in the batch. */
struct entities {
	struct db_array workspaces, ids, nodes;
};
struct gathered {
	struct entities customers, events; /* whose shares are to be replaced */
	struct entities moved;             /* customers that may be profiles with other members than before */
};

static bool find_years(struct batch *batch, struct event_years *ret_years, struct err *err)
{
	PGresult *rows = db_ask(batch_db(batch), "rollup_years", NULL, err);

	if (!rows)
		return false;
	*ret_years = event_years_read(rows);
	PQclear(rows);
	return true;
}

static void entities_init(struct entities *entities, struct arena *arena)
{
	db_array_init(&entities->workspaces, arena, DB_UUID);
	db_array_init(&entities->ids, arena, DB_UUID);
	db_array_init(&entities->nodes, arena, DB_UUID);
}

static void entities_add(struct entities *entities, const struct command *fact)
{
	db_array_uuid(&entities->workspaces, &fact->workspace);
	db_array_uuid(&entities->ids, &fact->entity);
	db_array_uuid(&entities->nodes, &fact->node);
}

static void entities_params(struct entities *entities, struct db_params *params)
{
	db_param_array(params, &entities->workspaces);
	db_param_array(params, &entities->ids);
}

static void gather(struct batch *batch, struct gathered *gathered)
{
	for (size_t i = 0; i < batch_size(batch); i++) {
		const struct command *fact = batch_command(batch, i);
		if (batch_skip(batch, i) || fact->type != COMMAND_CHANGE)
			continue;
		bool is_customer = fact->item == ENTITY_CUSTOMER;
		entities_add(is_customer ? &gathered->customers : &gathered->events, fact);
		if (is_customer && !(fact->flags & COMMAND_SAME_MEMBERS))
			entities_add(&gathered->moved, fact);
	}
}

/* A profile's members may have come or gone: their events count in its node or do not any more. */
static bool add_profile_events(struct batch *batch, struct entities *moved, struct entities *events,
        const struct event_years *years, struct err *err)
{
	struct db_params params;

	if (!moved->ids.n)
		return true;
	db_params_init(&params, batch_arena(batch));
	entities_params(moved, &params);
	db_param_array(&params, &moved->nodes);
	event_years_params(years, &params);
	PGresult *rows = db_ask(batch_db(batch), "rollup_profile_events", &params, err);
	if (!rows)
		return false;
	for (int row = 0; row < PQntuples(rows); row++) {
		entities_add(
		        events, &(struct command){.workspace = db_uuid(rows, row, 0), .entity = db_uuid(rows, row, 1)});
	}
	PQclear(rows);
	return true;
}

static bool send_zones(struct batch *batch, struct entities *customers, struct entities *events, struct err *err)
{
	struct db_params params;

	db_params_init(&params, batch_arena(batch));
	db_param_array(&params, &customers->workspaces);
	db_param_array(&params, &events->workspaces);
	return db_send_expect(batch_db(batch), "rollup_zones", &params, -1, ERR_INTERNAL, err);
}

/* Rows that rollup_apply answers. */
enum part {
	PART_EMPTY_DAY = 1,    /* where a row of stat_days stands that counts nothing any more */
	PART_EMPTY_PERSON = 2, /* the same of stat_people */
	PART_CHANGE = 3,       /* what a person's day gains or loses */
	PART_DAY = 4,          /* a day that such a person had before */
};
enum {
	COLUMN_PART,
	COLUMN_PLACE,
	COLUMN_WORKSPACE,
	COLUMN_NODE,
	COLUMN_KIND,
	COLUMN_PERSON,
	COLUMN_DAY,
	COLUMN_CONTEXT,
	COLUMN_N
};

struct applied {
	struct rows empty_days, empty_people; /* places */
	struct person_day *days;              /* their contexts are in the result */
	size_t n_days;
};

static struct person_day day_of(const PGresult *rows, int row, enum part part)
{
	int64_t n = db_i64(rows, row, COLUMN_N);

	return (struct person_day){.person = {.workspace = db_uuid(rows, row, COLUMN_WORKSPACE),
	                                   .node = db_uuid(rows, row, COLUMN_NODE),
	                                   .id = db_uuid(rows, row, COLUMN_PERSON),
	                                   .kind = (int16_t)db_i64(rows, row, COLUMN_KIND)},
	        .day = (int32_t)db_i64(rows, row, COLUMN_DAY),
	        .context = db_text(rows, row, COLUMN_CONTEXT),
	        .before = part == PART_DAY ? n : 0,
	        .after = n};
}

static void take_applied(struct batch *batch, const PGresult *rows, struct applied *applied)
{
	rows_init(&applied->empty_days, batch_arena(batch), "t");
	rows_init(&applied->empty_people, batch_arena(batch), "t");
	applied->days = arena_alloc(batch_arena(batch), ((size_t)PQntuples(rows) + 1) * sizeof(*applied->days));
	applied->n_days = 0;
	for (int row = 0; row < PQntuples(rows); row++) {
		enum part part = (enum part)db_i64(rows, row, COLUMN_PART);
		if (part == PART_EMPTY_DAY)
			db_array_text(&applied->empty_days.columns[0], db_text(rows, row, COLUMN_PLACE));
		else if (part == PART_EMPTY_PERSON)
			db_array_text(&applied->empty_people.columns[0], db_text(rows, row, COLUMN_PLACE));
		else
			applied->days[applied->n_days++] = day_of(rows, row, part);
	}
}

static void fill_gaps(struct rows *rows, const struct gap *gaps, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		db_array_uuid(&rows->columns[0], &gaps[i].workspace);
		db_array_uuid(&rows->columns[1], &gaps[i].node);
		db_array_i64(&rows->columns[2], gaps[i].measure);
		db_array_text(&rows->columns[3], gaps[i].context);
		db_array_i64(&rows->columns[4], gaps[i].day);
		if (gaps[i].last_day == DAY_NEVER)
			db_array_null(&rows->columns[5]);
		else
			db_array_i64(&rows->columns[5], gaps[i].last_day);
		db_array_i64(&rows->columns[6], gaps[i].n);
	}
}

static bool add_gaps(struct batch *batch, const struct gap *gaps, size_t n, struct err *err)
{
	struct db *db = batch_db(batch);
	struct rows changes, empty;

	if (!n)
		return true;
	rows_init(&changes, batch_arena(batch), "uustlll");
	rows_init(&empty, batch_arena(batch), "t");
	fill_gaps(&changes, gaps, n);
	if (!rows_send(&changes, db, "rollup_gaps", err) || !db_flush(db, err))
		return false;
	PGresult *places = db_result(db, err);
	if (!places)
		return false;
	for (int row = 0; row < PQntuples(places); row++)
		db_array_text(&empty.columns[0], db_text(places, row, 0));
	PQclear(places);
	return rows_write(&empty, db, "rollup_empty_gaps", -1, err);
}

static bool apply(struct batch *batch, struct entities *customers, struct entities *events,
        const struct event_years *years, struct err *err)
{
	struct db_params params;
	struct applied applied;
	size_t n_gaps;

	db_params_init(&params, batch_arena(batch));
	entities_params(customers, &params);
	entities_params(events, &params);
	event_years_params(years, &params);
	PGresult *rows = db_ask(batch_db(batch), "rollup_apply", &params, err);
	if (!rows)
		return false;
	take_applied(batch, rows, &applied);
	struct gap *gaps = gaps_of(applied.days, applied.n_days, batch_arena(batch), &n_gaps);
	bool good = rows_write(&applied.empty_days, batch_db(batch), "rollup_empty_days", -1, err) &&
	            rows_write(&applied.empty_people, batch_db(batch), "rollup_empty_people", -1, err) &&
	            add_gaps(batch, gaps, n_gaps, err);
	PQclear(rows);
	return good;
}

bool rollup_handle(struct batch *batch, struct err *err)
{
	struct gathered facts;
	struct event_years years;

	entities_init(&facts.customers, batch_arena(batch));
	entities_init(&facts.events, batch_arena(batch));
	entities_init(&facts.moved, batch_arena(batch));
	gather(batch, &facts);
	if (!facts.customers.ids.n && !facts.events.ids.n)
		return true;
	return send_zones(batch, &facts.customers, &facts.events, err) && find_years(batch, &years, err) &&
	       add_profile_events(batch, &facts.moved, &facts.events, &years, err) &&
	       apply(batch, &facts.customers, &facts.events, &years, err);
}

/* One workspace in each step: those of the partitions that this process owns. */
bool rollup_background(struct batch *batch, bool *ret_more, struct err *err)
{
	struct worker *worker = batch_worker(batch);
	struct db *db = batch_db(batch);
	struct db_params params;
	bool good = true;

	*ret_more = false;
	PGresult *rows = db_ask(db, "rollup_moved_zones", NULL, err);
	if (!rows)
		return false;
	for (int row = 0; row < PQntuples(rows) && !*ret_more; row++) {
		struct uuid workspace = db_uuid(rows, row, 0);
		if (!worker_owns(worker, workspace_partition(&workspace, worker_partition_count(worker))))
			continue;
		db_params_init(&params, batch_arena(batch));
		db_param_uuid(&params, &workspace);
		good = db_send_expect(db, "rollup_recount", &params, 1, ERR_INTERNAL, err);
		*ret_more = true;
	}
	PQclear(rows);
	return good;
}
