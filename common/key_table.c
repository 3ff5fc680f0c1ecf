#include "common/key_table.h"

#include "common/arena.h"
#include "common/hash.h"

#define FIRST_SLOTS 64
/* By four: growing visits the keys in the order of their hashes, which memory does not like. */
#define GROWTH 4

/* Where the key is, or the free slot where it belongs. */
static struct str **slot_of(const struct key_table *table, struct str key)
{
	size_t i = hash_keyed(key) & (table->n_slots - 1);

	while (table->slots[i] && !str_eq(*table->slots[i], key))
		i = (i + 1) & (table->n_slots - 1);
	return &table->slots[i];
}

static void make_slots(struct key_table *table, size_t n_slots)
{
	table->n_slots = n_slots;
	table->slots = arena_zalloc(table->arena, n_slots * sizeof(*table->slots));
}

static void grow(struct key_table *table)
{
	struct str **old = table->slots ? table->slots : table->few;
	size_t n_old = table->slots ? table->n_slots : table->n;

	make_slots(table, table->slots ? table->n_slots * GROWTH : FIRST_SLOTS);
	for (size_t i = 0; i < n_old; i++)
		if (old[i])
			*slot_of(table, *old[i]) = old[i];
}

void key_table_init(struct key_table *table, struct arena *arena, size_t n_expected)
{
	size_t n_slots = FIRST_SLOTS;

	table->arena = arena;
	table->n = 0;
	table->slots = NULL;
	table->n_slots = 0;
	if (n_expected <= KEY_TABLE_FEW)
		return;
	while (n_slots < 2 * n_expected)
		n_slots *= 2;
	make_slots(table, n_slots);
}

struct str *key_table_find(const struct key_table *table, struct str key)
{
	if (table->slots)
		return *slot_of(table, key);
	for (size_t i = 0; i < table->n; i++)
		if (str_eq(*table->few[i], key))
			return table->few[i];
	return NULL;
}

struct str *key_table_add_to_many(struct key_table *table, struct str *key)
{
	struct str **slot;

	if (2 * (table->n + 1) > table->n_slots)
		grow(table);
	slot = slot_of(table, *key);
	if (!*slot) {
		*slot = key;
		table->n++;
	}
	return *slot;
}
