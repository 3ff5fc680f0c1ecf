#include "common/arena.h"
#include "common/locks.h"
#include "common/rows.h"
#include "workers/customer_merge/store.h"

/* Customers that get new keys at a time: as many as may have any size. */
#define PAGE_CUSTOMERS 50
#define PAGE_BYTES (256UL * 1024 * 1024)

static void node_params(struct db_params *params, struct arena *arena, const struct command *command)
{
	db_params_init(params, arena);
	db_param_uuid(params, &command->workspace);
	db_param_uuid(params, &command->node);
}

static bool put_rules(struct work *work, const struct command *command, int64_t seq, struct err *err)
{
	struct db_params params;

	node_params(&params, work->arena, command);
	db_param_i64(&params, seq);
	db_param_jsonb(&params, command->body);
	return db_send_expect(work->db, "cm_put_rules", &params, 1, ERR_INTERNAL, err);
}

/* Keys of one page of customers; *last_us becomes the time of the last one. */
static bool add_page_keys(struct arena *arena, const struct customer_policy *policy, const PGresult *page,
        struct rows *keys, int64_t *last_us, struct err *err)
{
	for (int row = 0; row < PQntuples(page); row++) {
		struct json *doc = customer_doc_read(
		        arena, db_text(page, row, 11), db_text(page, row, 10), db_i64(page, row, 7), err);
		struct uuid id = db_uuid(page, row, 1), key;

		if (!doc)
			return false;
		*last_us = db_i64(page, row, 5);
		if (!customer_key(arena, policy, doc, &key))
			continue;
		db_array_uuid(&keys->columns[0], &key);
		db_array_uuid(&keys->columns[1], &id);
	}
	return true;
}

static bool send_page_keys(
        struct work *work, const struct command *command, struct arena *arena, struct rows *keys, struct err *err)
{
	struct db_params params;

	if (!rows_count(keys))
		return true;
	node_params(&params, arena, command);
	db_param_array(&params, &keys->columns[0]);
	db_param_array(&params, &keys->columns[1]);
	PGresult *done = NULL;
	if (db_send(work->db, "cm_keys_first_come", &params, err) && db_flush(work->db, err))
		done = db_result(work->db, err);
	PQclear(done);
	return done;
}

static bool rekey_page(struct work *work, const struct command *command, const struct customer_policy *policy,
        struct arena *arena, int64_t *last_us, int *ret_n, struct err *err)
{
	struct db_params params;
	struct rows keys;
	PGresult *page;
	bool good;

	node_params(&params, arena, command);
	db_param_i64(&params, *last_us);
	db_param_i64(&params, PAGE_CUSTOMERS);
	page = db_ask(work->db, "cm_node_customers", &params, err);
	if (!page)
		return false;
	rows_init(&keys, arena, "uu");
	*ret_n = PQntuples(page);
	good = add_page_keys(arena, policy, page, &keys, last_us, err);
	PQclear(page);
	return good && send_page_keys(work, command, arena, &keys, err);
}

static bool drop_keys(struct work *work, const struct command *command, struct err *err)
{
	struct db_params params;

	node_params(&params, work->arena, command);
	return db_send_expect(work->db, "cm_node_keys_dropped", &params, -1, ERR_INTERNAL, err);
}

/*
 * The policy of a node that may have customers changed: they get their keys anew, in the order in which they were
 * made (no two of a workspace at one time), so that of two that are the same under the new policy the older one is
 * found. The gateway allows the change only for an empty node; commands on their way
 * at that moment are why it is done all the same.
 */
static bool rekey(
        struct work *work, const struct command *command, const struct customer_policy *policy, struct err *err)
{
	struct arena *arena = arena_new(PAGE_BYTES);
	int64_t last_us = -1;
	bool good;
	int n = 0;

	good = drop_keys(work, command, err);
	do {
		arena_reset(arena);
		good = good && rekey_page(work, command, policy, arena, &last_us, &n, err);
	} while (good && n == PAGE_CUSTOMERS);
	arena_free(arena);
	return good;
}

bool store_node_rules(
        struct work *work, const struct command *command, int64_t seq, const struct json *document, struct err *err)
{
	const struct node_rules *rules = store_rules_of(work, &command->workspace, &command->node, err);
	struct customer_policy policy = customer_policy_read(work->arena, document);
	bool is_new, same_key;

	if (!rules)
		return false;
	if (rules->seq >= seq)
		return true; /* it came twice */
	is_new = rules->seq == RULES_UNKNOWN;
	same_key = customer_policy_same_key(&rules->policy, &policy);
	if (!put_rules(work, command, seq, err))
		return false;
	rules_put(work->rules, &command->workspace, &command->node, seq, document);
	return is_new || same_key || rekey(work, command, &policy, err);
}

/* Emptying */

/* What one command has to remove still. */
struct emptying {
	struct uuid workspace, node;
	int64_t time_us, below_us;
	bool customers, events_left;
};

static struct db_params emptying_params(struct work *work, const struct emptying *emptying)
{
	struct db_params params;

	db_params_init(&params, work->arena);
	db_param_uuid(&params, &emptying->workspace);
	db_param_uuid(&params, &emptying->node);
	db_param_i64(&params, emptying->time_us);
	return params;
}

