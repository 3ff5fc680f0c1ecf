#ifndef GATEWAY_ROUTER_H
#define GATEWAY_ROUTER_H

#include "gateway/route.h"

/* Finds the row of routes for a method and path: a tree over path segments, made once at start. Where a literal segment
   and a parameter both fit, the literal wins if the rest fits, too. */
struct router;

#define ROUTE_MAX_PARAMS 6

/* Dies when two rows claim the same method and path, or a row is malformed: a mistake of the program. */
struct router *router_new(const struct route *rows, size_t n_rows);
void router_free(struct router *router);

struct route_match {
	const struct route *route;
	const char *methods; /* all of the path, "GET, PUT, OPTIONS"; for Allow and CORS */
	size_t n_params;
	struct str names[ROUTE_MAX_PARAMS];
	struct str values[ROUTE_MAX_PARAMS]; /* decoded; {name+} has its segments joined by '/' */
};

enum route_result {
	ROUTE_FOUND,
	ROUTE_UNKNOWN_PATH,
	ROUTE_UNKNOWN_METHOD, /* ret_match has methods only */
};

struct arena;

/* Segments are those below /hub/v1, decoded. Values point to them (joined ones into the arena). */
enum route_result router_find(const struct router *router, struct arena *arena, struct str method,
        const struct str *segments, size_t n_segments, struct route_match *ret_match);

#endif
