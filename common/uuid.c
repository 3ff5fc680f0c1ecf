#include "common/uuid.h"

#include "common/log.h"

#include <openssl/evp.h>
#include <sodium.h>

/* A version 7 id has 12 bits behind its version; they count within one millisecond. */
#define COUNTER_MAX 0xfffu

bool uuid_is_nil(const struct uuid *id)
{
	static const struct uuid nil;

	return uuid_eq(id, &nil);
}

static bool is_dash_position(size_t i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

bool uuid_parse(struct str text, struct uuid *ret_id)
{
	struct uuid id;
	size_t byte = 0;

	if (text.n != UUID_TEXT_BYTES)
		return false;
	for (size_t i = 0; i < UUID_TEXT_BYTES;) {
		int high, low;

		if (is_dash_position(i)) {
			if (text.p[i++] != '-')
				return false;
			continue;
		}
		high = str_hex_digit(text.p[i]);
		low = str_hex_digit(text.p[i + 1]);
		if (high < 0 || low < 0)
			return false;
		id.b[byte++] = (uint8_t)(high << 4 | low);
		i += 2;
	}
	*ret_id = id;
	return true;
}

void uuid_format(const struct uuid *id, char out[UUID_TEXT_BYTES + 1])
{
	static const char digits[] = "0123456789abcdef";
	char *p = out;

	for (size_t i = 0; i < sizeof(id->b); i++) {
		if (is_dash_position((size_t)(p - out)))
			*p++ = '-';
		*p++ = digits[id->b[i] >> 4];
		*p++ = digits[id->b[i] & 15];
	}
	*p = '\0';
}

static void stamp(struct uuid *id, unsigned version)
{
	id->b[6] = (uint8_t)((id->b[6] & 0x0f) | version << 4);
	id->b[8] = (uint8_t)((id->b[8] & 0x3f) | 0x80);
}

/* Random bytes are drawn from the kernel many at a time, one call per id would cost more than the rest of it. */
static void draw_random(uint8_t *bytes, size_t n)
{
	static uint8_t pool[512];
	static size_t left;

	if (left < n) {
		randombytes_buf(pool, sizeof(pool));
		left = sizeof(pool);
	}
	left -= n;
	memcpy(bytes, pool + left, n);
	memset(pool + left, 0, n);
}

struct uuid uuid_v7(int64_t now_us)
{
	static uint64_t last_ms;
	static unsigned counter;
	uint64_t ms = now_us > 0 ? (uint64_t)now_us / 1000 : 0;
	struct uuid id;

	draw_random(id.b + 6, sizeof(id.b) - 6);
	if (ms > last_ms) {
		last_ms = ms;
		/* The top bit is left clear as room to count. */
		counter = ((unsigned)id.b[6] << 8 | id.b[7]) & (COUNTER_MAX >> 1);
	} else if (++counter > COUNTER_MAX) {
		last_ms++;
		counter = 0;
	}
	for (size_t i = 0; i < 6; i++)
		id.b[i] = (uint8_t)(last_ms >> (40 - 8 * i));
	id.b[6] = (uint8_t)(counter >> 8);
	id.b[7] = (uint8_t)counter;
	stamp(&id, 7);
	return id;
}

struct uuid uuid_v5(const struct uuid *name_space, struct str name)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *sha1 = EVP_MD_CTX_new();
	struct uuid id;

	if (!sha1 || !EVP_DigestInit_ex(sha1, EVP_sha1(), NULL) ||
	        !EVP_DigestUpdate(sha1, name_space->b, sizeof(name_space->b)) ||
	        !EVP_DigestUpdate(sha1, name.p, name.n) || !EVP_DigestFinal_ex(sha1, digest, NULL))
		log_die("uuid", "SHA-1 is not available");
	EVP_MD_CTX_free(sha1);
	memcpy(&id, digest, sizeof(id));
	stamp(&id, 5);
	return id;
}

struct uuid uuid_derive(const struct uuid *from, uint64_t number)
{
	uint8_t input[sizeof(from->b) + sizeof(number)];
	struct uuid id;

	memcpy(input, from->b, sizeof(from->b));
	for (size_t i = 0; i < sizeof(number); i++)
		input[sizeof(from->b) + i] = (uint8_t)(number >> (56 - 8 * i));
	crypto_generichash(id.b, sizeof(id.b), input, sizeof(input), NULL, 0);
	stamp(&id, 8);
	return id;
}
