#include "gateway/throttle.h"

#include "common/hash.h"
#include "common/log.h"

#include <stdlib.h>

#define MINUTE_US (60 * INT64_C(1000000))
#define FIRST_CAPACITY 64 /* power of two */

bool token_bucket_take(struct token_bucket *bucket, int64_t per_minute, int64_t now_us, unsigned *ret_retry_after_s)
{
	if (per_minute <= 0)
		return true;
	int64_t token_us = MINUTE_US / per_minute;
	int64_t full_at_us = (bucket->full_at_us > now_us ? bucket->full_at_us : now_us) + token_us;
	int64_t too_late_us = full_at_us - now_us - MINUTE_US;
	if (too_late_us > 0) {
		*ret_retry_after_s = (unsigned)((too_late_us + 999999) / 1000000);
		return false;
	}
	bucket->full_at_us = full_at_us;
	return true;
}

/* Open addressing; nothing is ever removed. */
struct entry {
	struct uuid workspace;
	bool used;
	struct token_bucket bucket;
};

struct throttle {
	struct entry *entries;
	size_t capacity;
	size_t n;
};

static struct entry *entries_new(size_t capacity)
{
	struct entry *entries = calloc(capacity, sizeof(*entries));

	if (!entries)
		log_die("memory", "out of memory");
	return entries;
}

struct throttle *throttle_new(void)
{
	struct throttle *throttle = calloc(1, sizeof(*throttle));

	if (!throttle)
		log_die("memory", "out of memory");
	throttle->capacity = FIRST_CAPACITY;
	throttle->entries = entries_new(FIRST_CAPACITY);
	return throttle;
}

void throttle_free(struct throttle *throttle)
{
	if (throttle)
		free(throttle->entries);
	free(throttle);
}

static struct entry *find(struct entry *entries, size_t capacity, const struct uuid *workspace)
{
	size_t i = (size_t)hash_bytes(workspace, sizeof(*workspace), 0) & (capacity - 1);

	while (entries[i].used && !uuid_eq(&entries[i].workspace, workspace))
		i = (i + 1) & (capacity - 1);
	return &entries[i];
}

static void grow(struct throttle *throttle)
{
	struct entry *entries = entries_new(throttle->capacity * 2);

	for (size_t i = 0; i < throttle->capacity; i++) {
		if (throttle->entries[i].used)
			*find(entries, throttle->capacity * 2, &throttle->entries[i].workspace) = throttle->entries[i];
	}
	free(throttle->entries);
	throttle->entries = entries;
	throttle->capacity *= 2;
}

struct token_bucket *throttle_bucket(struct throttle *throttle, const struct uuid *workspace)
{
	if (throttle->n * 2 >= throttle->capacity)
		grow(throttle);
	struct entry *entry = find(throttle->entries, throttle->capacity, workspace);
	if (!entry->used) {
		entry->used = true;
		entry->workspace = *workspace;
		throttle->n++;
	}
	return &entry->bucket;
}
