#ifndef GATEWAY_AUTH_H
#define GATEWAY_AUTH_H

#include "common/settings.h"
#include "gateway/config.h"

/*
 * Bearer tokens. A source token is 64 hexadecimal characters, known by its hash. A user token is a JWT; its algorithm
 * is pinned by a setting and never taken from the token; `exp` is required; `sub` is the user's number. Users are
 * looked up at each request, so a removed user is out at once; only "this text is a valid token of user N until T" is
 * remembered.
 */
struct auth;

/* Reads the key file. Dies with a clear message when it cannot, the algorithm is not one of the setting's, or the key
   is none of the algorithm. */
struct auth *auth_new(const struct settings *settings);

/* Who sent a request: a source with its workspace, or a user. */
struct identity {
	const struct config_source *source;
	struct config_workspace *workspace; /* of the source */
	const struct config_user *user;
};

/* The value of an Authorization header (absent: false). False for everything that is no valid token of somebody who is
   known and enabled. */
bool auth_identify(struct auth *auth, struct config *config, struct str authorization, int64_t now_us,
        struct identity *ret_identity);

/* The token of "Bearer <token>"; false when it is not of that form. */
bool auth_bearer(struct str authorization, struct str *ret_token);

/* A JWT's user and end. Longer ones than this are refused unread. */
#define AUTH_MAX_JWT_BYTES 4096
bool auth_check_jwt(struct str token, struct str algorithm, struct str key, int64_t now_us, int64_t *ret_user,
        int64_t *ret_expires_us);

#endif
