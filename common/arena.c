#include "common/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * A list of blocks, the newest first. Blocks double in size so that a small request costs one malloc and a large batch
 * a handful; an allocation that fits no block of the usual size gets a block of its own size.
 */
#define BLOCK_FIRST_BYTES ((size_t)16 * 1024)
#define BLOCK_MAX_BYTES ((size_t)1024 * 1024)
/* Largest block that survives a reset: one large request must not pin its memory for ever. */
#define BLOCK_KEEP_BYTES ((size_t)256 * 1024)

struct block {
	struct block *next;
	size_t size_bytes;
	size_t used_bytes;
	_Alignas(max_align_t) char bytes[];
};

struct arena {
	struct block *blocks;
	size_t limit_bytes;
	size_t used_bytes;
	size_t next_block_bytes;
};

_Noreturn static void die(const char *why, size_t n_bytes)
{
	fprintf(stderr, "arena: %s (%zu bytes)\n", why, n_bytes);
	abort();
}

struct arena *arena_new(size_t limit_bytes)
{
	struct arena *arena = malloc(sizeof(*arena));

	if (!arena)
		die("out of memory", sizeof(*arena));
	*arena = (struct arena){.limit_bytes = limit_bytes, .next_block_bytes = BLOCK_FIRST_BYTES};
	return arena;
}

static struct block *block_add(struct arena *arena, size_t size_bytes)
{
	struct block *block = malloc(sizeof(*block) + size_bytes);

	if (!block)
		die("out of memory", size_bytes);
	block->next = arena->blocks;
	block->size_bytes = size_bytes;
	block->used_bytes = 0;
	arena->blocks = block;
	return block;
}

#ifdef CONTACTHUB_ARENA_MALLOC

static struct block *block_with_room(struct arena *arena, size_t n_bytes)
{
	return block_add(arena, n_bytes);
}

static struct block *block_to_keep(const struct arena *arena, size_t keep_bytes)
{
	(void)arena;
	(void)keep_bytes;
	return NULL;
}

#else

static struct block *block_with_room(struct arena *arena, size_t n_bytes)
{
	struct block *block = arena->blocks;
	size_t size_bytes = arena->next_block_bytes;

	if (block && block->size_bytes - block->used_bytes >= n_bytes)
		return block;
	if (n_bytes > size_bytes)
		size_bytes = n_bytes;
	if (arena->next_block_bytes < BLOCK_MAX_BYTES)
		arena->next_block_bytes *= 2;
	return block_add(arena, size_bytes);
}

static struct block *block_to_keep(const struct arena *arena, size_t keep_bytes)
{
	struct block *best = NULL;

	for (struct block *block = arena->blocks; block; block = block->next) {
		if (block->size_bytes <= keep_bytes && (!best || block->size_bytes > best->size_bytes))
			best = block;
	}
	return best;
}

#endif

static void blocks_free(struct arena *arena, const struct block *keep)
{
	struct block *next;

	for (struct block *block = arena->blocks; block; block = next) {
		next = block->next;
		if (block != keep)
			free(block);
	}
	arena->blocks = NULL;
}

void arena_free(struct arena *arena)
{
	if (!arena)
		return;
	blocks_free(arena, NULL);
	free(arena);
}

void arena_reset(struct arena *arena)
{
	arena_reset_keeping(arena, BLOCK_KEEP_BYTES);
}

void arena_reset_keeping(struct arena *arena, size_t keep_bytes)
{
	struct block *keep = block_to_keep(arena, keep_bytes);

	blocks_free(arena, keep);
	if (keep) {
		keep->next = NULL;
		keep->used_bytes = 0;
	}
	arena->blocks = keep;
	arena->used_bytes = 0;
	arena->next_block_bytes = BLOCK_FIRST_BYTES;
}

void *arena_alloc(struct arena *arena, size_t n_bytes)
{
	const size_t align = _Alignof(max_align_t);
	struct block *block;
	void *p;

	if (n_bytes > arena->limit_bytes - arena->used_bytes)
		die("over its limit", n_bytes);
	arena->used_bytes += n_bytes;
	block = block_with_room(arena, n_bytes);
	p = block->bytes + block->used_bytes;
	block->used_bytes += n_bytes;
	/* The next allocation starts aligned, or finds the block full. */
	block->used_bytes = (block->used_bytes + align - 1) & ~(align - 1);
	if (block->used_bytes > block->size_bytes)
		block->used_bytes = block->size_bytes;
	return p;
}

void *arena_zalloc(struct arena *arena, size_t n_bytes)
{
	return memset(arena_alloc(arena, n_bytes), 0, n_bytes);
}

struct str arena_str(struct arena *arena, struct str s)
{
	char *copy;

	if (!s.p)
		return STR_NONE;
	copy = arena_alloc(arena, s.n + 1);
	memcpy(copy, s.p, s.n);
	copy[s.n] = '\0';
	return (struct str){copy, s.n};
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list args;
	char *text;
	int n;

	va_start(args, format);
	n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (n < 0)
		die("format that cannot be printed", 0);
	text = arena_alloc(arena, (size_t)n + 1);
	va_start(args, format);
	vsnprintf(text, (size_t)n + 1, format, args);
	va_end(args);
	return text;
}

size_t arena_used_bytes(const struct arena *arena)
{
	return arena->used_bytes;
}

size_t arena_held_bytes(const struct arena *arena)
{
	size_t n_bytes = 0;

	for (const struct block *block = arena->blocks; block; block = block->next)
		n_bytes += block->size_bytes;
	return n_bytes;
}
