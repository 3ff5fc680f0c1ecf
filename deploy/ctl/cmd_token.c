#include "common/arena.h"
#include "common/clock.h"
#include "common/json.h"
#include "deploy/ctl/ctl.h"

#include <errno.h>
#include <jwt.h>
#include <stdlib.h>

#define MAX_KEY_BYTES 16384
#define DAY_S 86400

static const struct {
	const char *name;
	jwt_alg_t algorithm;
	bool public_key; /* signed with a private key that the gateway does not need */
} algorithms[] = {
        {.name = "HS256", .algorithm = JWT_ALG_HS256, .public_key = false},
        {.name = "RS256", .algorithm = JWT_ALG_RS256, .public_key = true},
        {.name = "ES256", .algorithm = JWT_ALG_ES256, .public_key = true},
};

static bool read_key(struct ctl *ctl, struct str path, struct str *ret_key, struct err *err)
{
	char *key = arena_alloc(ctl->arena, MAX_KEY_BYTES + 1);
	FILE *file = fopen(path.p, "re");

	if (!file)
		return err_set(err, ERR_INVALID, "the key file cannot be read: %s", strerror(errno));
	size_t n = fread(key, 1, MAX_KEY_BYTES, file);
	bool whole = feof(file) && !ferror(file);
	fclose(file);
	/* the editor's newline is no part of a secret */
	while (n && (key[n - 1] == '\n' || key[n - 1] == '\r'))
		n--;
	if (!whole || !n)
		return err_set(err, ERR_INVALID, "the key file is empty or has more than %d bytes", MAX_KEY_BYTES);
	key[n] = '\0';
	*ret_key = (struct str){key, n};
	return true;
}

static bool check_user(struct ctl *ctl, int64_t number, struct err *err)
{
	int64_t version;
	const struct json *user = ctl_user_read(ctl, number, &version, err);

	if (!user)
		return false;
	return !json_is(json_member(user, "enabled"), JSON_FALSE) ||
	       err_set(err, ERR_CONFLICT, "user %lld is disabled", (long long)number);
}

static bool print_token(
        struct ctl *ctl, jwt_alg_t algorithm, struct str key, int64_t user, int64_t days, struct err *err)
{
	long now_s = (long)(clock_wall_us() / 1000000);
	jwt_t *jwt = NULL;
	char *text = NULL;

	if (!jwt_new(&jwt) && !jwt_set_alg(jwt, algorithm, (const unsigned char *)key.p, (int)key.n) &&
	        !jwt_add_grant(jwt, "sub", arena_printf(ctl->arena, "%lld", (long long)user)) &&
	        !jwt_add_grant_int(jwt, "iat", now_s) && !jwt_add_grant_int(jwt, "exp", now_s + days * DAY_S))
		text = jwt_encode_str(jwt);
	if (text)
		puts(text);
	else
		err_set(err, ERR_INVALID,
		        "the token could not be signed: the key does not fit the algorithm, or is no private key "
		        "(--key-file "
		        "names it)");
	bool good = text != NULL;
	free(text);
	jwt_free(jwt);
	return good;
}

bool ctl_token_create(struct ctl *ctl, struct err *err)
{
	struct arguments *arguments = &ctl->arguments;
	struct str key = STR_NONE, path = arguments_option(arguments, "key-file");
	int64_t user, days;
	size_t row = 0;

	if (!arguments_number(arguments, "user", 0, 1, INT64_MAX, &user, err) ||
	        !arguments_number(arguments, "days", 30, 1, 36500, &days, err) || !arguments_done(arguments, err))
		return false;
	if (!user)
		return err_set(err, ERR_INVALID, "--user is missing");
	while (row < ARRAY_LEN(algorithms) && strcmp(algorithms[row].name, ctl->settings.jwt_algorithm))
		row++;
	if (row == ARRAY_LEN(algorithms))
		return err_set(err, ERR_INVALID, "CONTACTHUB_JWT_ALGORITHM must be HS256, RS256 or ES256");
	if (!path.p)
		path = str_of(ctl->settings.jwt_key_file);
	if (!path.n)
		return err_set(err, ERR_INVALID,
		        "CONTACTHUB_JWT_KEY_FILE is not set: it names the key that tokens are signed with%s",
		        algorithms[row].public_key ? "; --key-file names the private one" : "");
	return read_key(ctl, path, &key, err) && check_user(ctl, user, err) &&
	       print_token(ctl, algorithms[row].algorithm, key, user, days, err);
}
