#include "workers/customer_merge/rules.h"

#include "common/arena.h"
#include "common/hash.h"
#include "common/log.h"

#include <stdlib.h>

#define SLOTS 4096
/* A tree takes far more room than the text of a record, which is at most 1 MiB. */
#define POLICY_BYTES (256UL * 1024 * 1024)

struct entry {
	struct node_rules rules; /* first: an entry is found by its rules */
	struct arena *arena;     /* of the policy; NULL while there is none */
};

struct rules {
	struct entry *slots[SLOTS];
};

struct rules *rules_new(void)
{
	struct rules *rules = calloc(1, sizeof(*rules));

	if (!rules)
		log_die("memory", "out of memory");
	return rules;
}

void rules_forget(struct rules *rules)
{
	for (size_t i = 0; i < SLOTS; i++) {
		while (rules->slots[i]) {
			struct entry *entry = rules->slots[i];

			rules->slots[i] = (struct entry *)entry->rules.next;
			arena_free(entry->arena);
			free(entry);
		}
	}
}

void rules_free(struct rules *rules)
{
	if (!rules)
		return;
	rules_forget(rules);
	free(rules);
}

static size_t slot_of(const struct uuid *workspace, const struct uuid *node)
{
	return hash_bytes(node->b, sizeof(node->b), hash_bytes(workspace->b, sizeof(workspace->b), 0)) % SLOTS;
}

static struct entry *find(const struct rules *rules, const struct uuid *workspace, const struct uuid *node)
{
	struct entry *entry = rules->slots[slot_of(workspace, node)];

	while (entry && !(uuid_eq(&entry->rules.node, node) && uuid_eq(&entry->rules.workspace, workspace)))
		entry = (struct entry *)entry->rules.next;
	return entry;
}

const struct node_rules *rules_find(const struct rules *rules, const struct uuid *workspace, const struct uuid *node)
{
	struct entry *entry = find(rules, workspace, node);

	return entry ? &entry->rules : NULL;
}

/* A copy of the members that customer_policy_read looks at. */
static struct json *policy_document(struct arena *arena, const struct json *document)
{
	static const struct str names[] = {{"uniqueCustomer", 14}, {"mandatoryProperties", 19}};
	struct json *copy = json_new(arena, JSON_OBJECT);

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct json *member = json_get(document, names[i]);

		if (member)
			json_add(copy, names[i], json_copy(arena, member, true));
	}
	return copy;
}

static struct entry *add(struct rules *rules, const struct uuid *workspace, const struct uuid *node)
{
	size_t slot = slot_of(workspace, node);
	struct entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		log_die("memory", "out of memory");
	entry->rules.workspace = *workspace;
	entry->rules.node = *node;
	entry->rules.next = rules->slots[slot] ? &rules->slots[slot]->rules : NULL;
	rules->slots[slot] = entry;
	return entry;
}

const struct node_rules *rules_put(struct rules *rules, const struct uuid *workspace, const struct uuid *node,
        int64_t seq, const struct json *document)
{
	struct entry *entry = find(rules, workspace, node);

	if (!entry)
		entry = add(rules, workspace, node);
	entry->rules.seq = seq;
	entry->rules.policy = (struct customer_policy){0};
	arena_free(entry->arena);
	entry->arena = document ? arena_new(POLICY_BYTES) : NULL;
	if (document)
		entry->rules.policy = customer_policy_read(entry->arena, policy_document(entry->arena, document));
	return &entry->rules;
}

void rules_set_seq(struct rules *rules, const struct uuid *workspace, const struct uuid *node, int64_t seq)
{
	struct entry *entry = find(rules, workspace, node);

	if (entry)
		entry->rules.seq = seq;
}
