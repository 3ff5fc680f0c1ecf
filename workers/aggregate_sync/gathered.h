#ifndef AGGREGATE_SYNC_GATHERED_H
#define AGGREGATE_SYNC_GATHERED_H

#include "common/json.h"
#include "common/key_table.h"

/* Something that another object has under the same key. */
struct counterpart {
	const struct json *value;
	struct counterpart *next;
};

/* A member of the object, and what others have under its key. */
struct place {
	struct str key; /* the member's */
	struct json *member;
	struct counterpart *first, *last;
	size_t n;
	struct place *next;
};

/* An object with what other objects have under its keys: pure. */
struct gathered {
	struct arena *arena;
	struct json *object;
	struct place *first, *last; /* of its members, in their order */
	struct key_table table;     /* of the places */
};

void gathered_init(struct gathered *gathered, struct arena *arena, struct json *object);

/* NULL when the object has no such member. */
struct place *gathered_find(const struct gathered *gathered, struct str key);

/* Adds a member, whose key the caller has looked for, to the object; it is taken over. */
void gathered_add(struct gathered *gathered, struct json *member);

void gathered_note(struct gathered *gathered, struct place *place, const struct json *counterpart);

/* What has been noted of the place, in that order: place->n of them. */
const struct json **gathered_counterparts(const struct gathered *gathered, const struct place *place);

#endif
