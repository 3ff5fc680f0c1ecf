#include "workers/aggregate_sync/profile.h"

#include "common/arena.h"
#include "common/consent_times.h"
#include "common/list_builder.h"
#include "workers/aggregate_sync/gathered.h"

#include <stdlib.h>

/* A member with what decides about it. */
struct ranked {
	const struct customer *customer;
	size_t rank; /* of its node in entryNodes */
};

static void read_entry_nodes(struct arena *arena, struct profile_node *node, const struct json *ids)
{
	struct uuid *nodes = arena_alloc(arena, (json_is(ids, JSON_ARRAY) ? ids->count + 1 : 1) * sizeof(*nodes));

	if (json_is(ids, JSON_ARRAY))
		for
			json_each(id, ids) node->n_entry_nodes +=
			        uuid_parse(json_text(id), &nodes[node->n_entry_nodes]);
	node->entry_nodes = nodes;
}

struct profile_node profile_node_read(struct arena *arena, const struct uuid *workspace, const struct uuid *id,
        const struct json *doc, const struct json *extended)
{
	const struct json *matching = json_member(doc, "matchingProperties");
	const struct json *properties = json_member(matching, "properties");
	struct profile_node node = {.workspace = *workspace,
	        .id = *id,
	        .filters = json_member(doc, "exclusionFilters"),
	        .matching.case_sensitive = json_is_true(json_member(matching, "caseSensitive")),
	        .extended = extended};
	struct str *paths =
	        arena_alloc(arena, (json_is(properties, JSON_ARRAY) ? properties->count + 1 : 1) * sizeof(*paths));

	if (json_is(properties, JSON_ARRAY))
		for
			json_each(path, properties) paths[node.matching.n_unique++] = json_text(path);
	node.matching.unique = paths;
	read_entry_nodes(arena, &node, json_member(doc, "entryNodes"));
	return node;
}

struct uuid profile_id(struct arena *arena, const struct profile_node *node, const struct customer *member)
{
	char text[UUID_TEXT_BYTES + 1];
	struct uuid key;

	if (customer_key(arena, &node->matching, member->doc, &key)) {
		uuid_format(&key, text);
		return uuid_v5(&node->id, str_of(text));
	}
	uuid_format(&member->id, text);
	return uuid_v5(&node->id, str_of(arena_printf(arena, "customer %s", text)));
}

size_t profile_rank_of(const struct profile_node *node, const struct uuid *entry_node)
{
	size_t rank = 0;

	while (rank < node->n_entry_nodes && !uuid_eq(&node->entry_nodes[rank], entry_node))
		rank++;
	return rank;
}

/* The most recently updated first. */
static int by_recency(const void *a, const void *b)
{
	const struct ranked *left = a, *right = b;

	if (left->customer->updated_us != right->customer->updated_us)
		return left->customer->updated_us > right->customer->updated_us ? -1 : 1;
	if (left->rank != right->rank)
		return left->rank < right->rank ? -1 : 1;
	return memcmp(left->customer->id.b, right->customer->id.b, sizeof(left->customer->id.b));
}

static int by_priority(const void *a, const void *b)
{
	const struct ranked *left = a, *right = b;

	if (left->rank != right->rank)
		return left->rank < right->rank ? -1 : 1;
	if (left->customer->registered_us != right->customer->registered_us)
		return left->customer->registered_us < right->customer->registered_us ? -1 : 1;
	return memcmp(left->customer->id.b, right->customer->id.b, sizeof(left->customer->id.b));
}

/* --- documents
 * -------------------------------------------------------------------------------------------------------- */

/* All at once, so that what finds the items of a long list is made once for all members, not for each. */
static void unite_lists(struct arena *arena, struct json *target, const struct json *const *others, size_t n)
{
	struct list_builder builder;

	list_builder_init(&builder, arena, target, true);
	for (size_t i = 0; i < n; i++)
		for
			json_each(item, others[i])
			{
				if (!list_builder_find(&builder, item))
					list_builder_append(&builder, json_copy(arena, item, false));
			}
}