/* The oldest of the node: what went first must not be told to have gone later. */
static bool load_emptying(struct work *work, struct emptying *emptying, bool *ret_found, struct err *err)
{
	struct db_params params;
	PGresult *rows;

	db_params_init(&params, work->arena);
	db_param_uuid(&params, &emptying->workspace);
	db_param_uuid(&params, &emptying->node);
	rows = db_ask(work->db, "cm_emptying", &params, err);
	if (!rows)
		return false;
	*ret_found = PQntuples(rows);
	if (*ret_found) {
		emptying->time_us = db_i64(rows, 0, 0);
		emptying->customers = db_i64(rows, 0, 1);
		emptying->events_left = db_i64(rows, 0, 2);
		emptying->below_us = db_i64(rows, 0, 3);
	}
	PQclear(rows);
	return true;
}

static PGresult *ask_next(
        struct work *work, const char *statement, const struct emptying *emptying, int64_t limit, struct err *err)
{
	struct db_params params = emptying_params(work, emptying);

	db_param_i64(&params, emptying->below_us);
	db_param_i64(&params, limit);
	return db_ask(work->db, statement, &params, err);
}

/* Events that belong to no customer who is there go, whatever their customer; those that wait, too. */
static bool empty_events(struct work *work, struct emptying *emptying, int64_t limit, int64_t *ret_n, struct err *err)
{
	PGresult *rows = ask_next(work, "cm_emptied_events", emptying, limit, err);

	if (!rows)
		return false;
	*ret_n = PQntuples(rows);
	store_events_changed(work, rows, CHANGE_DELETE);
	for (int row = 0; row < *ret_n; row++)
		if (db_i64(rows, row, 4) < emptying->below_us)
			emptying->below_us = db_i64(rows, row, 4);
	PQclear(rows);
	return true;
}

/* Customers that go in one step. */
struct leavers {
	struct rows customers;  /* workspace, id */
	struct rows tombstones; /* workspace, id, node, registered, deleted */
	struct rows events_of;  /* workspace, customer, deleted */
};

static void add_leavers(struct work *work, struct emptying *emptying, const PGresult *rows, struct leavers *leavers)
{
	rows_init(&leavers->customers, work->arena, "uu");
	rows_init(&leavers->tombstones, work->arena, "uuull");
	rows_init(&leavers->events_of, work->arena, "uul");
	for (int row = 0; row < PQntuples(rows); row++) {
		struct uuid id = db_uuid(rows, row, 0);

		db_array_uuid(&leavers->customers.columns[0], &emptying->workspace);
		db_array_uuid(&leavers->customers.columns[1], &id);
		db_array_uuid(&leavers->tombstones.columns[0], &emptying->workspace);
		db_array_uuid(&leavers->tombstones.columns[1], &id);
		db_array_uuid(&leavers->tombstones.columns[2], &emptying->node);
		db_array_i64(&leavers->tombstones.columns[3], db_i64(rows, row, 2));
		db_array_i64(&leavers->tombstones.columns[4], emptying->time_us);
		db_array_uuid(&leavers->events_of.columns[0], &emptying->workspace);
		db_array_uuid(&leavers->events_of.columns[1], &id);
		db_array_i64(&leavers->events_of.columns[2], emptying->time_us);
		emptying->below_us = db_i64(rows, row, 3);
		batch_change(work->batch, &emptying->workspace, &emptying->node, ENTITY_CUSTOMER, &id, CHANGE_DELETE,
		        db_i64(rows, row, 1) + 1);
	}
}

static bool end_bindings(struct work *work, const struct emptying *emptying, struct leavers *leavers, struct err *err)
{
	struct db_params params = emptying_params(work, emptying);

	db_param_array(&params, &leavers->customers.columns[1]);
	return db_send_expect(work->db, "cm_emptied_bindings", &params, -1, ERR_INTERNAL, err);
}

/* Later events that followed a binding: who they belong to now may be gone as well. */
static bool unbind_later_events(
        struct work *work, const struct emptying *emptying, struct leavers *leavers, struct err *err)
{
	struct db_params params = emptying_params(work, emptying);
	struct db_array ids;
	PGresult *rows;

	db_param_array(&params, &leavers->customers.columns[1]);
	rows = db_ask(work->db, "cm_emptied_unbound", &params, err);
	if (!rows)
		return false;
	store_events_changed(work, rows, CHANGE_UPDATE);
	db_array_init(&ids, work->arena, DB_UUID);
	for (int row = 0; row < PQntuples(rows); row++) {
		struct uuid id = db_uuid(rows, row, 2);

		db_array_uuid(&ids, &id);
	}
	PQclear(rows);
	if (!ids.n)
		return true;
	db_params_init(&params, work->arena);
	db_param_uuid(&params, &emptying->workspace);
	db_param_array(&params, &ids);
	rows = db_ask(work->db, "cm_emptied_late", &params, err);
	if (rows)
		store_events_changed(work, rows, CHANGE_DELETE);
	PQclear(rows);
	return rows;
}

