#include "common/buf.h"
#include "common/crash.h"
#include "common/locks.h"
#include "common/rows.h"
#include "workers/customer_merge/store.h"

/*
 * PostgreSQL has room for some thousands of locks, for all processes together: where a transaction would take more than
 * these (a customer may have had any number of sessions), it locks whole nodes, as every event does, shared.
 */
#define MOST_LOCKS 1000

/* What one run of commands changes. */
struct changes {
	struct rows inserts, updates; /* whole customers */
	struct rows deletes;          /* workspace, id */
	struct rows tombstones;       /* workspace, id, node, registered, deleted */
	struct rows old_keys, keys;   /* workspace, node, key, customer */
	struct rows heads;            /* workspace, last number */
	struct rows unbinds;          /* workspace, node, kind, value, customer, end, begin: bindings that are stored */
	struct rows binds;            /* workspace, node, kind, value, customer, begin, end, session: new ones */
	struct rows bound_values;     /* workspace, node, kind, value: of new bindings */
	struct rows unbound;          /* workspace, node, kind, value, customer, end: of all that ended */
	struct rows gone;             /* workspace, customer, deleted: their events go, too */
	struct lock_set locks;
	bool lock_nodes; /* instead of values and customers */
};

static void changes_init(struct changes *changes, struct arena *arena)
{
	rows_init(&changes->inserts, arena, "uuullllbuutJJ");
	rows_init(&changes->updates, arena, "uuullllbuutJJ");
	rows_init(&changes->deletes, arena, "uu");
	rows_init(&changes->tombstones, arena, "uuull");
	rows_init(&changes->old_keys, arena, "uuuu");
	rows_init(&changes->keys, arena, "uuuu");
	rows_init(&changes->heads, arena, "ul");
	rows_init(&changes->unbinds, arena, "uustull");
	rows_init(&changes->binds, arena, "uustullu");
	rows_init(&changes->bound_values, arena, "uust");
	rows_init(&changes->unbound, arena, "uustul");
	rows_init(&changes->gone, arena, "uul");
	lock_set_init(&changes->locks, arena);
}

/* Locks */

static void lock_value(struct changes *changes, const struct unit_value *value)
{
	if (changes->lock_nodes)
		lock_set_node(&changes->locks, &value->node, true);
	else
		lock_set_binding(&changes->locks, &value->node, (int)value->kind, value->text, true);
}

static void lock_customer(struct changes *changes, const struct customer *customer)
{
	if (changes->lock_nodes)
		lock_set_node(&changes->locks, &customer->node, true);
	else
		lock_set_customer(&changes->locks, &customer->id, true);
}

static bool is_news(const struct unit_binding *binding)
{
	return !binding->stored || binding->unbound_us != BINDING_OPEN;
}

static size_t count_locks(const struct unit *unit)
{
	size_t n = 0;

	for (const struct unit_customer *customer = unit->first_customer; customer; customer = customer->next)
		n += customer->changed && customer->deleted;
	for (const struct unit_binding *binding = unit->first_binding; binding; binding = binding->next)
		n += is_news(binding);
	for (const struct unit_value *value = unit->past_values; value; value = value->next_past)
		n++;
	return n;
}

static const struct uuid *uuid_or_null(const struct uuid *id)
{
	return uuid_is_nil(id) ? NULL : id;
}

static struct str text_or_null(struct arena *arena, const struct json *value)
{
	struct buf text;

	if (!value)
		return STR_NONE;
	buf_init(&text, arena, 256);
	json_write(&text, value);
	return buf_str(&text);
}

static void add_customer(struct rows *rows, const struct unit_customer *customer)
{
	const struct customer *now = &customer->now;
	struct db_array *columns = rows->columns;

	db_array_uuid(&columns[0], &customer->workspace);
	db_array_uuid(&columns[1], &now->id);
	db_array_uuid(&columns[2], &now->node);
	db_array_i64(&columns[3], now->int_id);
	db_array_i64(&columns[4], now->version);
	db_array_i64(&columns[5], now->registered_us);
	db_array_i64(&columns[6], now->updated_us);
	db_array_i64(&columns[7], customer_enabled(now));
	db_array_uuid(&columns[8], uuid_or_null(&now->registered_by));
	db_array_uuid(&columns[9], uuid_or_null(&now->updated_by));
	db_array_text(&columns[10], customer_external_id(now));
	db_array_text(&columns[11], customer_doc_write(rows->arena, now->doc));
	db_array_text(&columns[12], text_or_null(rows->arena, now->consent_times));
}

