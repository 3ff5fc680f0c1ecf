/* The profile of an aggregate node: what becomes of its members' values. */

#include "tests/unit/unit.h"

#include "common/arena.h"
#include "common/buf.h"
#include "tests/unit/parts.h"
#include "workers/aggregate_sync/profile.h"

#include <stdio.h>
#include <time.h>

#define SHOP "b0000000-0000-4000-8000-000000000001"
#define LETTER "b0000000-0000-4000-8000-000000000002"

static const struct uuid workspace = {{0xa0, [6] = 0x40, [8] = 0x80}};
static const struct uuid aggregate = {{0xba, [6] = 0x40, [8] = 0x80}};

static const char node_document[] =
        "{\"entryNodes\":[\"" SHOP "\",\"" LETTER "\"],\"matchingProperties\":{\"properties\":[\"externalId\"],"
        "\"caseSensitive\":false},\"exclusionFilters\":[{\"property\":\"base.lastName\",\"value\":\"Test\",\"pattern\":"
        "\"START_WITH\"},{\"property\":\"tags.manual\",\"value\":\"secret\",\"pattern\":\"EQUALS\"},{\"property\":"
        "\"base.firstName\",\"value\":\"zz\",\"pattern\":\"CONTAINS\"},{\"property\":\"extra\",\"value\":\"!\","
        "\"pattern\":\"END_WITH\"}]}";

#define POLICY(name) "{\"type\":\"number\",\"contactlabProperties\":{\"mergePolicy\":\"" name "\"}}"
static const char extended_document[] = "{\"priority\":" POLICY("OBJ_PRIORITY") ",\"words\":" POLICY("OBJ_CONCATENATE") ",\"all\":" POLICY(
        "ARRAY_"
        "UNION") ",\"common\":" POLICY("ARRAY_INTERSECTION") ",\"sum\":" POLICY("MATH_SUM") ",\"avg\":" POLICY("MATH_"
                                                                                                               "AVG") ",\"diff\":" POLICY("MATH_DIFF") ",\"min\":" POLICY("MATH_"
                                                                                                                                                                          "MIN") ",\"max\":" POLICY("MATH_MAX") ",\"part\":{\"type\":\"object\",\"properties\":{\"sum\":" POLICY("MATH_SUM") "}}}";

static struct profile_node read_node(struct arena *arena)
{
	return profile_node_read(
	        arena, &workspace, &aggregate, unit_json(arena, node_document), unit_json(arena, extended_document));
}

static struct customer member(struct arena *arena, const char *node, uint8_t n, int64_t updated_us, const char *doc)
{
	struct customer customer = {.id = {{0xc0, [6] = 0x40, [8] = 0x80, [15] = n}},
	        .int_id = 10 - n,
	        .version = n,
	        .registered_us = 1000 + n,
	        .updated_us = updated_us,
	        .doc = unit_json(arena, doc)};

	assert_true(uuid_parse(str_of(node), &customer.node));
	return customer;
}

