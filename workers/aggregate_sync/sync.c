#include "workers/aggregate_sync/work.h"

#include "common/arena.h"
#include "common/customer_row.h"

/* Customers whose memberships are looked at. */
struct customers {
	struct db_array workspaces, ids;
};

static const struct profile_node *find_node(
        const struct work *work, const struct uuid *workspace, const struct uuid *id)
{
	for (size_t i = 0; i < work->n_nodes; i++)
		if (uuid_eq(&work->nodes[i].id, id) && uuid_eq(&work->nodes[i].workspace, workspace))
			return &work->nodes[i];
	return NULL;
}

/* Rows of the customers, of each once for each node, in this order. */
struct placing {
	struct work *work;
	struct rows leaves;
	size_t most_used_bytes; /* of the batch's arena: from there on what is read is not kept */
	struct known last;
	bool good;
	struct err *err;
};

/* What is kept is not read again when profiles are made. NULL when its document cannot be read. */
static const struct customer *read_customer(struct placing *placing, const struct uuid *workspace, const PGresult *row)
{
	struct work *work = placing->work;
	struct uuid id = db_uuid(row, 0, 4);
	bool is_kept = arena_used_bytes(work->arena) < placing->most_used_bytes;

	if (uuid_eq(&placing->last.customer.id, &id) && uuid_eq(&placing->last.workspace, workspace))
		return &placing->last.customer;
	placing->last.workspace = *workspace;
	placing->last.bytes = db_text(row, 0, 4 + CUSTOMER_ROW_DOC).n;
	arena_reset(work->slice);
	if (!work_read_member(is_kept ? work->arena : work->slice, row, 0, 4, &placing->last.customer, placing->err))
		return NULL;
	if (is_kept)
		work->known[work->n_known++] = placing->last;
	return &placing->last.customer;
}

/* One customer in one node: joins, moves, leaves, or has changed. */
static bool place_customer(void *context, const PGresult *row)
{
	struct placing *placing = context;
	struct work *work = placing->work;
	struct uuid workspace = db_uuid(row, 0, 0), node_id = db_uuid(row, 0, 1), id = db_uuid(row, 0, 2);
	const struct profile_node *node = find_node(work, &workspace, &node_id);
	bool was_member = !db_is_null(row, 0, 3), is_member = !db_is_null(row, 0, 4);
	struct uuid before = db_uuid(row, 0, 3), now = {{0}};

	if (!node)
		return true;
	if (is_member) {
		const struct customer *customer = read_customer(placing, &workspace, row);
		placing->good = customer;
		if (!customer)
			return false;
		now = profile_id(work->slice, node, customer);
		work_add_target(work, node, &now, !was_member || !uuid_eq(&before, &now));
	}
	if (was_member && (!is_member || !uuid_eq(&before, &now)))
		work_add_target(work, node, &before, true);
	if (is_member && (!was_member || !uuid_eq(&before, &now))) {
		work_join(work, node, &id, &now);
	} else if (!is_member) {
		db_array_uuid(&placing->leaves.columns[0], &workspace);
		db_array_uuid(&placing->leaves.columns[1], &node_id);
		db_array_uuid(&placing->leaves.columns[2], &id);
	}
	return true;
}

static bool place_customers(struct work *work, struct customers *customers, struct err *err)
{
	struct placing placing = {.work = work, .good = true, .err = err};
	struct db_params params;

	rows_init(&placing.leaves, work->arena, "uuu");
	db_params_init(&params, work->arena);
	db_param_array(&params, &customers->workspaces);
	db_param_array(&params, &customers->ids);
	work->known = arena_alloc(work->arena, (size_t)customers->ids.n * sizeof(*work->known));
	placing.most_used_bytes = arena_used_bytes(work->arena) + MOST_READ_BYTES;
	return db_ask_each(work->db, "sync_customers", &params, place_customer, &placing, err) && placing.good &&
	       rows_write(&placing.leaves, work->db, "sync_leave", -1, err) &&
	       rows_write(&work->joins, work->db, "sync_join", -1, err);
}

