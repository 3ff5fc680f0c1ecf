#include "tests/unit/unit.h"

#include "common/arena.h"
#include "common/config_doc.h"
#include "common/json.h"

#include <ctype.h>
#include <stdio.h>

#define ARENA_BYTES ((size_t)1024 * 1024)

static void keys_are_read_back(void **state)
{
	static const struct {
		const char *kind, *id, *text;
		int64_t version;
	} cases[] = {
	        {.kind = "workspace", .id = "", .version = CONFIG_NEW, .text = "workspace/#0"},
	        {.kind = "workspace", .id = "", .version = CONFIG_ANY_VERSION, .text = "workspace/"},
	        {.kind = "user", .id = "17", .version = 3, .text = "user/17#3"},
	        {.kind = "extended", .id = "event:viewedPage", .version = 12, .text = "extended/event:viewedPage#12"},
	        {.kind = "throttling", .id = "", .version = CONFIG_ANY_VERSION, .text = "throttling/"},
	};
	struct arena *arena = arena_new(ARENA_BYTES);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct config_key key = {
		        .kind = str_of(cases[i].kind), .id = str_of(cases[i].id), .version = cases[i].version};
		struct config_key read;
		struct err err = {0};
		struct str text = config_key_write(arena, &key);
		assert_str(text, cases[i].text);
		assert_true(config_key_parse(text, &read, &err));
		assert_str(read.kind, cases[i].kind);
		assert_str(read.id, cases[i].id);
		assert_int_equal(read.version, cases[i].version);
	}
	arena_free(arena);
}

static void other_keys_are_refused(void **state)
{
	static const char *const cases[] = {"", "workspace", "workspaces/", "/", "node/x#", "node/x#-1", "node/x#1#2",
	        "node/x#1x", "node/x#99999999999999999999"};
	struct config_key key;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err err = {0};
		if (config_key_parse(str_of(cases[i]), &key, &err))
			CASE_FAIL(cases[i], "was taken");
		assert_int_equal(err.code, ERR_INVALID);
	}
}

/* As `SELECT length(text::jsonb::text)` says, but for the exponent itself and a blank behind each last element. */
static void stored_bytes_are_those_of_the_database(void **state)
{
	static const struct {
		const char *text;
		size_t bytes;
	} cases[] = {
	        {"null", 4},
	        {"false", 5},
	        {"0", 1},
	        {"-12.50", 6},
	        {"1e3", 6},
	        {"-1.25E+2", 10},
	        {"1.5e4", 9},
	        {"1e-3", 7},
	        {"12.5e-1", 8},
	        {"1e307", 312},
	        {"\"a\\u0001\\n\\\"\"", 17},
	        {"[]", 2},
	        {"[1,20]", 2 + 3 + 4},
	        {"{\"a\":[true],\"bc\":1e2}", 2 + 3 + 2 + 8 + 2 + 4 + 2 + 5 + 2},
	};
	struct arena *arena = arena_new(ARENA_BYTES);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err err = {0};
		const struct json *value = json_parse(arena, str_of(cases[i].text), &err);
		assert_non_null(value);
		if (config_doc_stored_bytes(value) != cases[i].bytes)
			CASE_FAIL(cases[i].text, "%zu", config_doc_stored_bytes(value));
	}
	arena_free(arena);
}

/* Partitions are stored, but a replay into an empty table computes none: what is computed must never change. */
static void partition_of_a_workspace_stays(void **state)
{
	struct uuid id;

	(void)state;
	assert_true(uuid_parse(STR("01964d7e-0000-7000-8000-000000000001"), &id));
	assert_int_equal(config_partition_of(&id, 1), 0);
	assert_int_equal(config_partition_of(&id, 8), config_partition_of(&id, 8));
	for (uint32_t n = 1; n < 100; n++)
		assert_true(config_partition_of(&id, n) < n);
}

static void tokens_are_hex_and_hashed_as_text(void **state)
{
	struct source_token token, other;
	uint8_t hash[32];
	char hex[65];

	(void)state;
	source_token_make(&token);
	source_token_make(&other);
	assert_int_equal(strlen(token.text), SOURCE_TOKEN_HEX);
	assert_int_equal(strlen(token.sha256), SOURCE_TOKEN_HEX);
	assert_string_not_equal(token.text, other.text);
	for (size_t i = 0; i < SOURCE_TOKEN_HEX; i++)
		assert_true(isdigit((unsigned char)token.text[i]) || strchr("abcdef", token.text[i]));
	source_token_hash((struct str){token.text, SOURCE_TOKEN_HEX}, hash);
	for (size_t i = 0; i < sizeof(hash); i++)
		snprintf(hex + 2 * i, 3, "%02x", hash[i]);
	assert_string_equal(hex, token.sha256);
	/* of FIPS 180-2 */
	source_token_hash(STR("abc"), hash);
	assert_int_equal(hash[0], 0xba);
	assert_int_equal(hash[31], 0xad);
}

static void providers_have_their_trust(void **state)
{
	static const struct {
		const char *id;
		bool known, trusted, creatable;
	} cases[] = {
	        {.id = "API", .known = true, .trusted = true, .creatable = true},
	        {.id = "CONTACTSEND", .known = true, .trusted = true, .creatable = true},
	        {.id = "CONTACTPLAN", .known = true, .trusted = true, .creatable = true},
	        {.id = "JavaScript", .known = true},
	        {.id = "ANDROID_SDK", .known = true},
	        {.id = "OBJECTIVEC_SDK", .known = true},
	        {.id = "MAGENTO", .known = true, .trusted = true},
	        {.id = "NODEJS_SDK", .known = true, .trusted = true},
	        {.id = "DOTNET_SDK", .known = true, .trusted = true},
	        {.id = "api"},
	        {.id = ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct source_provider *provider = source_provider_find(str_of(cases[i].id));
		if (!provider != !cases[i].known)
			CASE_FAIL(cases[i].id, "known: %d", provider != NULL);
		if (provider && (provider->trusted != cases[i].trusted || provider->creatable != cases[i].creatable))
			CASE_FAIL(cases[i].id, "trusted %d creatable %d", provider->trusted, provider->creatable);
	}
}

static void new_workspace_is_enabled(void **state)
{
	struct arena *arena = arena_new(ARENA_BYTES);
	struct uuid id = {{1}};

	(void)state;
	assert_str(config_doc_text(arena,
	                   config_workspace_document(arena, &id, STR("Shop"), STR("shop"), 7, STR("default"), 5)),
	        "{\"id\":\"01000000-0000-0000-0000-000000000000\",\"name\":\"Shop\",\"slug\":\"shop\",\"groupPk\":7,"
	        "\"shard\":\"default\",\"status\":\"ENABLED\",\"partition\":5}");
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(keys_are_read_back),
	        cmocka_unit_test(other_keys_are_refused),
	        cmocka_unit_test(stored_bytes_are_those_of_the_database),
	        cmocka_unit_test(partition_of_a_workspace_stays),
	        cmocka_unit_test(tokens_are_hex_and_hashed_as_text),
	        cmocka_unit_test(providers_have_their_trust),
	        cmocka_unit_test(new_workspace_is_enabled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
