#include "workers/aggregate_sync/gathered.h"

#include "common/arena.h"
#include "common/hash.h"

#define FEW_MEMBERS 32

/* The slot that holds the key's place, or the free one where it belongs. */
static size_t *slot_of(const struct gathered *gathered, struct str key)
{
	size_t i = hash_keyed(key) & (gathered->n_slots - 1);

	while (gathered->slots[i] && !str_eq(gathered->places[gathered->slots[i] - 1].member->key, key))
		i = (i + 1) & (gathered->n_slots - 1);
	return &gathered->slots[i];
}

static void rehash(struct gathered *gathered)
{
	gathered->n_slots = 4 * FEW_MEMBERS;
	while (gathered->n_slots < gathered->n * 4)
		gathered->n_slots *= 2;
	gathered->slots = arena_zalloc(gathered->arena, gathered->n_slots * sizeof(*gathered->slots));
	for (size_t i = 0; i < gathered->n; i++)
		*slot_of(gathered, gathered->places[i].member->key) = i + 1;
}

static void make_room(struct gathered *gathered, size_t room)
{
	struct place *places = arena_alloc(gathered->arena, room * sizeof(*places));

	if (gathered->n)
		memcpy(places, gathered->places, gathered->n * sizeof(*places));
	gathered->places = places;
	gathered->room = room;
}

void gathered_init(struct gathered *gathered, struct arena *arena, struct json *object)
{
	*gathered = (struct gathered){.arena = arena, .object = object};
	make_room(gathered, (size_t)object->count + 4);
	for
		json_each(member, object) gathered->places[gathered->n++] = (struct place){.member = member};
	if (gathered->n > FEW_MEMBERS)
		rehash(gathered);
}

struct place *gathered_find(const struct gathered *gathered, struct str key)
{
	if (gathered->slots) {
		size_t found = *slot_of(gathered, key);
		return found ? &gathered->places[found - 1] : NULL;
	}
	for (size_t i = 0; i < gathered->n; i++)
		if (str_eq(gathered->places[i].member->key, key))
			return &gathered->places[i];
	return NULL;
}

void gathered_add(struct gathered *gathered, struct json *member)
{
	json_append(gathered->object, member);
	if (gathered->n == gathered->room)
		make_room(gathered, gathered->room * 2);
	gathered->places[gathered->n++] = (struct place){.member = member};
	if (gathered->n <= FEW_MEMBERS)
		return;
	if (!gathered->slots || gathered->n * 2 > gathered->n_slots)
		rehash(gathered);
	else
		*slot_of(gathered, member->key) = gathered->n;
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

void gathered_replace(struct place *place, const struct json *value)
{
	struct json *member = place->member;

	member->type = value->type;
	member->count = value->count;
	member->text = value->text;
	member->first = value->first;
	member->last = value->last;
}

const struct json **gathered_counterparts(const struct gathered *gathered, const struct place *place)
{
	const struct json **values = arena_alloc(gathered->arena, (place->n + 1) * sizeof(*values));
	size_t n = 0;

	for (const struct counterpart *noted = place->first; noted; noted = noted->next)
		values[n++] = noted->value;
	return values;
}