/* Member 1 of the shop is older, member 2 of the newsletter newer. */
static void values_of_two_members(void **state)
{
	static const struct {
		const char *older, *newer, *merged;
	} cases[] = {
	        /* scalars: the most recent one that there is */
	        {"{\"extra\":\"a\"}", "{\"extra\":\"b\"}", "{\"extra\":\"b\"}"},
	        {"{\"extra\":\"a\"}", "{}", "{\"extra\":\"a\"}"},
	        {"{\"enabled\":true}", "{\"enabled\":false}", "{\"enabled\":false}"},
	        /* objects are merged */
	        {"{\"base\":{\"firstName\":\"A\",\"address\":{\"city\":\"Rome\"}}}",
	                "{\"base\":{\"lastName\":\"B\",\"address\":{\"zip\":\"1\"}}}",
	                "{\"base\":{\"lastName\":\"B\",\"address\":{\"zip\":\"1\",\"city\":\"Rome\"},\"firstName\":"
	                "\"A\"}}"},
	        /* lists are united: by id, else by value */
	        {"{\"tags\":{\"manual\":[\"x\",\"y\"]}}", "{\"tags\":{\"manual\":[\"y\",\"z\"]}}",
	                "{\"tags\":{\"manual\":[\"y\",\"z\",\"x\"]}}"},
	        {"{\"base\":{\"subscriptions\":[{\"id\":\"n\",\"subscribed\":true},{\"id\":\"m\"}]}}",
	                "{\"base\":{\"subscriptions\":[{\"id\":\"n\",\"subscribed\":false}]}}",
	                "{\"base\":{\"subscriptions\":[{\"id\":\"n\",\"subscribed\":false},{\"id\":\"m\"}]}}"},
	        /* consents: the most recent leaf, but an objection or limitation stands */
	        {"{\"consents\":{\"profiling\":{\"classic\":{\"status\":true,\"objection\":true,\"limitation\":false}}}"
	         "}",
	                "{\"consents\":{\"profiling\":{\"classic\":{\"status\":false,\"objection\":false,"
	                "\"limitation\":false}}}}",
	                "{\"consents\":{\"profiling\":{\"classic\":{\"status\":false,\"objection\":true,"
	                "\"limitation\":false}}}}"},
	        /* the nine policies; the shop comes first in priority */
	        {"{\"extended\":{\"priority\":1}}", "{\"extended\":{\"priority\":2}}",
	                "{\"extended\":{\"priority\":1}}"},
	        {"{\"extended\":{\"words\":\"a\"}}", "{\"extended\":{\"words\":\"b\"}}",
	                "{\"extended\":{\"words\":\"a b\"}}"},
	        {"{\"extended\":{\"all\":[1,2]}}", "{\"extended\":{\"all\":[2,3]}}",
	                "{\"extended\":{\"all\":[1,2,3]}}"},
	        {"{\"extended\":{\"common\":[1,2]}}", "{\"extended\":{\"common\":[2,3]}}",
	                "{\"extended\":{\"common\":[2]}}"},
	        {"{\"extended\":{\"sum\":0.1}}", "{\"extended\":{\"sum\":0.2}}", "{\"extended\":{\"sum\":0.3}}"},
	        {"{\"extended\":{\"avg\":1}}", "{\"extended\":{\"avg\":2}}", "{\"extended\":{\"avg\":1.5}}"},
	        {"{\"extended\":{\"diff\":5}}", "{\"extended\":{\"diff\":7}}", "{\"extended\":{\"diff\":-2}}"},
	        {"{\"extended\":{\"min\":5}}", "{\"extended\":{\"min\":7}}", "{\"extended\":{\"min\":5}}"},
	        {"{\"extended\":{\"max\":5}}", "{\"extended\":{\"max\":7}}", "{\"extended\":{\"max\":7}}"},
	        /* whole numbers keep all their digits, as do the least and the greatest */
	        {"{\"extended\":{\"sum\":9007199254740993}}", "{\"extended\":{\"sum\":1}}",
	                "{\"extended\":{\"sum\":9007199254740994}}"},
	        {"{\"extended\":{\"diff\":1732725600123456789}}", "{\"extended\":{\"diff\":1732725600123456780}}",
	                "{\"extended\":{\"diff\":9}}"},
	        {"{\"extended\":{\"avg\":9007199254740993}}", "{\"extended\":{\"avg\":9007199254740995}}",
	                "{\"extended\":{\"avg\":9007199254740994}}"},
	        {"{\"extended\":{\"min\":1732725600123456789}}", "{\"extended\":{\"min\":1732725600123456788}}",
	                "{\"extended\":{\"min\":1732725600123456788}}"},
	        {"{\"extended\":{\"max\":-0.12345678901234567891}}", "{\"extended\":{\"max\":-1e30}}",
	                "{\"extended\":{\"max\":-0.12345678901234567891}}"},
	        {"{\"extended\":{\"sum\":9223372036854775807}}", "{\"extended\":{\"sum\":1}}",
	                "{\"extended\":{\"sum\":9.22337203685478e+18}}"},
	        {"{\"extended\":{\"part\":{\"sum\":1}}}", "{\"extended\":{\"part\":{\"sum\":2}}}",
	                "{\"extended\":{\"part\":{\"sum\":3}}}"},
	        /* a policy that does not fit, and a property without one: the most recent value */
	        {"{\"extended\":{\"sum\":1}}", "{\"extended\":{\"sum\":\"x\"}}", "{\"extended\":{\"sum\":\"x\"}}"},
	        {"{\"extended\":{\"plain\":1}}", "{\"extended\":{\"plain\":2}}", "{\"extended\":{\"plain\":2}}"},
	        /* nor does one whose result no document can hold */
	        {"{\"extended\":{\"sum\":9e307}}", "{\"extended\":{\"sum\":8e307}}", "{\"extended\":{\"sum\":8e307}}"},
	        {"{\"extended\":{\"avg\":1e-308}}", "{\"extended\":{\"avg\":2e-307}}",
	                "{\"extended\":{\"avg\":2e-307}}"},
	        {"{\"extended\":{\"diff\":-9e307}}", "{\"extended\":{\"diff\":9.9e307}}",
	                "{\"extended\":{\"diff\":9.9e307}}"},
	        /* one value needs no policy */
	        {"{\"extended\":{\"diff\":5}}", "{}", "{\"extended\":{\"diff\":5}}"},
	        {"{\"extended\":{\"sum\":0.12345678901234567891}}", "{}",
	                "{\"extended\":{\"sum\":0.12345678901234567891}}"},
	};
	struct profile_node node = read_node(*state);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct customer members[2] = {
		        member(*state, LETTER, 2, 200, cases[i].newer), member(*state, SHOP, 1, 100, cases[i].older)};
		struct customer profile = profile_merge(*state, &node, &aggregate, members, 2);
		struct customer swapped[2] = {members[1], members[0]};
		struct customer again = profile_merge(*state, &node, &aggregate, swapped, 2);
		struct buf text;
		buf_init(&text, *state, 64);
		json_write(&text, profile.doc);
		if (!json_equal(profile.doc, unit_json(*state, cases[i].merged)))
			fail_msg("case %zu: %.*s", i, (int)text.n, text.p);
		assert_true(json_equal(profile.doc, again.doc)); /* the order of the members does not show */
	}
}

