#include "tests/unit/unit.h"

#include "common/arena.h"
#include "common/json.h"
#include "common/schema.h"

#include <stdio.h>

/*
 * Runs the draft 7 files of the public JSON Schema test suite for the keywords that schema.h lists. Where we differ
 * there is a row below with the reason; a row that no longer names a difference fails the test.
 */
#define LIMIT_BYTES ((size_t)64 * 1024 * 1024)

static const char *const files[] = {
        "additionalProperties.json",
        "allOf.json",
        "anyOf.json",
        "boolean_schema.json",
        "const.json",
        "default.json",
        "definitions.json",
        "enum.json",
        "exclusiveMaximum.json",
        "exclusiveMinimum.json",
        "items.json",
        "maxItems.json",
        "maxLength.json",
        "maximum.json",
        "minItems.json",
        "minLength.json",
        "minimum.json",
        "oneOf.json",
        "pattern.json",
        "properties.json",
        "ref.json",
        "required.json",
        "type.json",
        "optional/bignum.json",
        "optional/zeroTerminatedFloats.json",
        "optional/format/date-time.json",
        "optional/format/date.json",
        "optional/format/email.json",
        "optional/format/hostname.json",
        "optional/format/ipv4.json",
        "optional/format/ipv6.json",
        "optional/format/uri.json",
};

static const struct difference {
	const char *file, *group;
	const char *test; /* NULL: the schema of the group is refused */
	const char *reason;
} differences[] = {
        {"additionalProperties.json", "additionalProperties being false does not allow other properties", NULL,
                "patternProperties"},
        {"additionalProperties.json", "non-ASCII pattern with additionalProperties", NULL, "patternProperties"},
        {"definitions.json", "valid definition", NULL, "refers to a remote document"},
        {"definitions.json", "invalid definition", NULL, "refers to a remote document"},
        {"items.json", "an array of schemas for items", NULL, "items as a list"},
        {"items.json", "items with boolean schemas", NULL, "items as a list"},
        {"properties.json", "properties, patternProperties, additionalProperties interaction", NULL,
                "patternProperties"},
        {"ref.json", "relative pointer ref to array", NULL, "items as a list"},
        {"ref.json", "escaped pointer ref", NULL, "schemas outside definitions are unknown keywords"},
        {"ref.json", "remote ref, containing refs itself", NULL, "refers to a remote document"},
        {"ref.json", "Recursive references between schemas", NULL, "$id as a base of references"},
        {"optional/format/date-time.json", "validation of date-time strings", "case-insensitive T and Z",
                "no client sends them"},
        {"optional/format/uri.json", "validation of URIs", "an invalid protocol-relative URI Reference",
                "lenient: text without blanks"},
        {"optional/format/uri.json", "validation of URIs", "an invalid relative URI Reference",
                "lenient: text without blanks"},
        {"optional/format/uri.json", "validation of URIs", "an invalid URI", "lenient: text without blanks"},
        {"optional/format/uri.json", "validation of URIs", "an invalid URI though valid URI reference",
                "lenient: text without blanks"},
};

static bool difference_used[ARRAY_LEN(differences)];

static bool is_expected(const char *file, struct str group, struct str test)
{
	for (size_t i = 0; i < ARRAY_LEN(differences); i++) {
		const struct difference *row = &differences[i];

		if (strcmp(row->file, file) == 0 && str_is(group, row->group) &&
		        (row->test ? str_is(test, row->test) : !test.p)) {
			difference_used[i] = true;
			return true;
		}
	}
	return false;
}

static size_t run_group(struct arena *arena, const char *file, const struct json *group)
{
	struct str name = json_text(json_member(group, "description"));
	struct problems *problems = arena_alloc(arena, sizeof(*problems));
	struct err err = {.code = ERR_NONE};
	struct schema *schema = schema_compile(arena, json_member(group, "schema"), NULL, NULL, &err);
	size_t n_wrong = 0;

	if (!schema) {
		if (is_expected(file, name, STR_NONE))
			return 0;
		print_error("%s: %.*s: %s at \"%s\"\n", file, STR_ARG(name), err.message, err.pointer);
		return 1;
	}
	for
		json_each(test, json_member(group, "tests"))
		{
			struct str text = json_text(json_member(test, "description"));
			bool valid = json_is_true(json_member(test, "valid"));
			bool ok;

			problems_init(problems, arena);
			ok = schema_validate(schema, json_member(test, "data"), STR(""), problems);
			if (ok != (problems->n == 0))
				fail_msg("the answer and the list of problems differ");
			if (ok == valid || is_expected(file, name, text))
				continue;
			print_error("%s: %.*s: %.*s: should be %s\n", file, STR_ARG(name), STR_ARG(text),
			        valid ? "valid" : "invalid");
			n_wrong++;
		}
	return n_wrong;
}

static struct str read_file(struct arena *arena, const char *name)
{
	char *path = arena_printf(arena, "%s/draft7/%s", JSON_SCHEMA_SUITE, name);
	FILE *file = fopen(path, "rb");
	char *text = arena_alloc(arena, 1 << 20);
	size_t n;

	if (!file)
		fail_msg("%s cannot be read", path);
	n = fread(text, 1, 1 << 20, file);
	fclose(file);
	return (struct str){text, n};
}

static void suite_passes(void **state)
{
	struct arena *arena = arena_new(LIMIT_BYTES);
	size_t n_wrong = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct err err;
		struct json *groups = json_parse(arena, read_file(arena, files[i]), &err);

		if (!groups)
			fail_msg("%s: %s %s", files[i], err.message, err.pointer);
		for
			json_each(group, groups) n_wrong += run_group(arena, files[i], group);
		arena_reset(arena);
	}
	for (size_t i = 0; i < ARRAY_LEN(differences); i++) {
		if (!difference_used[i]) {
			print_error("no difference: %s: %s\n", differences[i].group,
			        differences[i].test ? differences[i].test : "");
			n_wrong++;
		}
	}
	arena_free(arena);
	assert_int_equal(n_wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(suite_passes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
