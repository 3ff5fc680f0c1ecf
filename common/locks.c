#include "common/locks.h"

#include "common/arena.h"
#include "common/hash.h"

#include <stdlib.h>

/* Keeps our keys apart from advisory locks that others take in the same database. */
#define LOCK_KEY_SPACE ((int64_t)0x43480000 << 32)

void lock_set_init(struct lock_set *set, struct arena *arena)
{
	*set = (struct lock_set){.arena = arena};
}

static void add(struct lock_set *set, enum lock_kind kind, uint64_t hash, bool exclusive)
{
	if (set->n == set->capacity) {
		size_t capacity = set->capacity ? set->capacity * 2 : 64;
		struct lock *locks = arena_alloc(set->arena, capacity * sizeof(*locks));

		if (set->n)
			memcpy(locks, set->locks, set->n * sizeof(*locks));
		set->locks = locks;
		set->capacity = capacity;
	}
	set->locks[set->n++] = (struct lock){
	        .key = LOCK_KEY_SPACE | (int64_t)kind << 32 | (int64_t)(hash % LOCK_STRIPES),
	        .exclusive = exclusive,
	};
}

void lock_set_binding(struct lock_set *set, const struct uuid *node, int kind, struct str value, bool exclusive)
{
	add(set, LOCK_BINDING, hash_str(value, hash_bytes(node->b, sizeof(node->b), (uint64_t)kind << 8)), exclusive);
}

void lock_set_customer(struct lock_set *set, const struct uuid *customer, bool exclusive)
{
	add(set, LOCK_CUSTOMER, hash_bytes(customer->b, sizeof(customer->b), 0), exclusive);
}

void lock_set_node(struct lock_set *set, const struct uuid *node, bool exclusive)
{
	add(set, LOCK_NODE, hash_bytes(node->b, sizeof(node->b), 0), exclusive);
}

static int compare(const void *a, const void *b)
{
	const struct lock *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return (int)y->exclusive - (int)x->exclusive;
}

void lock_set_order(struct lock_set *set)
{
	size_t n = 0;

	if (set->n == 0)
		return;
	qsort(set->locks, set->n, sizeof(*set->locks), compare);
	for (size_t i = 0; i < set->n; i++)
		if (n == 0 || set->locks[n - 1].key != set->locks[i].key)
			set->locks[n++] = set->locks[i];
	set->n = n;
}

bool lock_set_send(struct lock_set *set, struct db *db, struct err *err)
{
	struct db_params params;
	struct db_array keys, exclusive;

	lock_set_order(set);
	db_array_init(&keys, set->arena, DB_I64);
	db_array_init(&exclusive, set->arena, DB_BOOL);
	for (size_t i = 0; i < set->n; i++) {
		db_array_i64(&keys, set->locks[i].key);
		db_array_i64(&exclusive, set->locks[i].exclusive);
	}
	db_params_init(&params, set->arena);
	db_param_array(&params, &keys);
	db_param_array(&params, &exclusive);
	return db_send(db, "lock_set", &params, err);
}

bool lock_set_take(struct lock_set *set, struct db *db, struct err *err)
{
	if (set->n == 0)
		return true;
	return lock_set_send(set, db, err) && db_flush(db, err) && db_done(db, err);
}
