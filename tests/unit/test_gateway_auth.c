#include "gateway/auth.h"

#include <jwt.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW_S 1800000000
#define NOW_US ((int64_t)NOW_S * 1000000)

static const struct str secret = {"0123456789abcdef0123456789abcdef", 32};

struct claims {
	const char *subject;
	int64_t number; /* instead of subject */
	int64_t expires_s, not_before_s;
	const char *more; /* other claims as a JSON object */
};

/* A token as somebody else's tool would make it. */
static char *make_token(jwt_alg_t algorithm, struct str key, const struct claims *claims)
{
	jwt_t *jwt;
	char *token;

	assert_int_equal(jwt_new(&jwt), 0);
	if (claims->subject)
		jwt_add_grant(jwt, "sub", claims->subject);
	if (claims->number)
		jwt_add_grant_int(jwt, "sub", claims->number);
	if (claims->expires_s)
		jwt_add_grant_int(jwt, "exp", claims->expires_s);
	if (claims->not_before_s)
		jwt_add_grant_int(jwt, "nbf", claims->not_before_s);
	if (claims->more)
		assert_int_equal(jwt_add_grants_json(jwt, claims->more), 0);
	if (algorithm != JWT_ALG_NONE)
		assert_int_equal(jwt_set_alg(jwt, algorithm, (const unsigned char *)key.p, (int)key.n), 0);
	token = jwt_encode_str(jwt);
	assert_non_null(token);
	jwt_free(jwt);
	return token;
}

/* The user, or 0 when the token is refused. */
static int64_t user_of(const char *token, const char *algorithm, struct str key)
{
	int64_t user = 0, expires_us = 0;

	if (!auth_check_jwt(str_of(token), str_of(algorithm), key, NOW_US, &user, &expires_us))
		return 0;
	assert_true(expires_us > NOW_US);
	return user;
}

