#include "tests/unit/parts.h"

#include "common/arena.h"
#include "common/json.h"
#include "tests/unit/unit.h"

int unit_arena_new(void **state)
{
	*state = arena_new((size_t)64 * 1024 * 1024);
	return 0;
}

int unit_arena_free(void **state)
{
	arena_free(*state);
	return 0;
}

struct json *unit_json(struct arena *arena, const char *text)
{
	struct err err = {0};
	struct json *value = json_parse(arena, str_of(text), &err);

	if (!value)
		fail_msg("%s: %s %s", text, err.message, err.pointer);
	return value;
}

struct json *unit_quoted_json(struct arena *arena, const char *text)
{
	char *copy = arena_printf(arena, "%s", text);

	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	return unit_json(arena, copy);
}

const char *unit_pointers(struct arena *arena, const struct problems *problems)
{
	char *text = "";

	for (size_t i = 0; i < problems->n; i++)
		text = arena_printf(arena, "%s%s%.*s", text, i ? " " : "", STR_ARG(problems->items[i].path));
	return text;
}
