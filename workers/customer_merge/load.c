#include "common/arena.h"
#include "common/rows.h"
#include "workers/customer_merge/store.h"

/* What one run of commands asks the tables for. */
struct wanted {
	struct rows rules;     /* workspace, node, seq that we know */
	struct rows customers; /* workspace, id */
	struct rows used;      /* workspace, id that a customer is to get */
	struct rows keys;      /* workspace, node, key */
	struct rows values;    /* workspace, node, kind, value, most */
	struct rows holders;   /* workspace, customer, session or null: open bindings of customers */
	struct rows past;      /* workspace, customer: bindings that have ended */
	struct rows heads;     /* workspace */
};

static void wanted_init(struct wanted *wanted, struct arena *arena)
{
	rows_init(&wanted->rules, arena, "uul");
	rows_init(&wanted->customers, arena, "uu");
	rows_init(&wanted->used, arena, "uu");
	rows_init(&wanted->keys, arena, "uuu");
	rows_init(&wanted->values, arena, "uustl");
	rows_init(&wanted->holders, arena, "uuu");
	rows_init(&wanted->past, arena, "uu");
	rows_init(&wanted->heads, arena, "u");
}

/* Rows that come back */

static bool read_customer(
        struct arena *arena, const PGresult *result, int row, struct customer *ret_customer, struct err *err)
{
	struct str external_id = arena_str(arena, db_text(result, row, 10));
	struct customer customer = {.id = db_uuid(result, row, 1),
	        .node = db_uuid(result, row, 2),
	        .int_id = db_i64(result, row, 3),
	        .version = db_i64(result, row, 4),
	        .registered_us = db_i64(result, row, 5),
	        .updated_us = db_i64(result, row, 6),
	        .registered_by = db_uuid(result, row, 8),
	        .updated_by = db_uuid(result, row, 9)};

	customer.doc = customer_doc_read(
	        arena, arena_str(arena, db_text(result, row, 11)), external_id, db_i64(result, row, 7), err);
	if (customer.doc && !db_is_null(result, row, 12)) {
		customer.consent_times = json_parse(arena, arena_str(arena, db_text(result, row, 12)), err);
		customer.doc = customer.consent_times ? customer.doc : NULL;
	}
	*ret_customer = customer;
	return customer.doc;
}

/* Its key follows from its document. Whether the key leads to it only the table of keys can tell: after a change of
   policy an older customer may have the same. */
static void know_own_key(struct work *work, struct unit_customer *customer)
{
	const struct node_rules *rules = rules_find(work->rules, &customer->workspace, &customer->now.node);
	struct uuid key;

	if (!rules || !customer_key(work->arena, &rules->policy, customer->now.doc, &key))
		return;
	customer->has_key = customer->had_key = true;
	customer->key = customer->old_key = key;
}

static struct unit_customer *take_customer(struct work *work, const PGresult *result, int row, struct err *err)
{
	struct uuid workspace = db_uuid(result, row, 0), id = db_uuid(result, row, 1);
	struct unit_customer *known = unit_find(&work->unit, &workspace, &id);
	struct customer customer;

	if (known)
		return known;
	if (!read_customer(work->arena, result, row, &customer, err))
		return NULL;
	known = unit_add(&work->unit, &workspace, &customer, true);
	if (!known->deleted)
		know_own_key(work, known);
	return known;
}

static bool take_customers(struct work *work, const PGresult *result, struct err *err)
{
	for (int row = 0; row < PQntuples(result); row++)
		if (!take_customer(work, result, row, err))
			return false;
	return true;
}

static bool take_used(struct work *work, const PGresult *result, struct err *err)
{
	(void)err;
	for (int row = 0; row < PQntuples(result); row++) {
		struct uuid workspace = db_uuid(result, row, 0), id = db_uuid(result, row, 1);

		unit_know_used(&work->unit, &workspace, &id);
	}
	return true;
}

static bool take_bindings(struct work *work, const PGresult *result, struct err *err)
{
	(void)err;
	for (int row = 0; row < PQntuples(result); row++) {
		struct uuid workspace = db_uuid(result, row, 0), node = db_uuid(result, row, 1);
		struct uuid customer = db_uuid(result, row, 4), session = db_uuid(result, row, 5);
		struct unit_value *value = unit_value(&work->unit, &workspace, &node,
		        (enum binding_kind)db_i64(result, row, 2), db_text(result, row, 3));

		unit_know_binding(&work->unit, value, &customer, &session, db_i64(result, row, 6));
	}
	return true;
}

