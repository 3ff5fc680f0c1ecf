#include "workers/customer_merge/unit.h"

#include "common/arena.h"

/* What a table finds by its name. */
struct entry {
	struct str name;
	void *value;
};

/* Names of entries: ids and values one behind the other. */
#define ID_NAME_BYTES 32
#define KEY_NAME_BYTES 48

static void *get(const struct key_table *table, struct str name)
{
	const struct entry *entry = (const struct entry *)key_table_find(table, name);

	return entry ? entry->value : NULL;
}

static void put(struct key_table *table, struct str name, void *value)
{
	struct entry *entry = (struct entry *)key_table_find(table, name);

	if (!entry) {
		entry = arena_alloc(table->arena, sizeof(*entry));
		entry->name = arena_str(table->arena, name);
		key_table_add(table, &entry->name);
	}
	entry->value = value;
}

void unit_init(struct unit *unit, struct arena *arena, size_t n_commands)
{
	*unit = (struct unit){.arena = arena};
	key_table_init(&unit->customers, arena, 2 * n_commands);
	key_table_init(&unit->used, arena, 0);
	key_table_init(&unit->keys, arena, 2 * n_commands);
	key_table_init(&unit->values, arena, 2 * n_commands);
	key_table_init(&unit->asked, arena, 2 * n_commands);
}

/* Customers */

static struct str id_name(char bytes[ID_NAME_BYTES], const struct uuid *workspace, const struct uuid *id)
{
	memcpy(bytes, workspace->b, 16);
	memcpy(bytes + 16, id->b, 16);
	return (struct str){bytes, ID_NAME_BYTES};
}

static struct unit_customer *find_any(const struct unit *unit, const struct uuid *workspace, const struct uuid *id)
{
	char bytes[ID_NAME_BYTES];

	return get(&unit->customers, id_name(bytes, workspace, id));
}

struct unit_customer *unit_find(const struct unit *unit, const struct uuid *workspace, const struct uuid *id)
{
	struct unit_customer *customer = find_any(unit, workspace, id);

	return customer && !customer->deleted ? customer : NULL;
}

struct unit_customer *unit_add(
        struct unit *unit, const struct uuid *workspace, const struct customer *customer, bool stored)
{
	struct unit_customer *added = find_any(unit, workspace, &customer->id);
	char bytes[ID_NAME_BYTES];

	if (added)
		return added;
	added = arena_zalloc(unit->arena, sizeof(*added));
	added->workspace = *workspace;
	added->now = *customer;
	added->stored = stored;
	added->changed = !stored;
	added->knows_external_ids = !stored;
	put(&unit->customers, id_name(bytes, workspace, &customer->id), added);
	if (unit->last_customer)
		unit->last_customer->next = added;
	else
		unit->first_customer = added;
	unit->last_customer = added;
	return added;
}

void unit_know_used(struct unit *unit, const struct uuid *workspace, const struct uuid *id)
{
	char bytes[ID_NAME_BYTES];

	put(&unit->used, id_name(bytes, workspace, id), unit);
}

bool unit_is_used(const struct unit *unit, const struct uuid *workspace, const struct uuid *id)
{
	char bytes[ID_NAME_BYTES];

	return find_any(unit, workspace, id) || get(&unit->used, id_name(bytes, workspace, id));
}

bool unit_ask(struct unit *unit, enum unit_question question, const struct uuid *workspace, const struct uuid *id)
{
	char bytes[ID_NAME_BYTES + 1];
	struct str name = {bytes, sizeof(bytes)};

	id_name(bytes, workspace, id);
	bytes[ID_NAME_BYTES] = (char)question;
	if (get(&unit->asked, name))
		return false;
	put(&unit->asked, name, unit);
	return true;
}

void unit_delete(struct unit *unit, struct unit_customer *customer, int64_t now_us)
{
	unit_set_key(unit, customer, NULL);
	for (struct unit_binding *binding = customer->bindings; binding; binding = binding->next_of_customer)
		if (binding->unbound_us == BINDING_OPEN)
			unit_unbind(binding, now_us);
	customer->deleted = true;
	customer->deleted_us = now_us;
	customer->changed = true;
}

/* Keys */

static struct str key_name(
        char bytes[KEY_NAME_BYTES], const struct uuid *workspace, const struct uuid *node, const struct uuid *key)
{
	memcpy(bytes, workspace->b, 16);
	memcpy(bytes + 16, node->b, 16);
	memcpy(bytes + 32, key->b, 16);
	return (struct str){bytes, KEY_NAME_BYTES};
}

bool unit_key_is_known(
        const struct unit *unit, const struct uuid *workspace, const struct uuid *node, const struct uuid *key)
{
	char bytes[KEY_NAME_BYTES];

	return key_table_find(&unit->keys, key_name(bytes, workspace, node, key));
}

void unit_know_key(struct unit *unit, const struct uuid *workspace, const struct uuid *node, const struct uuid *key,
        struct unit_customer *holder)
{
	char bytes[KEY_NAME_BYTES];

	put(&unit->keys, key_name(bytes, workspace, node, key), holder);
}

struct unit_customer *unit_find_by_key(
        const struct unit *unit, const struct uuid *workspace, const struct uuid *node, const struct uuid *key)
{
	char bytes[KEY_NAME_BYTES];

	return get(&unit->keys, key_name(bytes, workspace, node, key));
}