/* What an other has is added, or noted where it is to be merged: an object's members, a list's items. */
static void gather_missing(struct gathered *gathered, const struct json *other)
{
	for
		json_each(member, other)
		{
			struct place *place = gathered_find(gathered, member->key);
			if (!place)
				gathered_add(gathered, json_copy(gathered->arena, member, false));
			else if (json_is_null(place->member))
				json_assign(place->member, json_copy(gathered->arena, member, false));
			else if (member->type == place->member->type &&
			         (member->type == JSON_OBJECT || member->type == JSON_ARRAY))
				gathered_note(gathered, place, member);
		}
}

/* Adds what the others, less recent ones (the most recent of them first), have and the target lacks. */
static void add_missing(struct arena *arena, struct json *target, const struct json *const *others, size_t n)
{
	struct gathered gathered;

	gathered_init(&gathered, arena, target);
	for (size_t i = 0; i < n; i++)
		gather_missing(&gathered, others[i]);
	for (const struct place *place = gathered.first; place; place = place->next) {
		if (!place->n)
			continue;
		if (place->member->type == JSON_OBJECT)
			add_missing(arena, place->member, gathered_counterparts(&gathered, place), place->n);
		else
			unite_lists(arena, place->member, gathered_counterparts(&gathered, place), place->n);
	}
}

/* The value that was given last; among those of one time the most recent member's. */
static const struct json *newest_leaf(const struct ranked *members, size_t n, struct str path)
{
	const struct json *newest = NULL;
	int64_t newest_us = 0;

	for (size_t i = 0; i < n; i++) {
		const struct json *value = json_path(json_member(members[i].customer->doc, "consents"), path);
		int64_t time_us = consent_time(members[i].customer, path);
		if (json_is_null(value) || json_is(value, JSON_OBJECT) || (newest && time_us <= newest_us))
			continue;
		newest = value;
		newest_us = time_us;
	}
	return newest;
}

/* Consents: leaf by leaf, whatever else of a member was changed since. */
static void take_newest_leaves(
        struct arena *arena, struct json *target, const struct ranked *members, size_t n, struct str parent)
{
	for (struct json *member = target->first, *next; member; member = next) {
		struct str path = consent_path(arena, parent, member->key);
		next = member->next;
		if (member->type == JSON_OBJECT) {
			take_newest_leaves(arena, member, members, n, path);
			continue;
		}
		const struct json *newest = newest_leaf(members, n, path);
		if (newest)
			json_set(target, member->key, json_copy(arena, newest, false));
	}
}

static bool is_restriction(struct str name)
{
	return str_is(name, "objection") || str_is(name, "limitation");
}

/* An objection or limitation of any member stands. */
static void keep_restrictions(struct arena *arena, struct json *target, const struct json *other)
{
	for
		json_each(member, other)
		{
			struct json *present = json_get(target, member->key);
			if (json_is_true(member) && is_restriction(member->key))
				json_set(target, member->key, json_new_bool(arena, true));
			else if (json_is(present, JSON_OBJECT) && member->type == JSON_OBJECT)
				keep_restrictions(arena, present, member);
		}
}

static void merge_consents(struct arena *arena, struct json *target, const struct ranked *members, size_t n)
{
	if (n == 1 || !json_is(target, JSON_OBJECT))
		return;
	take_newest_leaves(arena, target, members, n, STR_NONE);
	for (size_t i = 0; i < n; i++) {
		const struct json *consents = json_member(members[i].customer->doc, "consents");
		if (json_is(consents, JSON_OBJECT))
			keep_restrictions(arena, target, consents);
	}
}

/* What the objects have under the target's keys, in their order. */
static void gather_values(struct gathered *gathered, const struct json *const *objects, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!json_is(objects[i], JSON_OBJECT))
			continue;
		for
			json_each(member, objects[i])
			{
				struct place *place =
				        json_is_null(member) ? NULL : gathered_find(gathered, member->key);
				if (place)
					gathered_note(gathered, place, member);
			}
	}
}

/* By the values of `objects`, which stand by priority; those of objects among them are one level below. */
static void apply_policies(struct arena *arena, struct json *target, const struct json *const *objects, size_t n,
        const struct json *definitions, bool is_below)
{
	struct gathered gathered;

	if (!json_is(target, JSON_OBJECT) || !json_is(definitions, JSON_OBJECT))
		return;
	gathered_init(&gathered, arena, target);
	gather_values(&gathered, objects, n);
	for
		json_each(definition, definitions)
		{
			struct place *place = gathered_find(&gathered, definition->key);
			if (!place)
				continue;
			struct str policy = json_text(json_path(definition, STR("contactlabProperties.mergePolicy")));
			const struct json **values = gathered_counterparts(&gathered, place);
			struct json *value =
			        policy.p && place->n ? profile_apply_policy(arena, policy, values, place->n) : NULL;
			if (value)
				json_assign(place->member, value);
			else if (!is_below)
				apply_policies(arena, place->member, values, place->n,
				        json_member(definition, "properties"), true);
		}
}

