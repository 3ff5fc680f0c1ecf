#ifndef COMMON_LIST_BUILDER_H
#define COMMON_LIST_BUILDER_H

#include "common/json.h"

struct arena;

/*
 * A list under construction that finds what it holds: equal values, or items by id. Order is the order of arrival. Up
 * to a few items it compares, beyond it hashes, because strangers choose how long lists are.
 */
struct list_builder {
	struct arena *arena;
	struct json *list;
	bool by_id;          /* items are found by their member "id"; one without an id is found by its value */
	struct json **slots; /* NULL as long as there are few */
	size_t n_slots;
};

/* The builder takes `list` over (NULL: begins with an empty one) together with what it holds. */
void list_builder_init(struct list_builder *builder, struct arena *arena, struct json *list, bool by_id);

/* The item of the list that has the same id (or is equal), or NULL. json_assign may put another such one in its place.
 */
struct json *list_builder_find(const struct list_builder *builder, const struct json *item);

/* Appends; the caller has made sure with list_builder_find that it is new. The item is taken over. */
void list_builder_append(struct list_builder *builder, struct json *item);

#endif