void unit_set_key(struct unit *unit, struct unit_customer *customer, const struct uuid *key)
{
	const struct uuid *node = &customer->now.node;

	/* one that another customer has, too, stays with that one; one that was not asked for is still in the table */
	if (customer->has_key && unit_find_by_key(unit, &customer->workspace, node, &customer->key) == customer)
		unit_know_key(unit, &customer->workspace, node, &customer->key, NULL);
	customer->has_key = key;
	if (!key)
		return;
	customer->key = *key;
	unit_know_key(unit, &customer->workspace, node, key, customer);
}

/* Bindings */

struct unit_value *unit_value(struct unit *unit, const struct uuid *workspace, const struct uuid *node,
        enum binding_kind kind, struct str text)
{
	char *bytes = arena_alloc(unit->arena, ID_NAME_BYTES + 1 + text.n);
	struct str name = {bytes, ID_NAME_BYTES + 1 + text.n};
	struct unit_value *value;

	id_name(bytes, workspace, node);
	bytes[ID_NAME_BYTES] = (char)kind;
	memcpy(bytes + ID_NAME_BYTES + 1, text.p, text.n);
	value = get(&unit->values, name);
	if (value)
		return value;
	value = arena_zalloc(unit->arena, sizeof(*value));
	*value = (struct unit_value){
	        .workspace = *workspace, .node = *node, .kind = kind, .text = {bytes + ID_NAME_BYTES + 1, text.n}};
	put(&unit->values, name, value);
	return value;
}

static bool is_earlier(const struct unit_binding *a, const struct unit_binding *b)
{
	if (a->bound_us != b->bound_us)
		return a->bound_us < b->bound_us;
	return uuid_compare(&a->customer, &b->customer) < 0;
}

struct unit_binding *unit_open_binding(const struct unit_value *value)
{
	struct unit_binding *best = NULL;

	for (struct unit_binding *binding = value->bindings; binding; binding = binding->next_of_value)
		if (binding->unbound_us == BINDING_OPEN && (!best || is_earlier(binding, best)))
			best = binding;
	return best;
}

struct unit_binding *unit_binding_of(const struct unit_value *value, const struct uuid *customer)
{
	for (struct unit_binding *binding = value->bindings; binding; binding = binding->next_of_value)
		if (binding->unbound_us == BINDING_OPEN && uuid_eq(&binding->customer, customer))
			return binding;
	return NULL;
}

/* The row that the table had open before this run, whatever became of it since. */
static struct unit_binding *stored_binding_of(const struct unit_value *value, const struct uuid *customer)
{
	for (struct unit_binding *binding = value->bindings; binding; binding = binding->next_of_value)
		if (binding->stored && uuid_eq(&binding->customer, customer))
			return binding;
	return NULL;
}

static void join_holder(struct unit *unit, struct unit_binding *binding)
{
	struct unit_customer *holder = unit_find(unit, &binding->value->workspace, &binding->customer);

	if (!holder || binding->holder)
		return;
	binding->holder = holder;
	binding->next_of_customer = holder->bindings;
	holder->bindings = binding;
}

static struct unit_binding *add_binding(struct unit *unit, const struct unit_binding *binding)
{
	struct unit_binding *added = arena_alloc(unit->arena, sizeof(*added));

	*added = *binding;
	added->next_of_value = added->value->bindings;
	added->value->bindings = added;
	if (unit->last_binding)
		unit->last_binding->next = added;
	else
		unit->first_binding = added;
	unit->last_binding = added;
	join_holder(unit, added);
	return added;
}

struct unit_binding *unit_know_binding(struct unit *unit, struct unit_value *value, const struct uuid *customer,
        const struct uuid *session, int64_t bound_us)
{
	struct unit_binding *known = unit_binding_of(value, customer);

	if (!known)
		known = stored_binding_of(value, customer);
	if (known) {
		join_holder(unit, known);
		return known;
	}
	return add_binding(unit, &(struct unit_binding){.value = value,
	                                 .customer = *customer,
	                                 .session = *session,
	                                 .bound_us = bound_us,
	                                 .unbound_us = BINDING_OPEN,
	                                 .stored = true});
}

struct unit_binding *unit_bind(struct unit *unit, struct unit_value *value, struct unit_customer *customer,
        const struct uuid *session, int64_t now_us)
{
	return add_binding(unit, &(struct unit_binding){.value = value,
	                                 .customer = customer->now.id,
	                                 .session = *session,
	                                 .bound_us = now_us,
	                                 .unbound_us = BINDING_OPEN});
}

void unit_unbind(struct unit_binding *binding, int64_t now_us)
{
	binding->unbound_us = now_us;
}

void unit_know_past(struct unit *unit, struct unit_value *value)
{
	if (value->past)
		return;
	value->past = true;
	value->next_past = unit->past_values;
	unit->past_values = value;
}

struct unit_head *unit_head(struct unit *unit, const struct uuid *workspace)
{
	struct unit_head *head;

	for (head = unit->heads; head; head = head->next)
		if (uuid_eq(&head->workspace, workspace))
			return head;
	head = arena_zalloc(unit->arena, sizeof(*head));
	head->workspace = *workspace;
	head->next = unit->heads;
	unit->heads = head;
	return head;
}
