#include "common/recent_ids.h"

#include "common/hash.h"
#include "common/log.h"

#include <stdlib.h>

struct slot {
	struct uuid id;
	uint32_t next; /* index + 1 of the next one in the same bucket; 0: none */
};

struct recent_ids {
	size_t capacity, n, at; /* at: where the next one goes */
	struct slot *slots;
	uint32_t *buckets; /* index + 1; as many as there are slots */
};

struct recent_ids *recent_ids_new(size_t capacity)
{
	struct recent_ids *recent = calloc(1, sizeof(*recent));

	if (recent) {
		recent->capacity = capacity;
		recent->slots = calloc(capacity, sizeof(*recent->slots));
		recent->buckets = calloc(capacity, sizeof(*recent->buckets));
	}
	if (!recent || !recent->slots || !recent->buckets)
		log_die("memory", "out of memory");
	return recent;
}

void recent_ids_free(struct recent_ids *recent)
{
	if (recent) {
		free(recent->slots);
		free(recent->buckets);
	}
	free(recent);
}

static uint32_t *bucket_of(const struct recent_ids *recent, const struct uuid *id)
{
	return &recent->buckets[hash_bytes(id, sizeof(*id), 0) % recent->capacity];
}

bool recent_ids_has(const struct recent_ids *recent, const struct uuid *id)
{
	for (uint32_t i = *bucket_of(recent, id); i; i = recent->slots[i - 1].next)
		if (uuid_eq(&recent->slots[i - 1].id, id))
			return true;
	return false;
}

static void take_out(struct recent_ids *recent, size_t index)
{
	uint32_t *link = bucket_of(recent, &recent->slots[index].id);

	while (*link != index + 1)
		link = &recent->slots[*link - 1].next;
	*link = recent->slots[index].next;
}

void recent_ids_add(struct recent_ids *recent, const struct uuid *id)
{
	struct slot *slot = &recent->slots[recent->at];

	if (recent->n == recent->capacity)
		take_out(recent, recent->at);
	else
		recent->n++;
	uint32_t *bucket = bucket_of(recent, id);
	*slot = (struct slot){.id = *id, .next = *bucket};
	*bucket = (uint32_t)recent->at + 1;
	recent->at = (recent->at + 1) % recent->capacity;
}