static void add_deleted(struct changes *changes, const struct unit_customer *customer)
{
	if (customer->stored) {
		db_array_uuid(&changes->deletes.columns[0], &customer->workspace);
		db_array_uuid(&changes->deletes.columns[1], &customer->now.id);
	}
	db_array_uuid(&changes->tombstones.columns[0], &customer->workspace);
	db_array_uuid(&changes->tombstones.columns[1], &customer->now.id);
	db_array_uuid(&changes->tombstones.columns[2], &customer->now.node);
	db_array_i64(&changes->tombstones.columns[3], customer->now.registered_us);
	db_array_i64(&changes->tombstones.columns[4], customer->deleted_us);
	db_array_uuid(&changes->gone.columns[0], &customer->workspace);
	db_array_uuid(&changes->gone.columns[1], &customer->now.id);
	db_array_i64(&changes->gone.columns[2], customer->deleted_us);
	lock_customer(changes, &customer->now);
}

static void add_key(struct rows *rows, const struct unit_customer *customer, const struct uuid *key)
{
	db_array_uuid(&rows->columns[0], &customer->workspace);
	db_array_uuid(&rows->columns[1], &customer->now.node);
	db_array_uuid(&rows->columns[2], key);
	db_array_uuid(&rows->columns[3], &customer->now.id);
}

static void add_key_change(struct changes *changes, const struct unit_customer *customer)
{
	bool same = customer->has_key && customer->had_key && uuid_eq(&customer->key, &customer->old_key);

	if (customer->had_key && !same)
		add_key(&changes->old_keys, customer, &customer->old_key);
	if (customer->has_key && !same)
		add_key(&changes->keys, customer, &customer->key);
}

static void add_customers(struct changes *changes, const struct unit *unit)
{
	for (const struct unit_customer *customer = unit->first_customer; customer; customer = customer->next) {
		if (!customer->changed)
			continue;
		if (customer->deleted)
			add_deleted(changes, customer);
		else
			add_customer(customer->stored ? &changes->updates : &changes->inserts, customer);
		add_key_change(changes, customer);
	}
}

static void add_value(struct rows *rows, const struct unit_value *value)
{
	db_array_uuid(&rows->columns[0], &value->workspace);
	db_array_uuid(&rows->columns[1], &value->node);
	db_array_i64(&rows->columns[2], value->kind);
	db_array_text(&rows->columns[3], value->text);
}

static void add_bind(struct changes *changes, const struct unit_binding *binding)
{
	struct rows *rows = &changes->binds;

	add_value(rows, binding->value);
	db_array_uuid(&rows->columns[4], &binding->customer);
	db_array_i64(&rows->columns[5], binding->bound_us);
	db_array_i64(&rows->columns[6], binding->unbound_us);
	db_array_uuid(&rows->columns[7], uuid_or_null(&binding->session));
	add_value(&changes->bound_values, binding->value);
}

static void add_end(struct rows *rows, const struct unit_binding *binding)
{
	add_value(rows, binding->value);
	db_array_uuid(&rows->columns[4], &binding->customer);
	db_array_i64(&rows->columns[5], binding->unbound_us);
}

static void add_unbind(struct rows *rows, const struct unit_binding *binding)
{
	add_end(rows, binding);
	db_array_i64(&rows->columns[6], binding->bound_us);
}

static void add_bindings(struct changes *changes, const struct unit *unit)
{
	for (const struct unit_binding *binding = unit->first_binding; binding; binding = binding->next) {
		bool ended = binding->unbound_us != BINDING_OPEN;

		if (!is_news(binding))
			continue;
		lock_value(changes, binding->value);
		if (!binding->stored)
			add_bind(changes, binding);
		else
			add_unbind(&changes->unbinds, binding);
		if (ended)
			add_end(&changes->unbound, binding);
	}
}

/* An event that is on its way may belong to the time of a binding that has ended. */
static void add_past_values(struct changes *changes, const struct unit *unit)
{
	for (const struct unit_value *value = unit->past_values; value; value = value->next_past)
		lock_value(changes, value);
}

static void add_heads(struct changes *changes, const struct unit *unit)
{
	for (const struct unit_head *head = unit->heads; head; head = head->next) {
		if (!head->changed)
			continue;
		db_array_uuid(&changes->heads.columns[0], &head->workspace);
		db_array_i64(&changes->heads.columns[1], head->last_int_id);
	}
}

