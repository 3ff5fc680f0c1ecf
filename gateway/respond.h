#ifndef GATEWAY_RESPOND_H
#define GATEWAY_RESPOND_H

#include "common/str.h"

#include <stdbool.h>

struct arena;

/*
 * What an UNTRUSTED_APPLICATION may see of an answer, in one place: of a success at most {"id": ...}, of an error its
 * words, and no data (409: {"customer": null}). Bodies that are no JSON objects become {} or the bare words of the
 * status.
 */
struct str respond_reduce(struct arena *arena, unsigned status, struct str body);

#endif
