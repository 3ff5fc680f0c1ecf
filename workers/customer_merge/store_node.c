#include "common/arena.h"
#include "common/locks.h"
#include "common/rows.h"
#include "workers/customer_merge/store.h"

/* Customers that get new keys at a time. */
#define PAGE_CUSTOMERS 1000
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

/* Keys of one page of customers; *last becomes the last one's id. */
static bool add_page_keys(struct arena *arena, const struct customer_policy *policy, const PGresult *page,
        struct rows *keys, struct uuid *last, struct err *err)
{
	for (int row = 0; row < PQntuples(page); row++) {
		struct json *doc = customer_doc_read(
		        arena, db_text(page, row, 11), db_text(page, row, 10), db_i64(page, row, 7), err);
		struct uuid key;

		if (!doc)
			return false;
		*last = db_uuid(page, row, 1);
		if (!customer_key(arena, policy, doc, &key))
			continue;
		db_array_uuid(&keys->columns[0], &key);
		db_array_uuid(&keys->columns[1], last);
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
        struct arena *arena, struct uuid *last, int *ret_n, struct err *err)
{
	struct db_params params;
	struct rows keys;
	PGresult *page;
	bool good;

	node_params(&params, arena, command);
	db_param_uuid(&params, last);
	db_param_i64(&params, PAGE_CUSTOMERS);
	page = db_ask(work->db, "cm_node_customers", &params, err);
	if (!page)
		return false;
	rows_init(&keys, arena, "uu");
	*ret_n = PQntuples(page);
	good = add_page_keys(arena, policy, page, &keys, last, err);
	PQclear(page);
	return good && send_page_keys(work, command, arena, &keys, err);
}

/*
 * The policy of a node that may have customers changed: they get their keys anew, the oldest first, so that of two that
 * are the same under the new policy the older one is found. The gateway allows the change only for an empty node;
 * commands on their way at that moment are why it is done all the same.
 */
static bool rekey(
        struct work *work, const struct command *command, const struct customer_policy *policy, struct err *err)
{
	struct arena *arena = arena_new(PAGE_BYTES);
	struct db_params params;
	struct uuid last = {{0}};
	bool good;
	int n = 0;

	node_params(&params, work->arena, command);
	good = db_send_expect(work->db, "cm_node_keys_dropped", &params, -1, ERR_INTERNAL, err);
	do {
		arena_reset(arena);
		good = good && rekey_page(work, command, policy, arena, &last, &n, err);
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

/* Rows of customers or events that are returned go into the update stream. */
static bool receive_changes(
        struct work *work, enum entity_kind entity, enum change_operation operation, struct err *err)
{
	PGresult *rows = db_result(work->db, err);

	if (!rows)
		return false;
	if (entity == ENTITY_EVENT) {
		store_events_changed(work, rows, operation);
	} else {
		for (int row = 0; row < PQntuples(rows); row++) {
			struct uuid workspace = db_uuid(rows, row, 0), node = db_uuid(rows, row, 1);
			struct uuid id = db_uuid(rows, row, 2);

			batch_change(work->batch, &workspace, &node, entity, &id, operation, db_i64(rows, row, 3) + 1);
		}
	}
	PQclear(rows);
	return true;
}

static bool send_at_time(struct work *work, const char *statement, const struct command *command, struct err *err)
{
	struct db_params params;

	node_params(&params, work->arena, command);
	db_param_i64(&params, command->time_us);
	return db_send(work->db, statement, &params, err);
}

static bool expect_at_time(struct work *work, const char *statement, const struct command *command, struct err *err)
{
	struct db_params params;

	node_params(&params, work->arena, command);
	db_param_i64(&params, command->time_us);
	return db_send_expect(work->db, statement, &params, -1, ERR_INTERNAL, err);
}

static bool drop_keys(struct work *work, const struct command *command, struct err *err)
{
	struct db_params params;

	node_params(&params, work->arena, command);
	return db_send_expect(work->db, "cm_node_keys_dropped", &params, -1, ERR_INTERNAL, err);
}

static bool send_events_deleted(struct work *work, const struct command *command, bool events_only, struct err *err)
{
	struct db_params params;

	node_params(&params, work->arena, command);
	db_param_i64(&params, command->time_us);
	db_param_bool(&params, events_only);
	return db_send(work->db, "cm_node_events_deleted", &params, err);
}

static bool send_emptied(struct work *work, const struct command *command, int64_t seq, struct err *err)
{
	struct db_params params;

	node_params(&params, work->arena, command);
	db_param_i64(&params, seq);
	db_param_i64(&params, command->time_us);
	return db_send_expect(work->db, "cm_node_emptied", &params, 1, ERR_INTERNAL, err);
}

/* Events go before the customers whose bindings end: those that belong to nobody afterwards wait again. */
static bool empty_events(struct work *work, const struct command *command, bool events_only, struct err *err)
{
	if (events_only)
		return send_events_deleted(work, command, true, err) && db_flush(work->db, err) &&
		       receive_changes(work, ENTITY_EVENT, CHANGE_DELETE, err);
	return expect_at_time(work, "cm_node_unbound", command, err) &&
	       send_at_time(work, "cm_node_events_unbound", command, err) &&
	       send_events_deleted(work, command, false, err) && db_flush(work->db, err) &&
	       receive_changes(work, ENTITY_EVENT, CHANGE_UPDATE, err) &&
	       receive_changes(work, ENTITY_EVENT, CHANGE_DELETE, err);
}

static bool empty_customers(struct work *work, const struct command *command, struct err *err)
{
	return drop_keys(work, command, err) && send_at_time(work, "cm_node_customers_deleted", command, err) &&
	       db_flush(work->db, err) && receive_changes(work, ENTITY_CUSTOMER, CHANGE_DELETE, err);
}

bool store_node_empty(struct work *work, const struct command *command, int64_t seq, bool events_only, struct err *err)
{
	struct lock_set locks;

	lock_set_init(&locks, work->arena);
	lock_set_node(&locks, &command->node, true);
	if (!lock_set_take(&locks, work->db, err) || !empty_events(work, command, events_only, err) ||
	        (!events_only && !empty_customers(work, command, err)) || !send_emptied(work, command, seq, err))
		return false;
	rules_set_seq(work->rules, &command->workspace, &command->node, seq);
	return true;
}