static void test_claims(void **state)
{
	static const struct {
		struct claims claims;
		int64_t user;
	} cases[] = {
	        {{.subject = "7", .expires_s = NOW_S + 60}, 7},
	        {{.number = 8, .expires_s = NOW_S + 60}, 8},
	        {{.subject = "7", .expires_s = NOW_S + 60, .not_before_s = NOW_S - 1}, 7},
	        {{.subject = "7", .expires_s = NOW_S + 60, .not_before_s = NOW_S + 30}, 0},
	        {{.subject = "7", .expires_s = NOW_S}, 0},
	        {{.subject = "7", .expires_s = NOW_S - 1}, 0},
	        {{.subject = "7", .expires_s = -5}, 0},
	        {{.subject = "7", .expires_s = INT64_MAX}, 0},
	        {{.subject = "7"}, 0},
	        {{.expires_s = NOW_S + 60}, 0},
	        {{.subject = "", .expires_s = NOW_S + 60}, 0},
	        {{.subject = "x", .expires_s = NOW_S + 60}, 0},
	        {{.subject = "-7", .expires_s = NOW_S + 60}, 0},
	        {{.subject = "0", .expires_s = NOW_S + 60}, 0},
	        {{.subject = "99999999999999999999", .expires_s = NOW_S + 60}, 0},
	        {{.number = -8, .expires_s = NOW_S + 60}, 0},
	        /* a time that cannot be read is none that has passed */
	        {{.subject = "7", .expires_s = NOW_S + 60, .more = "{\"nbf\":1800000030.5}"}, 0},
	        {{.subject = "7", .expires_s = NOW_S + 60, .more = "{\"nbf\":\"1800000030\"}"}, 0},
	        {{.subject = "7", .expires_s = NOW_S + 60, .more = "{\"nbf\":{}}"}, 0},
	        {{.subject = "7", .expires_s = NOW_S + 60, .more = "{\"nbf\":null}"}, 0},
	        {{.subject = "7", .expires_s = NOW_S + 60, .more = "{\"nbf\":0}"}, 7},
	        {{.subject = "7", .more = "{\"exp\":1800000060.5}"}, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *token = make_token(JWT_ALG_HS256, secret, &cases[i].claims);
		if (user_of(token, "HS256", secret) != cases[i].user)
			fail_msg("case %zu", i);
		free(token);
	}
}

/* The public key as PEM text, and the private one. */
static void make_keys(char **ret_public, char **ret_private)
{
	EVP_PKEY *pair = EVP_EC_gen("P-256");
	BIO *open = BIO_new(BIO_s_mem()), *closed = BIO_new(BIO_s_mem());
	char *p;
	long n;

	assert_non_null(pair);
	PEM_write_bio_PUBKEY(open, pair);
	PEM_write_bio_PrivateKey(closed, pair, NULL, NULL, 0, NULL, NULL);
	n = BIO_get_mem_data(open, &p);
	*ret_public = strndup(p, (size_t)n);
	n = BIO_get_mem_data(closed, &p);
	*ret_private = strndup(p, (size_t)n);
	BIO_free(open);
	BIO_free(closed);
	EVP_PKEY_free(pair);
}

/* Whatever the token says, it is checked with the algorithm of the setting. */
static void test_algorithm_is_pinned(void **state)
{
	const struct claims claims = {.subject = "7", .expires_s = NOW_S + 60};
	char *public_key, *private_key;

	(void)state;
	make_keys(&public_key, &private_key);
	char *none = make_token(JWT_ALG_NONE, STR_NONE, &claims);
	char *hs256 = make_token(JWT_ALG_HS256, secret, &claims);
	char *hs512 = make_token(JWT_ALG_HS512, secret, &claims);
	char *es256 = make_token(JWT_ALG_ES256, str_of(private_key), &claims);
	/* the classic: the public key, which everybody has, taken as an HMAC secret */
	char *confused = make_token(JWT_ALG_HS256, str_of(public_key), &claims);

	assert_int_equal(user_of(hs256, "HS256", secret), 7);
	assert_int_equal(user_of(es256, "ES256", str_of(public_key)), 7);
	assert_int_equal(user_of(none, "HS256", secret), 0);
	assert_int_equal(user_of(none, "ES256", str_of(public_key)), 0);
	assert_int_equal(user_of(hs512, "HS256", secret), 0);
	assert_int_equal(user_of(hs256, "HS256", STR("another secret, another secret!!")), 0);
	assert_int_equal(user_of(hs256, "ES256", str_of(public_key)), 0);
	assert_int_equal(user_of(confused, "ES256", str_of(public_key)), 0);
	assert_int_equal(user_of(confused, "RS256", str_of(public_key)), 0);
	free(none);
	free(hs256);
	free(hs512);
	free(es256);
	free(confused);
	free(public_key);
	free(private_key);
}

static void test_no_tokens(void **state)
{
	static const char *const texts[] = {"", ".", "..", "...", "a.b.c", "eyJhbGciOiJIUzI1NiJ9",
	        "eyJhbGciOiJIUzI1NiJ9.e30", "eyJhbGciOiJIUzI1NiJ9.e30.", "eyJhbGciOiJIUzI1NiJ9..x", "{}.{}.{}"};
	char longest[AUTH_MAX_JWT_BYTES + 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_int_equal(user_of(texts[i], "HS256", secret), 0);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(user_of(longest, "HS256", secret), 0);
}

static void test_bearer(void **state)
{
	static const struct {
		const char *header, *token;
	} cases[] = {{"Bearer abc", "abc"}, {"bearer  abc ", "abc"}, {"BEARER a b", "a b"}, {"Bearer ", NULL},
	        {"Bearer", NULL}, {"Bearer    ", NULL}, {"Basic abc", NULL}, {"abc", NULL}, {"", NULL}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str token;
		bool good = auth_bearer(str_of(cases[i].header), &token);
		assert_int_equal(good, cases[i].token != NULL);
		assert_true(!good || str_is(token, cases[i].token));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_claims), cmocka_unit_test(test_algorithm_is_pinned),
	        cmocka_unit_test(test_no_tokens), cmocka_unit_test(test_bearer)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
