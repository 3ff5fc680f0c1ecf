#include "common/password.h"

#include "common/arena.h"
#include "common/json.h"

#include <sodium.h>

/* Cost of a stored password: the least that is recommended for Argon2id, since the caller's thread waits for it. */
#define HASH_PASSES 2
#define HASH_BYTES (19UL * 1024 * 1024)

bool password_is_given(const struct json *customer)
{
	return json_path(customer, STR("base.credential.password")) != NULL;
}

bool password_hash(struct arena *arena, struct json *customer)
{
	struct json *credential = json_path(customer, STR("base.credential"));
	const struct json *password = json_member(credential, "password");
	char *hash;

	if (!password)
		return true;
	if (password->type != JSON_STRING) {
		json_remove(credential, STR("password"));
		return true;
	}
	hash = arena_alloc(arena, crypto_pwhash_STRBYTES);
	if (crypto_pwhash_str_alg(hash, password->text.p, password->text.n, HASH_PASSES, HASH_BYTES,
	            crypto_pwhash_ALG_ARGON2ID13) != 0)
		return false;
	json_set(credential, STR("password"), json_new_str(arena, str_of(hash)));
	return true;
}
