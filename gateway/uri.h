#ifndef GATEWAY_URI_H
#define GATEWAY_URI_H

#include "common/err.h"
#include "common/str.h"

struct arena;

/* Request targets are decoded here and not by libmicrohttpd, so that raw brackets and quotes pass, '+' is a blank in
   queries only, and a bad escape is a clear error. */

/* %XX (and '+' as a blank when plus_is_blank). False when an escape is cut or not hexadecimal, or the result holds NUL
   or is no well-formed UTF-8. Without anything to decode the result is `raw` itself. */
bool uri_decode(struct arena *arena, struct str raw, bool plus_is_blank, struct str *ret_text) must_check;

/* Path and query of a target in origin or absolute form; false for anything else. The query may be absent. */
bool uri_split(struct str target, struct str *ret_path, struct str *ret_query) must_check;

/* Most segments that a path may have. */
#define URI_MAX_SEGMENTS 16

/* Decoded segments of a path that begins with '/'; an empty one is kept. False when there are too many or one is not
 * valid. */
bool uri_segments(
        struct arena *arena, struct str path, struct str segments[URI_MAX_SEGMENTS], size_t *ret_n) must_check;

struct uri_param {
	struct str name;
	struct str value;
};

/* More than these are refused. */
#define URI_MAX_PARAMS 64

/* a=b&c=d, decoded, in order. On failure *reterr says which one. */
bool uri_params(struct arena *arena, struct str query, struct uri_param **ret_params, size_t *ret_n,
        struct err *reterr) must_check;

#endif