/* The order matters: a key or an open binding must be given up before another takes it. */
static bool send_tables(struct work *work, struct changes *changes, struct err *err)
{
	const struct {
		struct rows *rows;
		const char *statement;
		bool exact; /* as many rows must be affected as there are */
	} writes[] = {
	        {.rows = &changes->inserts, .statement = "cm_insert_customers", .exact = true},
	        {.rows = &changes->updates, .statement = "cm_update_customers", .exact = true},
	        {.rows = &changes->deletes, .statement = "cm_delete_customers", .exact = true},
	        {.rows = &changes->tombstones, .statement = "cm_tombstones", .exact = true},
	        {.rows = &changes->old_keys, .statement = "cm_delete_keys"},
	        {.rows = &changes->keys, .statement = "cm_insert_keys", .exact = true},
	        {.rows = &changes->heads, .statement = "cm_set_heads", .exact = true},
	        {.rows = &changes->unbinds, .statement = "cm_unbind"},
	        {.rows = &changes->binds, .statement = "cm_bind", .exact = true},
	};

	for (size_t i = 0; i < ARRAY_LEN(writes); i++) {
		int64_t n_affected = writes[i].exact ? rows_count(writes[i].rows) : -1;

		if (!rows_write(writes[i].rows, work->db, writes[i].statement, n_affected, err))
			return false;
	}
	return true;
}

void store_events_changed(struct work *work, const PGresult *rows, enum change_operation operation)
{
	for (int row = 0; row < PQntuples(rows); row++) {
		struct uuid workspace = db_uuid(rows, row, 0), node = db_uuid(rows, row, 1), id = db_uuid(rows, row, 2);
		int64_t version = db_i64(rows, row, 3) + (operation == CHANGE_DELETE);

		batch_change(work->batch, &workspace, &node, ENTITY_EVENT, &id, operation, version);
	}
}

/* Events follow the bindings: those that wait are found by new values, those of ended bindings by their customer, and
   what is left of a deleted customer goes with it. */
static const struct {
	size_t offset;
	const char *statement;
	enum change_operation operation;
} effects[] = {
        {.offset = offsetof(struct changes, bound_values), .statement = "cm_events_bound", .operation = CHANGE_UPDATE},
        {.offset = offsetof(struct changes, unbound), .statement = "cm_events_unbound", .operation = CHANGE_UPDATE},
        {.offset = offsetof(struct changes, gone), .statement = "cm_events_deleted", .operation = CHANGE_DELETE},
};

static struct rows *effect_rows(struct changes *changes, size_t effect)
{
	return (struct rows *)((char *)changes + effects[effect].offset);
}

static bool send_effects(struct work *work, struct changes *changes, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(effects); i++) {
		struct rows *rows = effect_rows(changes, i);

		if (rows_count(rows) && !rows_send(rows, work->db, effects[i].statement, err))
			return false;
	}
	return true;
}

static bool receive_effects(struct work *work, struct changes *changes, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(effects); i++) {
		PGresult *result;

		if (!rows_count(effect_rows(changes, i)))
			continue;
		result = db_result(work->db, err);
		if (!result)
			return false;
		store_events_changed(work, result, effects[i].operation);
		PQclear(result);
	}
	return true;
}

static bool touches_events(const struct changes *changes)
{
	return rows_count(&changes->bound_values) || rows_count(&changes->unbound) || rows_count(&changes->gone);
}

bool store_write(struct work *work, struct err *err)
{
	struct changes changes;

	changes_init(&changes, work->arena);
	work->n_locks += count_locks(&work->unit);
	changes.lock_nodes = work->n_locks > MOST_LOCKS;
	add_customers(&changes, &work->unit);
	add_bindings(&changes, &work->unit);
	add_past_values(&changes, &work->unit);
	add_heads(&changes, &work->unit);
	if (!touches_events(&changes))
		return send_tables(work, &changes, err);
	/* the locks come first: event-ingest sees all of what follows, or we see all of what it did */
	if (!lock_set_send(&changes.locks, work->db, err) || !send_tables(work, &changes, err) ||
	        !send_effects(work, &changes, err) || !db_flush(work->db, err))
		return false;
	CRASH_POINT("customer-merge-written");
	return db_done(work->db, err) && receive_effects(work, &changes, err);
}
