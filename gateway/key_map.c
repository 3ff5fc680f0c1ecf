#include "gateway/key_map.h"

#include "common/hash.h"
#include "common/log.h"

#include <stdlib.h>

#define FIRST_SLOTS 64

struct slot {
	unsigned char key[KEY_MAP_MAX_KEY_BYTES];
	void *value; /* NULL = free */
};

/* Open addressing with linear steps; the number of slots is a power of two and at most half of them are in use. */
struct key_map {
	size_t key_bytes;
	size_t n_slots;
	size_t n_used;
	struct slot *slots;
};

static struct slot *new_slots(size_t n)
{
	struct slot *slots = calloc(n, sizeof(*slots));

	if (!slots)
		log_die("memory", "out of memory");
	return slots;
}

struct key_map *key_map_new(size_t key_bytes)
{
	struct key_map *map = calloc(1, sizeof(*map));

	if (!map)
		log_die("memory", "out of memory");
	*map = (struct key_map){.key_bytes = key_bytes, .n_slots = FIRST_SLOTS, .slots = new_slots(FIRST_SLOTS)};
	return map;
}

void key_map_free(struct key_map *map)
{
	if (map)
		free(map->slots);
	free(map);
}

static size_t home_of(const struct key_map *map, const void *key)
{
	return hash_keyed((struct str){key, map->key_bytes}) & (map->n_slots - 1);
}

/* The key's slot, or the free one where it would go. */
static size_t find_slot(const struct key_map *map, const void *key)
{
	size_t at = home_of(map, key);

	while (map->slots[at].value && memcmp(map->slots[at].key, key, map->key_bytes))
		at = (at + 1) & (map->n_slots - 1);
	return at;
}

void *key_map_get(const struct key_map *map, const void *key)
{
	return map->slots[find_slot(map, key)].value;
}

static void grow(struct key_map *map)
{
	struct key_map bigger = {
	        .key_bytes = map->key_bytes, .n_slots = map->n_slots * 2, .slots = new_slots(map->n_slots * 2)};

	for (size_t i = 0; i < map->n_slots; i++)
		if (map->slots[i].value)
			key_map_put(&bigger, map->slots[i].key, map->slots[i].value);
	free(map->slots);
	*map = bigger;
}

void key_map_put(struct key_map *map, const void *key, void *value)
{
	if (map->n_used * 2 >= map->n_slots)
		grow(map);
	struct slot *slot = &map->slots[find_slot(map, key)];
	if (!slot->value) {
		memcpy(slot->key, key, map->key_bytes);
		map->n_used++;
	}
	slot->value = value;
}

/* Whether a key that stands at `at` may move back to the hole: its home lies at or before the hole on the way to `at`.
 */
static bool may_fill(const struct key_map *map, size_t hole, size_t at)
{
	size_t mask = map->n_slots - 1;
	size_t home = home_of(map, map->slots[at].key);

	return ((at - home) & mask) >= ((at - hole) & mask);
}

void *key_map_remove(struct key_map *map, const void *key)
{
	size_t mask = map->n_slots - 1;
	size_t hole = find_slot(map, key);
	void *value = map->slots[hole].value;

	if (!value)
		return NULL;
	for (size_t at = (hole + 1) & mask; map->slots[at].value; at = (at + 1) & mask) {
		if (!may_fill(map, hole, at))
			continue;
		map->slots[hole] = map->slots[at];
		hole = at;
	}
	map->slots[hole].value = NULL;
	map->n_used--;
	return value;
}

size_t key_map_count(const struct key_map *map)
{
	return map->n_used;
}
