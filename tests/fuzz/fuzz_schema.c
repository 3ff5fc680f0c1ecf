#include "tests/fuzz/fuzz.h"

#include "common/arena.h"
#include "common/catalog.h"
#include "common/json.h"
#include "common/schema.h"

#define LIMIT_BYTES ((size_t)256 * 1024 * 1024)

/* A reference to a document of the catalog is followed; what a workspace adds is anything. */
static const struct json *resolve(void *context, struct str reference)
{
	return str_starts(reference, STR("extended.json#/")) ? context : catalog_resolve(reference);
}

static void validate(struct arena *arena, const struct schema *schema, const struct json *value)
{
	struct problems *problems = arena_alloc(arena, sizeof(*problems));
	bool ok;

	problems_init(problems, arena);
	ok = schema_validate(schema, value, STR("/p"), problems);
	FUZZ_CHECK(ok == (problems->n == 0));
	for (size_t i = 0; i < problems->n; i++) {
		FUZZ_CHECK(str_is_utf8(problems->items[i].path) && str_starts(problems->items[i].path, STR("/p")));
		FUZZ_CHECK(str_is_utf8(problems->items[i].message));
	}
}

/* One line with a schema, or the name of a document of the catalog; the rest is the value. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct arena *arena = arena_new(LIMIT_BYTES);
	struct str rest = {(const char *)bytes, n}, line = STR_NONE;
	struct err err = {.code = ERR_NONE};
	struct json *any = json_new(arena, JSON_TRUE);
	const struct json *document = NULL;
	struct schema *schema = NULL;
	struct json *value;

	if (n && str_split(&rest, '\n', &line)) {
		document = catalog_document(line);
		document = document ? document : json_parse(arena, line, NULL);
	}
	if (document)
		schema = schema_compile(arena, document, resolve, any, &err);
	FUZZ_CHECK(!document || schema || err.code == ERR_INVALID);
	value = json_parse(arena, rest, NULL);
	if (schema && value)
		validate(arena, schema, value);
	arena_free(arena);
	return 0;
}
