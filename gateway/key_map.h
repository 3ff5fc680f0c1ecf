#ifndef GATEWAY_KEY_MAP_H
#define GATEWAY_KEY_MAP_H

#include <stddef.h>

/*
 * Hash table from keys of one fixed size (ids, hashes) to pointers. Keys are copied, values belong to the caller. Grows
 * as needed; out of memory ends the process.
 */
struct key_map;

#define KEY_MAP_MAX_KEY_BYTES 32

struct key_map *key_map_new(size_t key_bytes);
void key_map_free(struct key_map *map);

/* NULL when the key is not there. */
void *key_map_get(const struct key_map *map, const void *key);
/* Adds or replaces; value is not NULL. */
void key_map_put(struct key_map *map, const void *key, void *value);
/* The value that was there, or NULL. */
void *key_map_remove(struct key_map *map, const void *key);

size_t key_map_count(const struct key_map *map);

#endif
