#include "gateway/customer_cache.h"

#include "common/hash.h"
#include "common/log.h"

#include <sodium.h>
#include <stdlib.h>

#define WAYS 4 /* entries of a bucket */

/* A fact under a key that nobody outside chooses: an id, or a hash of an external id that is as good as it. */
struct entry {
	struct uuid key;
	struct uuid workspace; /* of a customer */
	struct uuid node;      /* of a customer */
	int64_t until_us;
	uint64_t epoch; /* of the cache when it was put */
};

struct table {
	struct entry *entries;
	size_t n_buckets;
};

struct customer_cache {
	struct table customers;    /* valid when put in the epoch of the last clearing or later */
	struct table external_ids; /* valid when put in this epoch */
	uint64_t epoch, cleared_epoch;
};

static struct table table_new(size_t n_entries)
{
	struct table table = {.n_buckets = n_entries / WAYS};

	table.entries = calloc(n_entries, sizeof(*table.entries));
	if (!table.entries)
		log_die("memory", "out of memory");
	return table;
}

struct customer_cache *customer_cache_new(size_t n_entries)
{
	struct customer_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		log_die("memory", "out of memory");
	cache->customers = table_new(n_entries);
	cache->external_ids = table_new(n_entries);
	return cache;
}

void customer_cache_free(struct customer_cache *cache)
{
	if (!cache)
		return;
	free(cache->customers.entries);
	free(cache->external_ids.entries);
	free(cache);
}

struct customer_cache *customer_cache_of_process(void)
{
	static struct customer_cache *cache;

	if (!cache)
		cache = customer_cache_new(CUSTOMER_CACHE_ENTRIES);
	return cache;
}

uint64_t customer_cache_epoch(const struct customer_cache *cache)
{
	return cache->epoch;
}

static struct entry *bucket(const struct table *table, const struct uuid *key)
{
	return table->entries + WAYS * (hash_bytes(key, sizeof(*key), 0) & (table->n_buckets - 1));
}

/* An entry that was never used has the time 0. */
static struct entry *find(const struct table *table, const struct uuid *key)
{
	struct entry *entries = bucket(table, key);

	for (size_t i = 0; i < WAYS; i++)
		if (entries[i].until_us && uuid_eq(&entries[i].key, key))
			return &entries[i];
	return NULL;
}

/* The place for a key: its own, or that of the entry that ends first. */
static struct entry *place(const struct table *table, const struct uuid *key)
{
	struct entry *entries = bucket(table, key);
	struct entry *oldest = find(table, key);

	for (size_t i = 0; i < WAYS && !oldest; i++)
		if (!entries[i].until_us)
			oldest = &entries[i];
	if (oldest)
		return oldest;
	oldest = entries;
	for (size_t i = 1; i < WAYS; i++)
		if (entries[i].until_us < oldest->until_us)
			oldest = &entries[i];
	return oldest;
}

bool customer_cache_find(const struct customer_cache *cache, const struct uuid *workspace, const struct uuid *customer,
        int64_t now_us, struct uuid *ret_node)
{
	const struct entry *entry = find(&cache->customers, customer);

	if (!entry || entry->until_us < now_us || entry->epoch < cache->cleared_epoch ||
	        !uuid_eq(&entry->workspace, workspace))
		return false;
	*ret_node = entry->node;
	return true;
}

void customer_cache_put(struct customer_cache *cache, const struct uuid *workspace, const struct uuid *customer,
        const struct uuid *node, uint64_t epoch, int64_t now_us)
{
	if (epoch == cache->epoch)
		*place(&cache->customers, customer) = (struct entry){.key = *customer,
		        .workspace = *workspace,
		        .node = *node,
		        .epoch = epoch,
		        .until_us = now_us + CUSTOMER_CACHE_LIFE_US};
}

void customer_cache_forget(struct customer_cache *cache, const struct uuid *workspace, const struct uuid *customer)
{
	struct entry *entry = find(&cache->customers, customer);

	if (entry && uuid_eq(&entry->workspace, workspace))
		entry->until_us = 0;
	customer_cache_forget_external_ids(cache);
}

static struct uuid external_key(const struct uuid *node, struct str external_id)
{
	crypto_generichash_state state;
	struct uuid key;

	crypto_generichash_init(&state, NULL, 0, sizeof(key));
	crypto_generichash_update(&state, node->b, sizeof(node->b));
	crypto_generichash_update(&state, (const unsigned char *)external_id.p, external_id.n);
	crypto_generichash_final(&state, key.b, sizeof(key.b));
	return key;
}

bool customer_cache_has_external_id(
        const struct customer_cache *cache, const struct uuid *node, struct str external_id, int64_t now_us)
{
	struct uuid key = external_key(node, external_id);
	const struct entry *entry = find(&cache->external_ids, &key);

	return entry && entry->until_us >= now_us && entry->epoch == cache->epoch;
}

void customer_cache_put_external_id(
        struct customer_cache *cache, const struct uuid *node, struct str external_id, uint64_t epoch, int64_t now_us)
{
	struct uuid key = external_key(node, external_id);

	if (epoch == cache->epoch)
		*place(&cache->external_ids, &key) =
		        (struct entry){.key = key, .until_us = now_us + CUSTOMER_CACHE_LIFE_US, .epoch = cache->epoch};
}

void customer_cache_forget_external_ids(struct customer_cache *cache)
{
	cache->epoch++;
}

void customer_cache_clear(struct customer_cache *cache)
{
	customer_cache_forget_external_ids(cache);
	cache->cleared_epoch = cache->epoch;
}
