#ifndef AGGREGATE_SYNC_GATHERED_H
#define AGGREGATE_SYNC_GATHERED_H

#include "common/json.h"

struct arena;

/* Something that another object has under the same key. */
struct counterpart {
	const struct json *value;
	struct counterpart *next;
};

/* A member of the object, and what others have under its key. */
struct place {
	struct json *member;
	struct counterpart *first, *last;
	size_t n;
};

/*
 * An object with what other objects have under its keys: pure. Up to a few members it compares keys, beyond it hashes
 * them, because strangers choose how many there are.
 */
struct gathered {
	struct arena *arena;
	struct json *object;
	struct place *places; /* of its members, in their order */
	size_t n, room;
	size_t *slots; /* a place's index + 1, 0 is free; NULL as long as there are few */
	size_t n_slots;
};

void gathered_init(struct gathered *gathered, struct arena *arena, struct json *object);

/* NULL when the object has no such member. */
struct place *gathered_find(const struct gathered *gathered, struct str key);

/* Adds a member, whose key the caller has looked for, to the object; it is taken over. */
void gathered_add(struct gathered *gathered, struct json *member);

/* Puts the content of the value, which is taken over, into the place's member. */
void gathered_replace(struct place *place, const struct json *value);

void gathered_note(struct gathered *gathered, struct place *place, const struct json *counterpart);

/* What has been noted of the place, in that order: place->n of them. */
const struct json **gathered_counterparts(const struct gathered *gathered, const struct place *place);

#endif