/* Events that name one of the customers may have come after the command. */
static bool remove_leavers(struct work *work, struct leavers *leavers, struct err *err)
{
	int64_t n = rows_count(&leavers->customers);
	PGresult *rows;

	if (!rows_send(&leavers->events_of, work->db, "cm_events_deleted", err) || !db_flush(work->db, err))
		return false;
	rows = db_result(work->db, err);
	if (!rows)
		return false;
	store_events_changed(work, rows, CHANGE_DELETE);
	PQclear(rows);
	return rows_write(&leavers->customers, work->db, "cm_delete_customers", n, err) &&
	       rows_write(&leavers->tombstones, work->db, "cm_tombstones", n, err);
}

static bool empty_customers(
        struct work *work, struct emptying *emptying, int64_t limit, int64_t *ret_n, struct err *err)
{
	struct leavers leavers;
	PGresult *rows = ask_next(work, "cm_emptied_customers", emptying, limit, err);

	if (!rows)
		return false;
	*ret_n = PQntuples(rows);
	add_leavers(work, emptying, rows, &leavers);
	PQclear(rows);
	return !*ret_n ||
	       (end_bindings(work, emptying, &leavers, err) && unbind_later_events(work, emptying, &leavers, err) &&
	               remove_leavers(work, &leavers, err));
}

static bool note_emptying(struct work *work, struct emptying *emptying, bool end_of_kind, struct err *err)
{
	struct db_params params = emptying_params(work, emptying);

	if (end_of_kind && !(emptying->events_left && emptying->customers))
		return db_send_expect(work->db, "cm_end_emptying", &params, 1, ERR_INTERNAL, err);
	db_param_bool(&params, emptying->events_left && !end_of_kind);
	db_param_i64(&params, end_of_kind ? INT64_MAX : emptying->below_us);
	return db_send_expect(work->db, "cm_emptying_moved", &params, 1, ERR_INTERNAL, err);
}

/* Events go before the customers. *ret_left: there may be more. */
static bool empty_some(struct work *work, struct emptying *emptying, bool *ret_left, struct err *err)
{
	int64_t limit = work->rows_to_empty, n;

	if (!load_emptying(work, emptying, ret_left, err))
		return false;
	if (!*ret_left)
		return true;
	if (!(emptying->events_left ? empty_events(work, emptying, limit, &n, err)
	                            : empty_customers(work, emptying, limit, &n, err)))
		return false;
	work->rows_to_empty -= n;
	return note_emptying(work, emptying, n < limit, err);
}

static bool lock_node(struct work *work, const struct uuid *node, struct err *err)
{
	struct lock_set locks;

	lock_set_init(&locks, work->arena);
	lock_set_node(&locks, node, true);
	return lock_set_take(&locks, work->db, err);
}

static bool begin_emptying(
        struct work *work, size_t index, int64_t seq, const struct emptying *emptying, struct err *err)
{
	struct db_params params = emptying_params(work, emptying), emptied;

	db_param_i32(&params, batch_partition(work->batch, index));
	db_param_bool(&params, emptying->customers);
	node_params(&emptied, work->arena, batch_command(work->batch, index));
	db_param_i64(&emptied, seq);
	db_param_i64(&emptied, emptying->time_us);
	return db_send_expect(work->db, "cm_begin_emptying", &params, 1, ERR_INTERNAL, err) &&
	       db_send_expect(work->db, "cm_node_emptied", &emptied, 1, ERR_INTERNAL, err);
}

/* Keys end with the command: there is a microsecond's work in each. Bindings, with fifty, end with their customers. */
bool store_node_empty(struct work *work, size_t index, int64_t seq, bool events_only, struct err *err)
{
	const struct command *command = batch_command(work->batch, index);
	struct emptying emptying = {.workspace = command->workspace,
	        .node = command->node,
	        .time_us = command->time_us,
	        .customers = !events_only};
	bool left = true;

	if (!lock_node(work, &command->node, err) || (!events_only && !drop_keys(work, command, err)) ||
	        !begin_emptying(work, index, seq, &emptying, err))
		return false;
	rules_set_seq(work->rules, &command->workspace, &command->node, seq);
	/* a small node is empty at once, even behind a large one */
	if (work->rows_to_empty < work->rows_of_step)
		work->rows_to_empty = work->rows_of_step;
	while (left && work->rows_to_empty > 0)
		if (!empty_some(work, &emptying, &left, err))
			return false;
	return true;
}

bool store_node_empty_step(struct work *work, bool *ret_more, struct err *err)
{
	PGresult *rows = db_ask(work->db, "cm_emptyings", NULL, err);
	struct emptying emptying = {0};
	bool left;

	*ret_more = false;
	if (!rows)
		return false;
	for (int row = 0; row < PQntuples(rows) && !*ret_more; row++) {
		*ret_more = batch_owns(work->batch, (int32_t)db_i64(rows, row, 2));
		emptying.workspace = db_uuid(rows, row, 0);
		emptying.node = db_uuid(rows, row, 1);
	}
	PQclear(rows);
	return !*ret_more || (lock_node(work, &emptying.node, err) && empty_some(work, &emptying, &left, err));
}