#define CLASSIC(status, more) "{\"consents\":{\"profiling\":{\"classic\":{\"status\":" status more "}}}}"
#define OBJECTED ",\"objection\":true"

/* Member 1 was updated at 100, member 2 at 200, or at the times of their leaves. */
static void the_last_word_of_a_consent_counts(void **state)
{
	static const struct {
		const char *name, *older, *newer, *older_times, *newer_times, *merged;
	} cases[] = {
	        {"said later by who was updated earlier", CLASSIC("false", ""), CLASSIC("true", ""), NULL,
	                "{\"profiling.classic.status\":50}", CLASSIC("false", "")},
	        {"said earlier", CLASSIC("false", ""), CLASSIC("true", ""), "{\"profiling.classic.status\":50}",
	                "{\"profiling.classic.status\":60}", CLASSIC("true", "")},
	        {"said at one time: who was updated later", CLASSIC("false", ""), CLASSIC("true", ""),
	                "{\"profiling.classic.status\":60}", "{\"profiling.classic.status\":60}", CLASSIC("true", "")},
	        {"said by one", CLASSIC("false", ""), "{}", "{\"profiling.classic.status\":50}", NULL,
	                CLASSIC("false", "")},
	        {"each leaf by itself", CLASSIC("false", ",\"limitation\":false"),
	                CLASSIC("true", ",\"limitation\":true"),
	                "{\"profiling.classic.status\":90,\"profiling.classic.limitation\":10}",
	                "{\"profiling.classic.status\":50,\"profiling.classic.limitation\":50}",
	                CLASSIC("false", ",\"limitation\":true")},
	        {"an objection stands, whoever said what later", CLASSIC("true", OBJECTED),
	                CLASSIC("true", ",\"objection\":false"), "{\"profiling.classic.objection\":50}",
	                "{\"profiling.classic.objection\":150}", CLASSIC("true", OBJECTED)},
	        {"also that of who was updated later", CLASSIC("true", ",\"objection\":false"),
	                CLASSIC("true", OBJECTED), "{\"profiling.classic.objection\":90}",
	                "{\"profiling.classic.objection\":50}", CLASSIC("true", OBJECTED)},
	};
	struct profile_node node = read_node(*state);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct customer members[2] = {
		        member(*state, SHOP, 1, 100, cases[i].older), member(*state, LETTER, 2, 200, cases[i].newer)};
		members[0].consent_times = cases[i].older_times ? unit_json(*state, cases[i].older_times) : NULL;
		members[1].consent_times = cases[i].newer_times ? unit_json(*state, cases[i].newer_times) : NULL;
		struct customer profile = profile_merge(*state, &node, &aggregate, members, 2);
		if (!json_equal(profile.doc, unit_json(*state, cases[i].merged)))
			CASE_FAIL(cases[i].name, "not %s", cases[i].merged);
	}
}

