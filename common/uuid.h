#ifndef COMMON_UUID_H
#define COMMON_UUID_H

#include "common/str.h"

struct uuid {
	uint8_t b[16];
};

#define UUID_TEXT_BYTES 36

static inline bool uuid_eq(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static inline int uuid_compare(const struct uuid *a, const struct uuid *b)
{
	return memcmp(a, b, sizeof(*a));
}

bool uuid_is_nil(const struct uuid *id);

/* Accepts the 36-character form in either case; anything else is false. */
bool uuid_parse(struct str text, struct uuid *ret_id);

/* Writes 36 lower-case characters and a NUL. */
void uuid_format(const struct uuid *id, char out[UUID_TEXT_BYTES + 1]);

/*
 * Version 7 (RFC 9562 section 5.7): time, then a counter, then random. Ids of one process never go back, even when the
 * clock does. Not thread-safe: each process has one thread that makes ids.
 */
struct uuid uuid_v7(int64_t now_us);

/* Version 5 (SHA-1 of namespace and name, RFC 9562 section 5.5): the same inputs give the same id, on every machine. */
struct uuid uuid_v5(const struct uuid *name_space, struct str name);

/* Version 8 derived from an id and a number, for ids that follow from a command (created items, bulk rows). */
struct uuid uuid_derive(const struct uuid *from, uint64_t number);

#endif
