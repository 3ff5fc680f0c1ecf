#include "gateway/auth.h"

#include "common/config_doc.h"
#include "common/log.h"

#include <errno.h>
#include <jwt.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sodium.h>
#include <stdlib.h>

#define MAX_KEY_BYTES 16384
#define ES256_BITS 256
/* of a secret, by RFC 7518 */
#define HS256_BYTES 32
/* Verified tokens are remembered in a table of this size; a new one takes the place of the one that it collides with.
 */
#define CACHE_ENTRIES 1024

struct cached_token {
	uint8_t digest[crypto_hash_sha256_BYTES];
	int64_t user;
	int64_t expires_us; /* 0 = free */
};

struct auth {
	char key[MAX_KEY_BYTES + 1];
	struct str key_text;
	struct str algorithm;
	struct cached_token cache[CACHE_ENTRIES];
};

static void read_key(struct auth *auth, const char *path)
{
	FILE *file = fopen(path, "re");

	if (!file)
		log_die("auth", "CONTACTHUB_JWT_KEY_FILE cannot be read: %s", strerror(errno));
	size_t n = fread(auth->key, 1, MAX_KEY_BYTES, file);
	if (ferror(file) || !feof(file))
		log_die("auth", "CONTACTHUB_JWT_KEY_FILE cannot be read, or has more than %d bytes", MAX_KEY_BYTES);
	fclose(file);
	/* the editor's newline is no part of a secret */
	while (n && (auth->key[n - 1] == '\n' || auth->key[n - 1] == '\r'))
		n--;
	if (n == 0)
		log_die("auth", "CONTACTHUB_JWT_KEY_FILE is empty");
	auth->key[n] = '\0';
	auth->key_text = (struct str){auth->key, n};
}

static bool algorithm_is_known(struct str name)
{
	static const struct str known[] = {{"HS256", 5}, {"RS256", 5}, {"ES256", 5}};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (str_eq(name, known[i]))
			return true;
	}
	return false;
}

/* NULL when it is no public key. */
static EVP_PKEY *read_public_key(struct str text)
{
	BIO *memory = BIO_new_mem_buf(text.p, (int)text.n);
	EVP_PKEY *key = memory ? PEM_read_bio_PUBKEY(memory, NULL, NULL, NULL) : NULL;

	BIO_free(memory);
	ERR_clear_error();
	return key;
}

/* With a key of another kind every user's token would be refused, and nothing said why. */
static void check_key(const struct auth *auth)
{
	EVP_PKEY *key = read_public_key(auth->key_text);
	int kind = key ? EVP_PKEY_get_base_id(key) : EVP_PKEY_NONE;
	bool secret = str_is(auth->algorithm, "HS256"), rsa = str_is(auth->algorithm, "RS256");
	bool fits = rsa ? kind == EVP_PKEY_RSA : kind == EVP_PKEY_EC && EVP_PKEY_get_bits(key) == ES256_BITS;

	EVP_PKEY_free(key);
	if (secret && kind != EVP_PKEY_NONE)
		log_die("auth",
		        "CONTACTHUB_JWT_KEY_FILE holds a public key: as the secret of HS256 everybody who has it "
		        "could sign tokens (see CONTACTHUB_JWT_ALGORITHM)");
	if (secret && auth->key_text.n < HS256_BYTES)
		log_event(LOG_WARN, "auth",
		        "the secret in CONTACTHUB_JWT_KEY_FILE has less than %d bytes and can be guessed", HS256_BYTES);
	if (!secret && !fits)
		log_die("auth", "CONTACTHUB_JWT_KEY_FILE holds no public key for %.*s: PEM, %s",
		        STR_ARG(auth->algorithm), rsa ? "RSA" : "on the curve P-256");
}

struct auth *auth_new(const struct settings *settings)
{
	struct auth *auth = calloc(1, sizeof(*auth));

	if (!auth || sodium_init() < 0)
		log_die("memory", "out of memory");
	if (!settings->jwt_key_file || !*settings->jwt_key_file)
		log_die("auth", "CONTACTHUB_JWT_KEY_FILE is not set");
	auth->algorithm = str_of(settings->jwt_algorithm);
	if (!algorithm_is_known(auth->algorithm))
		log_die("auth", "CONTACTHUB_JWT_ALGORITHM must be HS256, RS256 or ES256");
	read_key(auth, settings->jwt_key_file);
	check_key(auth);
	return auth;
}

bool auth_bearer(struct str authorization, struct str *ret_token)
{
	static const struct str scheme = {"Bearer ", 7};
	struct str token;

	if (authorization.n <= scheme.n || !str_eq_nocase((struct str){authorization.p, scheme.n}, scheme))
		return false;
	token = (struct str){authorization.p + scheme.n, authorization.n - scheme.n};
	while (token.n && token.p[0] == ' ') {
		token.p++;
		token.n--;
	}
	while (token.n && token.p[token.n - 1] == ' ')
		token.n--;
	*ret_token = token;
	return token.n > 0;
}

