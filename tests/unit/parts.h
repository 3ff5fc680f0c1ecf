#ifndef TESTS_UNIT_PARTS_H
#define TESTS_UNIT_PARTS_H

#include "common/problems.h"

struct arena;
struct json;

/* What several tests need. Everything returned lives in the arena. */

/* cmocka's setup and teardown: *state is an arena that takes up to 64 MiB. */
int unit_arena_new(void **state);
int unit_arena_free(void **state);

/* The value of a JSON text; the test fails when it is none. */
struct json *unit_json(struct arena *arena, const char *text);
/* The same, written with single quotes in place of double ones. */
struct json *unit_quoted_json(struct arena *arena, const char *text);

/* The paths of all problems, separated by blanks. */
const char *unit_pointers(struct arena *arena, const struct problems *problems);

#endif
