#include "common/hash.h"

#include <sodium.h>

uint64_t hash_bytes(const void *bytes, size_t n, uint64_t seed)
{
	const uint8_t *p = bytes;
	uint64_t h = 0xcbf29ce484222325u ^ seed;

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 0x100000001b3u;
	/* FNV leaves the high bits of short keys poor; callers take a remainder. */
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdu;
	h ^= h >> 33;
	h *= 0xc4ceb9fe1a85ec53u;
	return h ^ (h >> 33);
}

uint64_t hash_keyed(struct str s)
{
	static unsigned char key[crypto_shorthash_KEYBYTES];
	static bool have_key;
	uint64_t hash;

	_Static_assert(sizeof(hash) == crypto_shorthash_BYTES, "SipHash-2-4 gives 64 bits");
	if (!have_key) {
		randombytes_buf(key, sizeof(key));
		have_key = true;
	}
	crypto_shorthash((unsigned char *)&hash, (const unsigned char *)s.p, s.n, key);
	return hash;
}
