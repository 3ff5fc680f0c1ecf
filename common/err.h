#ifndef COMMON_ERR_H
#define COMMON_ERR_H

#include "common/str.h"

/*
 * The one error type. A function that can fail returns false (or NULL) and fills the `struct err` passed last, once,
 * where the failure is known; callers may put words in front with err_wrap. On success it stays untouched.
 *
 * Each row: name, HTTP status, class, the sentence used when nothing more exact is known.
 * Classes decide what a worker does: RETRY rolls back and tries the batch again, REJECT stores a rejection of the
 * record, FATAL ends the process.
 */
#define ERR_CODES(X)                                                                                                   \
	X(INVALID, 400, REJECT, "The request is not valid")                                                            \
	X(UNAUTHORIZED, 401, REJECT, "The client is not authorized to access the API")                                 \
	X(FORBIDDEN, 403, REJECT, "The client is not allowed to do this")                                              \
	X(NOT_FOUND, 404, REJECT, "Not Found")                                                                         \
	X(METHOD, 405, REJECT, "Request method not supported")                                                         \
	X(TIMEOUT, 408, REJECT, "The request was not sent in time")                                                    \
	X(CONFLICT, 409, REJECT, "The request conflicts with the present state")                                       \
	X(TOO_LARGE, 413, REJECT, "The request body is too large")                                                     \
	X(MEDIA_TYPE, 415, REJECT, "The content type is not supported")                                                \
	X(LOCKED, 423, REJECT, "Reindexing in progress")                                                               \
	X(THROTTLED, 429, REJECT, "Too many requests")                                                                 \
	X(HEADERS_TOO_LARGE, 431, REJECT, "The request headers are too large")                                         \
	X(INTERNAL, 500, FATAL, "The server met an unexpected condition")                                              \
	X(UNAVAILABLE, 503, RETRY, "The service is not available at the moment")                                       \
	X(UNKNOWN_OUTCOME, 504, RETRY, "The outcome of the request is not known yet")                                  \
	X(DATABASE, 503, RETRY, "The database is not available at the moment")                                         \
	X(ZOMBIE, 500, FATAL, "Another process owns this partition")

enum err_class { ERR_CLASS_REJECT, ERR_CLASS_RETRY, ERR_CLASS_FATAL };

enum err_code {
	ERR_NONE,
#define X(name, status, class, sentence) ERR_##name,
	ERR_CODES(X)
#undef X
};

/* Room for one sentence and one JSON pointer; longer ones are cut. */
struct err {
	enum err_code code;
	char message[256];
	char pointer[192]; /* JSON pointer (RFC 6901) of the faulty place, or "" */
};

int err_http_status(enum err_code code);
enum err_class err_class(enum err_code code);
const char *err_sentence(enum err_code code);

/* Sets *err and returns false, so that `return err_set(...)` works in functions that return bool. err may be NULL. */
bool err_set(struct err *err, enum err_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Names the faulty place; a pointer that is too long is cut. */
void err_set_pointer(struct err *err, struct str pointer);

/* Puts "<words>: " in front of the message; keeps code and pointer. Returns false. */
bool err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define must_check __attribute__((warn_unused_result))

#endif