static void numbers_follow_from_the_set(void **state)
{
	struct profile_node node = read_node(*state);
	struct customer members[2] = {member(*state, LETTER, 2, 200, "{}"), member(*state, SHOP, 1, 300, "{}")};
	struct customer profile = profile_merge(*state, &node, &workspace, members, 2);

	assert_true(uuid_eq(&profile.id, &workspace) && uuid_eq(&profile.node, &aggregate));
	assert_int_equal(profile.int_id, 8);
	assert_int_equal(profile.version, 3);
	assert_int_equal(profile.registered_us, 1001);
	assert_int_equal(profile.updated_us, 300);
}

static void customers_with_the_same_key_share_a_profile(void **state)
{
	struct profile_node node = read_node(*state);
	struct customer one = member(*state, SHOP, 1, 1, "{\"externalId\":\"Ada\"}"),
	                same = member(*state, LETTER, 2, 1, "{\"externalId\":\"ADA\"}"),
	                other = member(*state, LETTER, 3, 1, "{\"externalId\":\"Bea\"}"),
	                lacking = member(*state, SHOP, 4, 1, "{}"), lacking_too = member(*state, SHOP, 5, 1, "{}");
	struct uuid ids[] = {profile_id(*state, &node, &one), profile_id(*state, &node, &same),
	        profile_id(*state, &node, &other), profile_id(*state, &node, &lacking),
	        profile_id(*state, &node, &lacking_too)};

	assert_true(uuid_eq(&ids[0], &ids[1]));
	assert_false(uuid_eq(&ids[0], &ids[2]));
	assert_false(uuid_eq(&ids[3], &ids[4])); /* who lacks the property joins nobody */
}