static bool take_past(struct work *work, const PGresult *result, struct err *err)
{
	(void)err;
	for (int row = 0; row < PQntuples(result); row++) {
		struct uuid workspace = db_uuid(result, row, 0), node = db_uuid(result, row, 1);

		unit_know_past(
		        &work->unit, unit_value(&work->unit, &workspace, &node,
		                             (enum binding_kind)db_i64(result, row, 2), db_text(result, row, 3)));
	}
	return true;
}

static bool take_heads(struct work *work, const PGresult *result, struct err *err)
{
	(void)err;
	for (int row = 0; row < PQntuples(result); row++) {
		struct uuid workspace = db_uuid(result, row, 0);

		unit_head(&work->unit, &workspace)->last_int_id = db_i64(result, row, 1);
	}
	return true;
}

typedef bool take_fn(struct work *work, const PGresult *result, struct err *err);

/* Reads the result of a statement that was queued for `rows`, if there were any. */
static bool receive(struct work *work, const struct rows *rows, take_fn *take, struct err *err)
{
	PGresult *result;
	bool good;

	if (!rows_count(rows))
		return true;
	result = db_result(work->db, err);
	if (!result)
		return false;
	good = take(work, result, err);
	PQclear(result);
	return good;
}

/* Rules */

static bool take_rules(struct work *work, const PGresult *result, struct err *err)
{
	for (int row = 0; row < PQntuples(result); row++) {
		struct uuid workspace = db_uuid(result, row, 0), node = db_uuid(result, row, 1);
		struct json *document = json_parse(work->arena, arena_str(work->arena, db_text(result, row, 3)), err);

		if (!document)
			return false;
		rules_put(work->rules, &workspace, &node, db_i64(result, row, 2), document);
	}
	return true;
}

static void want_rules(struct rows *rows, const struct node_rules *rules)
{
	db_array_uuid(&rows->columns[0], &rules->workspace);
	db_array_uuid(&rows->columns[1], &rules->node);
	db_array_i64(&rows->columns[2], rules->seq);
}

static bool seen(const struct uuid *nodes, size_t n, const struct uuid *node)
{
	for (size_t i = n; i > 0; i--)
		if (uuid_eq(&nodes[i - 1], node))
			return true;
	return false;
}

/* Every node of the run once. Nodes that we never heard of count as unknown until the table has answered. */
static void want_all_rules(struct work *work, struct rows *rows, bool *ret_new)
{
	struct uuid *nodes = arena_alloc(work->arena, (work->end - work->first) * sizeof(*nodes) + 1);
	size_t n = 0;

	*ret_new = false;
	for (size_t i = work->first; i < work->end; i++) {
		const struct command *command = batch_command(work->batch, i);
		const struct node_rules *rules;

		if (batch_skip(work->batch, i) || seen(nodes, n, &command->node))
			continue;
		nodes[n++] = command->node;
		rules = rules_find(work->rules, &command->workspace, &command->node);
		if (!rules) {
			rules = rules_put(work->rules, &command->workspace, &command->node, RULES_UNKNOWN, NULL);
			*ret_new = true;
		}
		want_rules(rows, rules);
	}
}

const struct node_rules *store_rules_of(
        struct work *work, const struct uuid *workspace, const struct uuid *node, struct err *err)
{
	const struct node_rules *rules = rules_find(work->rules, workspace, node);
	struct rows rows;

	if (!rules)
		rules = rules_put(work->rules, workspace, node, RULES_UNKNOWN, NULL);
	rows_init(&rows, work->arena, "uul");
	want_rules(&rows, rules);
	if (!rows_send(&rows, work->db, "cm_rules", err) || !db_flush(work->db, err) ||
	        !receive(work, &rows, take_rules, err))
		return NULL;
	return rules_find(work->rules, workspace, node);
}

/* What commands need */

static bool is_asked(struct work *work, enum unit_question question, const struct command *command)
{
	return !unit_ask(&work->unit, question, &command->workspace, &command->entity);
}

static void want_customer(struct work *work, struct wanted *wanted, const struct command *command)
{
	if (is_asked(work, UNIT_CUSTOMER, command))
		return;
	db_array_uuid(&wanted->customers.columns[0], &command->workspace);
	db_array_uuid(&wanted->customers.columns[1], &command->entity);
}

/* The customer that the body names by its unique properties, when it holds all of them. */
static void want_key(struct work *work, struct wanted *wanted, const struct command *command, const struct json *body)
{
	const struct node_rules *rules = rules_find(work->rules, &command->workspace, &command->node);
	struct uuid key;

	if (!customer_key(work->arena, &rules->policy, body, &key) ||
	        unit_key_is_known(&work->unit, &command->workspace, &command->node, &key))
		return;
	unit_know_key(&work->unit, &command->workspace, &command->node, &key, NULL);
	db_array_uuid(&wanted->keys.columns[0], &command->workspace);
	db_array_uuid(&wanted->keys.columns[1], &command->node);
	db_array_uuid(&wanted->keys.columns[2], &key);
}