/* Brings the memberships of the customers, and the profiles that they touch, up to what the tables hold. */
static bool sync_customers(struct work *work, struct customers *customers, struct err *err)
{
	return !customers->ids.n || (place_customers(work, customers, err) && work_make(work, err));
}

/* --- rules
 * ------------------------------------------------------------------------------------------------------------ */

static bool apply_rule(struct work *work, const struct command *rule, struct err *err)
{
	struct json *doc = json_parse(work->arena, rule->body, err);
	struct db_params params;
	uint64_t seq;

	if (!doc)
		return false;
	if (!str_to_u64(rule->text, INT64_MAX, &seq))
		return err_set(err, ERR_INVALID, "the rule has no number");
	bool active = str_is(json_text(json_member(doc, "state")), "ACTIVE");
	db_params_init(&params, work->arena);
	db_param_uuid(&params, &rule->workspace);
	db_param_uuid(&params, &rule->node);
	db_param_i64(&params, (int64_t)seq);
	db_param_bool(&params, active);
	db_param_jsonb(&params, rule->body);
	/* one that comes again, perhaps behind newer ones, says nothing */
	return db_send_expect(work->db, "sync_rule", &params, -1, ERR_INTERNAL, err);
}

/* --- facts
 * ------------------------------------------------------------------------------------------------------------ */

static bool is_of_customer(const struct batch *batch, size_t index, const struct command *record)
{
	return !batch_skip(batch, index) && record->type == COMMAND_CHANGE && record->item == ENTITY_CUSTOMER;
}

/* A customer keeps its node, and an aggregate node its entry nodes: all others' customers, profiles among them, are
 * members nowhere. */
static bool may_be_member(const struct work *work, const struct command *fact)
{
	bool may = uuid_is_nil(&fact->node); /* it is not known */

	for (size_t i = 0; i < work->n_nodes && !may; i++)
		may = uuid_eq(&work->nodes[i].workspace, &fact->workspace) &&
		      profile_rank_of(&work->nodes[i], &fact->node) < work->nodes[i].n_entry_nodes;
	return may;
}

static bool load_nodes_of_facts(struct work *work, struct err *err)
{
	const struct uuid *last = NULL;
	struct db_array workspaces;

	db_array_init(&workspaces, work->arena, DB_UUID);
	for (size_t i = 0; i < batch_size(work->batch); i++) {
		const struct command *record = batch_command(work->batch, i);
		if (!is_of_customer(work->batch, i, record) || (last && uuid_eq(last, &record->workspace)))
			continue;
		last = &record->workspace;
		db_array_uuid(&workspaces, last);
	}
	return !workspaces.n || work_load_nodes(work, &workspaces, NULL, err);
}

static void add_customers(struct work *work, struct customers *customers)
{
	db_array_init(&customers->workspaces, work->arena, DB_UUID);
	db_array_init(&customers->ids, work->arena, DB_UUID);
	for (size_t i = 0; i < batch_size(work->batch) && work->n_nodes; i++) {
		const struct command *record = batch_command(work->batch, i);
		if (!is_of_customer(work->batch, i, record) || !may_be_member(work, record))
			continue;
		db_array_uuid(&customers->workspaces, &record->workspace);
		db_array_uuid(&customers->ids, &record->entity);
	}
}

static bool handle(struct work *work, struct err *err)
{
	struct customers customers;

	for (size_t i = 0; i < batch_size(work->batch); i++) {
		const struct command *record = batch_command(work->batch, i);
		if (!batch_skip(work->batch, i) && record->type == COMMAND_AGGREGATE_RULES &&
		        !apply_rule(work, record, err))
			return false;
	}
	if (!load_nodes_of_facts(work, err))
		return false;
	add_customers(work, &customers);
	return sync_customers(work, &customers, err);
}

bool sync_handle(struct batch *batch, struct err *err)
{
	struct work work;

	work_init(&work, batch);
	bool good = handle(&work, err);
	work_free(&work);
	return good;
}
