#include "workers/aggregate_sync/gathered.h"

#include "common/arena.h"

/* A place for a member of the object that has none. */
static void add_place(struct gathered *gathered, struct json *member)
{
	struct place *place = arena_zalloc(gathered->arena, sizeof(*place));

	place->key = member->key;
	place->member = member;
	key_table_add(&gathered->table, &place->key);
	if (gathered->last)
		gathered->last->next = place;
	else
		gathered->first = place;
	gathered->last = place;
}

void gathered_init(struct gathered *gathered, struct arena *arena, struct json *object)
{
	*gathered = (struct gathered){.arena = arena, .object = object};
	key_table_init(&gathered->table, arena, object->count);
	for
		json_each(member, object) add_place(gathered, member);
}

struct place *gathered_find(const struct gathered *gathered, struct str key)
{
	return (struct place *)key_table_find(&gathered->table, key);
}

void gathered_add(struct gathered *gathered, struct json *member)
{
	add_place(gathered, json_append(gathered->object, member));
}

void gathered_note(struct gathered *gathered, struct place *place, const struct json *counterpart)
{
	struct counterpart *noted = arena_alloc(gathered->arena, sizeof(*noted));

	*noted = (struct counterpart){.value = counterpart};
	if (place->last)
		place->last->next = noted;
	else
		place->first = noted;
	place->last = noted;
	place->n++;
}

const struct json **gathered_counterparts(const struct gathered *gathered, const struct place *place)
{
	const struct json **values = arena_alloc(gathered->arena, (place->n + 1) * sizeof(*values));
	size_t n = 0;

	for (const struct counterpart *noted = place->first; noted; noted = noted->next)
		values[n++] = noted->value;
	return values;
}
