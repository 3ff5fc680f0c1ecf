#ifndef COMMON_KEY_TABLE_H
#define COMMON_KEY_TABLE_H

#include "common/str.h"

struct arena;

/* Up to this many keys are compared one by one, which is faster. */
#define KEY_TABLE_FEW 16

/*
 * Finds things by their keys, members of a JSON object, say. Strangers choose how many there are and what they are, so
 * beyond a few they are hashed under the process' key. The table holds pointers to keys, each of which is the first
 * member of its thing: what is found is cast to that. A key neither moves nor changes as long as the table is in use.
 * Memory is the arena's: up to 85 bytes a key.
 */
struct key_table {
	struct arena *arena;
	size_t n;
	struct str *few[KEY_TABLE_FEW];
	struct str **slots; /* NULL: all are among the few; else open addressing, at most half of them used */
	size_t n_slots;     /* a power of two */
};

/* n_expected only sizes the table, which grows. */
void key_table_init(struct key_table *table, struct arena *arena, size_t n_expected);

/* NULL when no key of this text is held. */
struct str *key_table_find(const struct key_table *table, struct str key);

/* For key_table_add. */
struct str *key_table_add_to_many(struct key_table *table, struct str *key);

/* Holds the key unless one of the same text is held. Returns the one that is held now. Inline: the parser of JSON calls
   it for each member. */
static inline struct str *key_table_add(struct key_table *table, struct str *key)
{
	if (table->slots || table->n == KEY_TABLE_FEW)
		return key_table_add_to_many(table, key);
	for (size_t i = 0; i < table->n; i++)
		if (str_eq(*table->few[i], *key))
			return table->few[i];
	return table->few[table->n++] = key;
}

#endif