static struct json *merge_documents(
        struct arena *arena, const struct profile_node *node, struct ranked *members, size_t n)
{
	const struct json **others = arena_alloc(arena, n * sizeof(*others));
	struct json *doc;

	qsort(members, n, sizeof(*members), by_recency);
	doc = json_copy(arena, members[0].customer->doc, false);
	for (size_t i = 1; i < n; i++)
		others[i - 1] = members[i].customer->doc;
	add_missing(arena, doc, others, n - 1);
	merge_consents(arena, json_member(doc, "consents"), members, n);
	qsort(members, n, sizeof(*members), by_priority);
	for (size_t i = 0; i < n; i++)
		others[i] = json_member(members[i].customer->doc, "extended");
	apply_policies(arena, json_member(doc, "extended"), others, n, node->extended, false);
	return doc;
}

static void add_up(struct customer *profile, const struct ranked *members, size_t n)
{
	const struct customer *oldest = members[0].customer, *newest = members[0].customer;

	for (size_t i = 0; i < n; i++) {
		const struct customer *member = members[i].customer;
		profile->version += member->version;
		if (!profile->int_id || member->int_id < profile->int_id)
			profile->int_id = member->int_id;
		if (member->registered_us < oldest->registered_us)
			oldest = member;
		if (member->updated_us > newest->updated_us)
			newest = member;
	}
	profile->registered_us = oldest->registered_us;
	profile->registered_by = oldest->registered_by;
	profile->updated_us = newest->updated_us;
	profile->updated_by = newest->updated_by;
}

struct customer profile_merge(struct arena *arena, const struct profile_node *node, const struct uuid *id,
        const struct customer *members, size_t n)
{
	struct customer profile = {.id = *id, .node = node->id};
	struct ranked *ranked = arena_alloc(arena, n * sizeof(*ranked));

	for (size_t i = 0; i < n; i++)
		ranked[i] = (struct ranked){&members[i], profile_rank_of(node, &members[i].node)};
	profile.doc = merge_documents(arena, node, ranked, n);
	add_up(&profile, ranked, n); /* by priority: ties go to the first */
	return profile;
}

/* --- filters
 * ---------------------------------------------------------------------------------------------------------- */

static bool text_hits(struct str text, struct str value, struct str pattern)
{
	if (!value.n || text.n < value.n)
		return false;
	if (str_is(pattern, "START_WITH"))
		return !memcmp(text.p, value.p, value.n);
	if (str_is(pattern, "END_WITH"))
		return !memcmp(text.p + text.n - value.n, value.p, value.n);
	if (str_is(pattern, "CONTAINS"))
		return memmem(text.p, text.n, value.p, value.n) != NULL;
	return text.n == value.n && !memcmp(text.p, value.p, value.n);
}

/* A list is hit when one of its items is; numbers are compared as they are written. */
static bool value_hits(const struct json *value, struct str wanted, struct str pattern)
{
	if (json_is(value, JSON_ARRAY)) {
		for
			json_each(item, value)
			{
				if (value_hits(item, wanted, pattern))
					return true;
			}
		return false;
	}
	if (json_is(value, JSON_STRING) || json_is(value, JSON_NUMBER))
		return text_hits(value->text, wanted, pattern);
	return value && !json_is(value, JSON_OBJECT) && !json_is_null(value) &&
	       text_hits(json_is_true(value) ? STR("true") : STR("false"), wanted, pattern);
}

bool profile_is_excluded(const struct profile_node *node, const struct customer *profile)
{
	if (!json_is(node->filters, JSON_ARRAY))
		return false;
	for
		json_each(filter, node->filters)
		{
			if (value_hits(json_path(profile->doc, json_text(json_member(filter, "property"))),
			            json_text(json_member(filter, "value")), json_text(json_member(filter, "pattern"))))
				return true;
		}
	return false;
}