/* Strangers choose how long lists are: one profile must not hold up all others. */
static void long_lists_are_united_soon(void **state)
{
	enum { ITEMS = 20000, MOST_S = 2 };
	struct arena *arena = arena_new(512UL * 1024 * 1024);
	struct profile_node node = read_node(arena);
	struct customer members[2];
	clock_t begin = clock();

	(void)state;
	for (int m = 0; m < 2; m++) {
		struct buf doc;
		buf_init(&doc, arena, 1024);
		buf_add_literal(&doc, "{\"base\":{\"likes\":[{\"id\":\"none\"}");
		for (int i = 0; i < ITEMS; i++)
			buf_printf(&doc, ",{\"id\":\"%d\"}", m * ITEMS / 2 + i);
		buf_add_literal(&doc, "]},\"extended\":{\"all\":[-1");
		for (int i = 0; i < ITEMS; i++)
			buf_printf(&doc, ",%d", m * ITEMS / 2 + i);
		buf_add_literal(&doc, "],\"common\":[-1");
		for (int i = 0; i < ITEMS; i++)
			buf_printf(&doc, ",%d", m * ITEMS / 2 + i);
		buf_add_literal(&doc, "]}}");
		buf_add_char(&doc, '\0');
		members[m] = member(arena, m ? LETTER : SHOP, (uint8_t)(m + 1), m, doc.p);
	}
	struct uuid id = {{1}};
	struct customer profile = profile_merge(arena, &node, &id, members, 2);
	const struct json *extended = json_member(profile.doc, "extended");
	assert_int_equal(json_path(profile.doc, STR("base.likes"))->count, 1 + 3 * ITEMS / 2);
	assert_int_equal(json_member(extended, "all")->count, 1 + 3 * ITEMS / 2);
	assert_int_equal(json_member(extended, "common")->count, 1 + ITEMS / 2);
	assert_true((clock() - begin) / CLOCKS_PER_SEC < MOST_S);
	arena_free(arena);
}

/* Who shares a profile may each bring a list of their own, and all of them are one list then. */
static void lists_of_many_members_are_united_soon(void **state)
{
	enum { MEMBERS = 1000, ITEMS = 100, MOST_S = 5 };
	struct arena *arena = arena_new(512UL * 1024 * 1024);
	struct profile_node node = read_node(arena);
	struct customer *members = arena_alloc(arena, MEMBERS * sizeof(*members));
	clock_t begin = clock();

	(void)state;
	for (int m = 0; m < MEMBERS; m++) {
		struct buf doc;
		buf_init(&doc, arena, 1024);
		buf_add_literal(&doc, "{\"base\":{\"likes\":[{\"id\":\"none\"}");
		for (int i = 0; i < ITEMS; i++)
			buf_printf(&doc, ",{\"id\":\"%d\"}", m * ITEMS + i);
		buf_add_literal(&doc, "]}}");
		buf_add_char(&doc, '\0');
		members[m] = member(arena, SHOP, (uint8_t)m, m, doc.p);
	}
	struct uuid id = {{1}};
	struct customer profile = profile_merge(arena, &node, &id, members, MEMBERS);
	assert_int_equal(json_path(profile.doc, STR("base.likes"))->count, 1 + MEMBERS * ITEMS);
	assert_true((clock() - begin) / CLOCKS_PER_SEC < MOST_S);
	arena_free(arena);
}

/* An administrator may define thousands of extended properties: m0, m1, ... are numbers, lists, objects, and numbers to
 * be added up. */
static void many_properties_are_merged_soon(void **state)
{
	enum { MEMBERS = 60, PROPERTIES = 8000, MOST_S = 3 };
	struct arena *arena = arena_new(1024UL * 1024 * 1024);
	struct customer *members = arena_alloc(arena, MEMBERS * sizeof(*members));
	struct buf definitions, merged;
	clock_t begin = clock();

	(void)state;
	buf_init(&definitions, arena, 1024);
	buf_init(&merged, arena, 1024);
	buf_add_literal(&definitions, "{\"first\":" POLICY("MATH_SUM"));
	buf_add_literal(&merged, "{\"first\":1770");
	for (int i = 0; i < PROPERTIES; i++)
		buf_printf(&definitions, ",\"m%d\":%s", i, i % 4 == 3 ? POLICY("MATH_MAX") : "{\"type\":\"object\"}");
	for (int m = 0; m < MEMBERS; m++) {
		struct buf doc;
		buf_init(&doc, arena, 1024);
		buf_printf(&doc, "{\"extended\":{\"first\":%d", m);
		for (int i = 0; i < PROPERTIES; i++)
			buf_printf(&doc,
			        i % 4 == 0   ? ",\"m%d\":%d"
			        : i % 4 == 1 ? ",\"m%d\":[%d]"
			        : i % 4 == 2 ? ",\"m%d\":{\"a\":%d}"
			                     : ",\"m%d\":%d",
			        i, i % 4 == 1 ? m % 3 : m);
		buf_add_literal(&doc, "}}");
		buf_add_char(&doc, '\0');
		members[m] = member(arena, SHOP, (uint8_t)m, m, doc.p);
	}
	for (int i = 0; i < PROPERTIES; i++)
		buf_printf(&merged,
		        i % 4 == 1   ? ",\"m%d\":[2,1,0]"
		        : i % 4 == 2 ? ",\"m%d\":{\"a\":59}"
		                     : ",\"m%d\":59",
		        i);
	buf_add_char(&definitions, '}');
	buf_add_literal(&merged, "}");
	buf_add_char(&definitions, '\0');
	buf_add_char(&merged, '\0');
	struct profile_node node = profile_node_read(
	        arena, &workspace, &aggregate, unit_json(arena, node_document), unit_json(arena, definitions.p));
	struct uuid id = {{1}};
	struct customer profile = profile_merge(arena, &node, &id, members, MEMBERS);
	assert_true(json_equal(json_member(profile.doc, "extended"), unit_json(arena, merged.p)));
	assert_true((clock() - begin) / CLOCKS_PER_SEC < MOST_S);
	arena_free(arena);
}