/* Any number of customers may have an external id, and each command ends one binding of it at most: of one more than
   there are commands, the first that is open stays known. */
static void add_value(struct rows *rows, struct unit_value *value, size_t n_commands)
{
	db_array_uuid(&rows->columns[0], &value->workspace);
	db_array_uuid(&rows->columns[1], &value->node);
	db_array_i64(&rows->columns[2], value->kind);
	db_array_text(&rows->columns[3], value->text);
	db_array_i64(&rows->columns[4], (int64_t)n_commands + 1);
	value->loaded = true;
}

static void want_value(struct work *work, struct wanted *wanted, const struct command *command, enum binding_kind kind)
{
	struct unit_value *value = unit_value(&work->unit, &command->workspace, &command->node, kind, command->text);

	if (!value->loaded)
		add_value(&wanted->values, value, work->end - work->first);
}

/* session NULL: every binding of the customer. */
static void want_bindings(
        struct work *work, struct wanted *wanted, const struct command *command, const struct uuid *session)
{
	if (!session && is_asked(work, UNIT_BINDINGS, command))
		return;
	db_array_uuid(&wanted->holders.columns[0], &command->workspace);
	db_array_uuid(&wanted->holders.columns[1], &command->entity);
	db_array_uuid(&wanted->holders.columns[2], session);
}

static void want_past(struct work *work, struct wanted *wanted, const struct command *command)
{
	if (is_asked(work, UNIT_PAST, command))
		return;
	db_array_uuid(&wanted->past.columns[0], &command->workspace);
	db_array_uuid(&wanted->past.columns[1], &command->entity);
}

static void want_head(struct work *work, struct wanted *wanted, const struct command *command)
{
	for (const struct unit_head *head = work->unit.heads; head; head = head->next)
		if (uuid_eq(&head->workspace, &command->workspace))
			return;
	unit_head(&work->unit, &command->workspace);
	db_array_uuid(&wanted->heads.columns[0], &command->workspace);
}

static void want_used(struct work *work, struct wanted *wanted, const struct command *command)
{
	if (is_asked(work, UNIT_USED, command))
		return;
	db_array_uuid(&wanted->used.columns[0], &command->workspace);
	db_array_uuid(&wanted->used.columns[1], &command->entity);
}

/* Rows of bulk jobs have keys, too, which are remembered as long as they may come again. */
static bool may_be_used(const struct command *command)
{
	return command->type == COMMAND_CUSTOMER_POST && command->flags & COMMAND_KEYED &&
	       !(command->flags & COMMAND_BULK);
}

static void want_for_write(struct work *work, struct wanted *wanted, size_t index)
{
	const struct command *command = batch_command(work->batch, index);

	if (command->type == COMMAND_CUSTOMER_POST)
		want_head(work, wanted, command);
	else
		want_customer(work, wanted, command);
	if (may_be_used(command))
		want_used(work, wanted, command);
	want_key(work, wanted, command, work->bodies[index]);
	if (command->text.n)
		want_value(work, wanted, command, BINDING_SESSION);
}

static void want_for_ensure(struct work *work, struct wanted *wanted, size_t index)
{
	const struct command *command = batch_command(work->batch, index);

	want_head(work, wanted, command);
	want_key(work, wanted, command, work->bodies[index]);
	want_value(work, wanted, command, BINDING_EXTERNAL_ID);
	want_used(work, wanted, command);
}

static void want_for_session(struct work *work, struct wanted *wanted, const struct command *command)
{
	struct uuid session;

	want_customer(work, wanted, command);
	if (command->type == COMMAND_SESSION_POST)
		want_value(work, wanted, command, BINDING_SESSION);
	else if (uuid_parse(command->text, &session))
		want_bindings(work, wanted, command, &session);
}

static void want_for(struct work *work, struct wanted *wanted, size_t index)
{
	const struct command *command = batch_command(work->batch, index);

	switch (command->type) {
	case COMMAND_CUSTOMER_POST:
	case COMMAND_CUSTOMER_PATCH:
	case COMMAND_CUSTOMER_PUT:
		want_for_write(work, wanted, index);
		break;
	case COMMAND_CUSTOMER_ENSURE:
		want_for_ensure(work, wanted, index);
		break;
	case COMMAND_CUSTOMER_DELETE:
		want_customer(work, wanted, command);
		want_bindings(work, wanted, command, NULL);
		want_past(work, wanted, command);
		break;
	case COMMAND_SESSION_POST:
	case COMMAND_SESSION_DELETE:
		want_for_session(work, wanted, command);
		break;
	case COMMAND_ITEM_POST:
	case COMMAND_ITEM_PUT:
	case COMMAND_ITEM_DELETE:
		want_customer(work, wanted, command);
		break;
	default:
		break;
	}
}

