#include "gateway/pending.h"

#include "common/log.h"

#include <stdlib.h>

/* number = serial of the slot << SLOT_BITS | slot */
#define SLOT_BITS 20
#define SLOT_MASK ((UINT64_C(1) << SLOT_BITS) - 1)

struct slot {
	uint64_t number; /* in use, or the last one that was */
	struct request *request;
	size_t next_free;
};

struct pending {
	size_t capacity;
	size_t count;
	size_t first_free; /* capacity = none */
	struct slot slots[];
};

struct pending *pending_new(size_t capacity)
{
	struct pending *pending = calloc(1, sizeof(*pending) + capacity * sizeof(pending->slots[0]));

	if (!pending || capacity > SLOT_MASK)
		log_die("memory", "no memory for %zu waiting requests", capacity);
	pending->capacity = capacity;
	for (size_t i = 0; i < capacity; i++) {
		pending->slots[i].number = i;
		pending->slots[i].next_free = i + 1;
	}
	return pending;
}

void pending_free(struct pending *pending)
{
	free(pending);
}

uint64_t pending_add(struct pending *pending, struct request *request)
{
	if (pending->first_free == pending->capacity)
		return 0;
	struct slot *slot = &pending->slots[pending->first_free];
	pending->first_free = slot->next_free;
	pending->count++;
	slot->number += SLOT_MASK + 1;
	slot->request = request;
	return slot->number;
}

static const struct slot *find(const struct pending *pending, uint64_t number)
{
	size_t i = (size_t)(number & SLOT_MASK);

	if (i >= pending->capacity || pending->slots[i].number != number || !pending->slots[i].request)
		return NULL;
	return &pending->slots[i];
}

struct request *pending_find(const struct pending *pending, uint64_t number)
{
	const struct slot *slot = find(pending, number);

	return slot ? slot->request : NULL;
}

void pending_remove(struct pending *pending, uint64_t number)
{
	if (!find(pending, number))
		return;
	size_t i = (size_t)(number & SLOT_MASK);
	pending->slots[i].request = NULL;
	pending->slots[i].next_free = pending->first_free;
	pending->first_free = i;
	pending->count--;
}

size_t pending_count(const struct pending *pending)
{
	return pending->count;
}