/* Their matching property may be a common last name. */
static void texts_of_many_members(void **state)
{
	enum { MEMBERS = 10000, BYTES = 255 };
	struct arena *arena = arena_new(128UL * 1024 * 1024);
	struct profile_node node = read_node(arena);
	struct customer *members = arena_alloc(arena, MEMBERS * sizeof(*members));
	char doc[BYTES + 64];

	(void)state;
	snprintf(doc, sizeof(doc), "{\"extended\":{\"words\":\"%0*d\"}}", BYTES, 1);
	for (size_t i = 0; i < MEMBERS; i++)
		members[i] = member(arena, SHOP, (uint8_t)i, (int64_t)i, doc);
	struct uuid id = {{1}};
	struct customer profile = profile_merge(arena, &node, &id, members, MEMBERS);
	assert_int_equal(json_text(json_path(profile.doc, STR("extended.words"))).n, MEMBERS * (BYTES + 1) - 1);
	arena_free(arena);
}

static void filters(void **state)
{
	static const struct {
		const char *doc;
		bool excluded;
	} cases[] = {
	        {"{\"base\":{\"lastName\":\"Tester\"}}", true},
	        {"{\"base\":{\"lastName\":\"A Test\"}}", false},
	        {"{\"base\":{\"firstName\":\"pizza\"}}", true},
	        {"{\"tags\":{\"manual\":[\"a\",\"secret\"]}}", true},
	        {"{\"tags\":{\"manual\":[\"secrets\"]}}", false},
	        {"{\"extra\":\"hey!\"}", true},
	        {"{\"extra\":\"!hey\"}", false},
	        {"{}", false},
	};
	struct profile_node node = read_node(*state);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct customer customer = member(*state, SHOP, 1, 1, cases[i].doc);
		assert_int_equal(profile_is_excluded(&node, &customer), cases[i].excluded);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(values_of_two_members, unit_arena_new, unit_arena_free),
	        cmocka_unit_test_setup_teardown(the_last_word_of_a_consent_counts, unit_arena_new, unit_arena_free),
	        cmocka_unit_test_setup_teardown(numbers_follow_from_the_set, unit_arena_new, unit_arena_free),
	        cmocka_unit_test_setup_teardown(
	                customers_with_the_same_key_share_a_profile, unit_arena_new, unit_arena_free),
	        cmocka_unit_test(long_lists_are_united_soon),
	        cmocka_unit_test(lists_of_many_members_are_united_soon),
	        cmocka_unit_test(many_properties_are_merged_soon),
	        cmocka_unit_test(texts_of_many_members),
	        cmocka_unit_test_setup_teardown(filters, unit_arena_new, unit_arena_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