/* A key leads to a customer only if the customer's document still gives that key: a row may be left from an older
 * policy. */
static bool take_by_key(struct work *work, const PGresult *result, struct err *err)
{
	for (int row = 0; row < PQntuples(result); row++) {
		struct uuid key = db_uuid(result, row, 13);
		struct unit_customer *customer = take_customer(work, result, row, err);

		if (!customer)
			return false;
		if (customer->has_key && uuid_eq(&customer->key, &key))
			unit_know_key(&work->unit, &customer->workspace, &customer->now.node, &key, customer);
	}
	return true;
}

/* A customer may come back twice, by its id and by its key, and so may a binding; the second time it is known. */
static const struct {
	const char *statement;
	size_t offset;
	take_fn *take;
} loads[] = {
        {.statement = "cm_customers", .offset = offsetof(struct wanted, customers), .take = take_customers},
        {.statement = "cm_used_ids", .offset = offsetof(struct wanted, used), .take = take_used},
        {.statement = "cm_customers_by_key", .offset = offsetof(struct wanted, keys), .take = take_by_key},
        {.statement = "cm_bindings", .offset = offsetof(struct wanted, values), .take = take_bindings},
        {.statement = "cm_bindings_of", .offset = offsetof(struct wanted, holders), .take = take_bindings},
        {.statement = "cm_past_values", .offset = offsetof(struct wanted, past), .take = take_past},
        {.statement = "cm_heads", .offset = offsetof(struct wanted, heads), .take = take_heads},
};

static struct rows *rows_of(struct wanted *wanted, size_t load)
{
	return (struct rows *)((char *)wanted + loads[load].offset);
}

static bool send_loads(struct work *work, struct wanted *wanted, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(loads); i++)
		if (rows_count(rows_of(wanted, i)) && !rows_send(rows_of(wanted, i), work->db, loads[i].statement, err))
			return false;
	return db_flush(work->db, err);
}

static bool receive_loads(struct work *work, struct wanted *wanted, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(loads); i++)
		if (!receive(work, rows_of(wanted, i), loads[i].take, err))
			return false;
	return true;
}

/* One try with the rules that we have. *ret_again: the table had newer ones, so keys were made with the wrong policy.
 */
static bool try_load(struct work *work, bool *ret_again, struct err *err)
{
	struct wanted wanted;
	bool has_new;

	unit_init(&work->unit, work->arena, work->end - work->first);
	wanted_init(&wanted, work->arena);
	want_all_rules(work, &wanted.rules, &has_new);
	*ret_again = has_new;
	if (!rows_count(&wanted.rules))
		return true;
	for (size_t i = work->first; !has_new && i < work->end; i++)
		if (!batch_skip(work->batch, i))
			want_for(work, &wanted, i);
	if (!rows_send(&wanted.rules, work->db, "cm_rules", err) || !send_loads(work, &wanted, err))
		return false;
	PGresult *newer = db_result(work->db, err);
	if (!newer)
		return false;
	*ret_again |= PQntuples(newer) > 0;
	bool good = take_rules(work, newer, err);
	PQclear(newer);
	return good && receive_loads(work, &wanted, err);
}

bool store_load(struct work *work, struct err *err)
{
	bool again = true;

	while (again)
		if (!try_load(work, &again, err))
			return false;
	return true;
}

bool store_load_key(struct work *work, const struct uuid *workspace, const struct uuid *node, const struct uuid *key,
        struct err *err)
{
	struct rows rows;

	rows_init(&rows, work->arena, "uuu");
	db_array_uuid(&rows.columns[0], workspace);
	db_array_uuid(&rows.columns[1], node);
	db_array_uuid(&rows.columns[2], key);
	unit_know_key(&work->unit, workspace, node, key, NULL);
	return rows_send(&rows, work->db, "cm_customers_by_key", err) && db_flush(work->db, err) &&
	       receive(work, &rows, take_by_key, err);
}

bool store_load_external_ids(struct work *work, struct unit_customer *customer, struct err *err)
{
	struct rows rows;

	if (customer->knows_external_ids)
		return true;
	customer->knows_external_ids = true;
	rows_init(&rows, work->arena, "uu");
	db_array_uuid(&rows.columns[0], &customer->workspace);
	db_array_uuid(&rows.columns[1], &customer->now.id);
	return rows_send(&rows, work->db, "cm_external_ids_of", err) && db_flush(work->db, err) &&
	       receive(work, &rows, take_bindings, err);
}
