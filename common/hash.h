#ifndef COMMON_HASH_H
#define COMMON_HASH_H

#include "common/str.h"

/* FNV-1a with a final mix: stable across versions and machines, because partitions and lock stripes depend on it. */
uint64_t hash_bytes(const void *bytes, size_t n, uint64_t seed);

static inline uint64_t hash_str(struct str s, uint64_t seed)
{
	return hash_bytes(s.p, s.n, seed);
}

/* SipHash under a key drawn once per process: for tables in memory whose keys strangers choose. Never stored. */
uint64_t hash_keyed(struct str s);

#endif
