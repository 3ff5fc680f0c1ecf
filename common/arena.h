#ifndef COMMON_ARENA_H
#define COMMON_ARENA_H

#include "common/str.h"

#include <stddef.h>

/*
 * Bump allocator with a ceiling: one per request, one per batch, reset instead of freed piece by piece.
 *
 * An allocation never returns NULL. Whoever makes an arena derives its limit from inputs that are already bounded (body
 * limits, batch size), so exceeding it is a bug: the process says so and aborts, and its supervisor starts it again.
 * With CONTACTHUB_ARENA_MALLOC defined every allocation is a malloc of its own, so that AddressSanitizer sees inside.
 */
struct arena;

/* The caller owns the arena. limit_bytes bounds the sum of all live allocations. */
struct arena *arena_new(size_t limit_bytes);
void arena_free(struct arena *arena);

/* Forgets all allocations; keeps one block for the next use. */
void arena_reset(struct arena *arena);
/* The same, and the block that is kept has at most so many bytes: for arenas of which many wait for their next use. */
void arena_reset_keeping(struct arena *arena, size_t keep_bytes);

/* Memory aligned for any type, valid until reset or free; not zeroed. */
void *arena_alloc(struct arena *arena, size_t n_bytes) __attribute__((malloc, alloc_size(2), returns_nonnull));
void *arena_zalloc(struct arena *arena, size_t n_bytes) __attribute__((malloc, alloc_size(2), returns_nonnull));

/* Copies; the copy of a str is NUL-terminated behind its end, so that .p can be passed to C library calls. Absent stays
   absent. */
struct str arena_str(struct arena *arena, struct str s);
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3), returns_nonnull));

size_t arena_used_bytes(const struct arena *arena);
/* What it has from malloc, used or not. */
size_t arena_held_bytes(const struct arena *arena);

#endif