static bool is_hex(struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
			return false;
	}
	return true;
}

/* `sub` as text or as a number. */
static bool read_subject(jwt_t *jwt, int64_t *ret_user)
{
	const char *text = jwt_get_grant(jwt, "sub");
	uint64_t value;

	if (text) {
		if (!str_to_u64(str_of(text), INT64_MAX, &value))
			return false;
		*ret_user = (int64_t)value;
	} else {
		*ret_user = jwt_get_grant_int(jwt, "sub");
	}
	return *ret_user > 0;
}

/* The library reads one that is no whole number as 0, as it does one that is not there. */
static bool is_readable_time(jwt_t *jwt, const char *claim)
{
	char *text = jwt_get_grants_json(jwt, claim);
	bool good = !text || !text[strspn(text, "-0123456789")];

	free(text);
	return good;
}

static bool read_claims(jwt_t *jwt, struct str algorithm, int64_t now_us, int64_t *ret_user, int64_t *ret_expires_us)
{
	int64_t expires_s = jwt_get_grant_int(jwt, "exp"), not_before_s = jwt_get_grant_int(jwt, "nbf");
	int64_t now_s = now_us / 1000000;

	/* The library has checked the signature with the algorithm that the token names. Unless that is ours, a public
	   key could have served as an HMAC secret, or nothing was signed at all. */
	if (jwt_get_alg(jwt) == JWT_ALG_NONE || !str_is(algorithm, jwt_alg_str(jwt_get_alg(jwt))))
		return false;
	if (!is_readable_time(jwt, "nbf"))
		return false;
	if (expires_s <= now_s || not_before_s > now_s || expires_s > INT64_MAX / 1000000)
		return false;
	*ret_expires_us = expires_s * 1000000;
	return read_subject(jwt, ret_user);
}

bool auth_check_jwt(struct str token, struct str algorithm, struct str key, int64_t now_us, int64_t *ret_user,
        int64_t *ret_expires_us)
{
	char text[AUTH_MAX_JWT_BYTES + 1];
	jwt_t *jwt = NULL;

	if (token.n > AUTH_MAX_JWT_BYTES || memchr(token.p, '\0', token.n))
		return false;
	memcpy(text, token.p, token.n);
	text[token.n] = '\0';
	if (jwt_decode(&jwt, text, (const unsigned char *)key.p, (int)key.n))
		return false;
	bool good = read_claims(jwt, algorithm, now_us, ret_user, ret_expires_us);
	jwt_free(jwt);
	return good;
}

/* A token that was verified before costs one hash. */
static bool check_jwt_cached(struct auth *auth, struct str token, int64_t now_us, int64_t *ret_user)
{
	uint8_t digest[crypto_hash_sha256_BYTES];
	struct cached_token *entry;
	int64_t expires_us;

	crypto_hash_sha256(digest, (const unsigned char *)token.p, token.n);
	entry = &auth->cache[(digest[0] | digest[1] << 8) % CACHE_ENTRIES];
	if (entry->expires_us > now_us && memcmp(entry->digest, digest, sizeof(digest)) == 0) {
		*ret_user = entry->user;
		return true;
	}
	if (!auth_check_jwt(token, auth->algorithm, auth->key_text, now_us, ret_user, &expires_us))
		return false;
	memcpy(entry->digest, digest, sizeof(digest));
	entry->user = *ret_user;
	entry->expires_us = expires_us;
	return true;
}

static bool identify_source(struct config *config, struct str token, struct identity *ret_identity)
{
	char lower[SOURCE_TOKEN_HEX];
	uint8_t sha256[32];

	for (size_t i = 0; i < sizeof(lower); i++)
		lower[i] = (char)(token.p[i] >= 'A' && token.p[i] <= 'F' ? token.p[i] | 0x20 : token.p[i]);
	source_token_hash((struct str){lower, sizeof(lower)}, sha256);
	ret_identity->source = config_source_by_token(config, sha256, &ret_identity->workspace);
	return ret_identity->source && ret_identity->source->enabled;
}

static bool identify_user(
        struct auth *auth, struct config *config, struct str token, int64_t now_us, struct identity *ret_identity)
{
	int64_t user;

	if (!check_jwt_cached(auth, token, now_us, &user))
		return false;
	ret_identity->user = config_user_find(config, user);
	return ret_identity->user;
}

bool auth_identify(struct auth *auth, struct config *config, struct str authorization, int64_t now_us,
        struct identity *ret_identity)
{
	struct str token;

	*ret_identity = (struct identity){0};
	if (!authorization.p || !auth_bearer(authorization, &token))
		return false;
	if (token.n == SOURCE_TOKEN_HEX && is_hex(token))
		return identify_source(config, token, ret_identity);
	return identify_user(auth, config, token, now_us, ret_identity);
}
