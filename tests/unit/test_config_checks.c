#include "tests/unit/unit.h"

#include "common/arena.h"
#include "common/base_properties.h"
#include "common/config_doc.h"
#include "common/json.h"
#include "gateway/config_checks.h"
#include "gateway/config_entry.h"
#include "gateway/property_path.h"
#include "tests/unit/parts.h"

#define ARENA_BYTES ((size_t)16 * 1024 * 1024)
#define VIEW(literal)                                                                                                  \
	{                                                                                                              \
		(literal), sizeof(literal) - 1                                                                         \
	}
#define NODE "01964d7e-0000-7000-8000-00000000000a"
#define SOURCE "01964d7e-0000-7000-8000-00000000000b"
#define AGGREGATE "01964d7e-0000-7000-8000-00000000000d"
#define REMOVED "01964d7e-0000-7000-8000-00000000000e"
#define OTHER "01964d7e-0000-7000-8000-00000000000c"
#define EXTENDED                                                                                                       \
	"{\"size\":{\"type\":\"number\"},\"flag\":{\"type\":\"boolean\"},\"group\":{\"type\":\"object\","              \
	"\"properties\":{\"code\":{\"type\":[\"string\",\"null\"]}}},\"list\":{\"type\":\"array\",\"items\":{"         \
	"\"type\":\"string\"}}}"

/* A workspace with one entry node, an aggregate node over it, a removed one, one source, and the extended properties
 * above. */
static struct config_workspace *make_workspace(void)
{
	static const struct entry_source documents[] = {
	        {.kind = VIEW("workspace"), .id = VIEW(""), .text = VIEW("{\"status\":\"ENABLED\",\"partition\":3}")},
	        {.kind = VIEW("node"), .id = VIEW(NODE), .text = VIEW("{\"id\":\"" NODE "\"}")},
	        {.kind = VIEW("node"),
	                .id = VIEW(AGGREGATE),
	                .text = VIEW(
	                        "{\"id\":\"" AGGREGATE "\",\"nodeType\":\"AGGREGATE\",\"entryNodes\":[\"" NODE "\"]}")},
	        {.kind = VIEW("node"),
	                .id = VIEW(REMOVED),
	                .text = VIEW("{\"id\":\"" REMOVED "\",\"nodeType\":\"AGGREGATE\",\"state\":\"REMOVED\"}")},
	        {.kind = VIEW("source"), .id = VIEW(SOURCE), .text = VIEW("{\"id\":\"" SOURCE "\"}")},
	        {.kind = VIEW("extended"), .id = VIEW("customer"), .text = VIEW(EXTENDED)},
	};
	struct uuid id = {{1}};
	struct config_workspace *workspace;
	struct err err = {0};

	if (!entry_new(&id, documents, ARRAY_LEN(documents), NULL, &workspace, &err))
		fail_msg("%s", err.message);
	return workspace;
}

static void paths_of_strings_and_numbers(void **state)
{
	static const struct {
		const char *path;
		bool good;
	} cases[] = {
	        {.path = "externalId", .good = true},
	        {.path = "base.contacts.email", .good = true},
	        {.path = "base.firstName", .good = true},
	        {.path = "base.dob", .good = true},
	        {.path = "base.timezone", .good = true},
	        {.path = "base.address.geo.lat", .good = true},
	        {.path = "extended.size", .good = true},
	        {.path = "extended.group.code", .good = true},
	        {.path = "extended.flag"},
	        {.path = "extended.list"},
	        {.path = "extended.group"},
	        {.path = "extended.unknown"},
	        {.path = "extended."},
	        {.path = "extended"},
	        {.path = "base"},
	        {.path = "base."},
	        {.path = "base.contacts"},
	        {.path = "base.jobs"},
	        {.path = "base.contacts.email.x"},
	        {.path = "base..firstName"},
	        {.path = "firstName"},
	        {.path = "externalIds"},
	        {.path = "nodeId"},
	        {.path = ""},
	};
	struct arena *arena = arena_new(ARENA_BYTES);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (property_path_is_scalar(str_of(cases[i].path), unit_json(arena, EXTENDED)) != cases[i].good)
			CASE_FAIL(cases[i].path, "should be %d", cases[i].good);
	assert_false(property_path_is_scalar(STR("extended.size"), NULL));
	arena_free(arena);
}

#define WITHOUT "{\"uniqueCustomer\":{\"properties\":[]}}"

static void nodes_are_checked(void **state)
{
	static const struct {
		const char *name, *body;
		const char *stored; /* a PUT over this one */
		const char *problems;
	} cases[] = {
	        {.name = "least", .body = "{\"name\":\"n\"}", .problems = ""},
	        {.name = "all",
	                .body = "{\"name\":\"n\",\"description\":\"d\",\"imageUrl\":\"https://shop.example/x.png\","
	                        "\"uniqueCustomer\":{\"properties\":[\"externalId\",\"extended.size\"],"
	                        "\"caseSensitive\":false},"
	                        "\"sourcePriority\":[\"" SOURCE
	                        "\"],\"mandatoryProperties\":[\"base.contacts.email\"]}",
	                .problems = ""},
	        {.name = "nulls",
	                .body = "{\"name\":\"n\",\"description\":null,\"imageUrl\":null,\"uniqueCustomer\":null,"
	                        "\"sourcePriority\":null,\"mandatoryProperties\":null}",
	                .problems = ""},
	        {.name = "no name", .body = "{}", .problems = "/name"},
	        {.name = "empty name", .body = "{\"name\":\"\"}", .problems = "/name"},
	        {.name = "name is a number", .body = "{\"name\":7}", .problems = "/name"},
	        {.name = "types",
	                .body = "{\"name\":\"n\",\"description\":7,\"imageUrl\":[],\"uniqueCustomer\":[],"
	                        "\"sourcePriority\":{},\"mandatoryProperties\":\"x\"}",
	                .problems = "/description /imageUrl /uniqueCustomer /sourcePriority /mandatoryProperties"},
	        {.name = "no URL", .body = "{\"name\":\"n\",\"imageUrl\":\"not a url\"}", .problems = "/imageUrl"},
	        {.name = "unknown paths",
	                .body = "{\"name\":\"n\",\"uniqueCustomer\":{\"properties\":[\"externalId\",\"base.nothing\",7]"
	                        "},"
	                        "\"mandatoryProperties\":[\"extended.nothing\"]}",
	                .problems = "/uniqueCustomer/properties/1 /uniqueCustomer/properties/2 /mandatoryProperties/0"},
	        {.name = "twice",
	                .body = "{\"name\":\"n\",\"mandatoryProperties\":[\"externalId\",\"externalId\"]}",
	                .problems = "/mandatoryProperties/1"},
	        {.name = "case as text",
	                .body = "{\"name\":\"n\",\"uniqueCustomer\":{\"caseSensitive\":\"yes\"}}",
	                .problems = "/uniqueCustomer/caseSensitive"},
	        {.name = "unknown source",
	                .body = "{\"name\":\"n\",\"sourcePriority\":[\"" OTHER "\",\"x\"]}",
	                .problems = "/sourcePriority/0 /sourcePriority/1"},
	        {.name = "put",
	                .stored = WITHOUT,
	                .body = "{\"id\":\"" NODE "\",\"name\":\"n\",\"uniqueCustomer\":{\"properties\":[]}}",
	                .problems = ""},
	        {.name = "without a property",
	                .body = "{\"name\":\"n\",\"uniqueCustomer\":{\"properties\":[]}}",
	                .problems = "/uniqueCustomer/properties"},
	        {.name = "put takes the property away",
	                .stored = "{\"uniqueCustomer\":{\"properties\":[\"externalId\"]}}",
	                .body = "{\"id\":\"" NODE "\",\"name\":\"n\",\"uniqueCustomer\":{\"properties\":[]}}",
	                .problems = "/uniqueCustomer/properties"},
	        {.name = "put needs", .stored = WITHOUT, .body = "{}", .problems = "/id /uniqueCustomer /name"},
	        {.name = "put of another id",
	                .stored = WITHOUT,
	                .body = "{\"id\":\"" OTHER "\",\"name\":\"n\",\"uniqueCustomer\":{}}",
	                .problems = "/id"},
	};
	struct config_workspace *workspace = make_workspace();
	struct arena *arena = arena_new(ARENA_BYTES);
	struct uuid id;

	(void)state;
	assert_true(uuid_parse(STR(NODE), &id));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct problems problems;
		problems_init(&problems, arena);
		const struct json *stored = cases[i].stored ? unit_json(arena, cases[i].stored) : NULL;
		const struct json *doc =
		        check_entry_node(arena, unit_json(arena, cases[i].body), &id, stored, workspace, &problems);
		const char *found = unit_pointers(arena, &problems);
		if (strcmp(found, cases[i].problems) || !doc != (problems.n > 0))
			CASE_FAIL(cases[i].name, "\"%s\" is not \"%s\"", found, cases[i].problems);
	}
	config_workspace_unref(workspace);
	arena_free(arena);
}

#define STRICT "{\"properties\":[\"externalId\"],\"caseSensitive\":true}"
#define DEFINITION                                                                                                     \
	"\"name\":\"n\",\"entryNodes\":[\"" NODE "\"],\"matchingProperties\":{\"properties\":[\"externalId\"]}"
#define FILTER(property, pattern) "{\"property\":\"" property "\",\"value\":\"v\",\"pattern\":\"" pattern "\"}"
#define GOOD_FILTER FILTER("extended.group.code", "END_WITH")
#define FILTERS(list) "\"exclusionFilters\":[" list "]"

static void aggregate_nodes_are_checked(void **state)
{
	/* present NULL: a POST; then what is wrong, or the document's filters, and what its profiles are matched on */
	static const struct {
		const char *name, *present, *body, *problems, *filters, *matching;
	} cases[] = {
	        {.name = "least", .body = "{" DEFINITION "}", .problems = "", .filters = "[]"},
	        {.name = "nothing", .body = "{}", .problems = "/name /entryNodes /matchingProperties/properties"},
	        {.name = "nodes that are no entry nodes",
	                .body = "{\"name\":\"n\",\"entryNodes\":[\"" AGGREGATE "\",\"" OTHER "\",\"" REMOVED
	                        "\",\"" NODE "\",\"" NODE
	                        "\"],\"matchingProperties\":{\"properties\":[\"externalId\"]}}",
	                .problems = "/entryNodes/0 /entryNodes/1 /entryNodes/2 /entryNodes/4"},
	        {.name = "a path that is none",
	                .body = "{\"name\":\"n\",\"entryNodes\":[\"" NODE
	                        "\"],\"matchingProperties\":{\"properties\":[\"extended.size\",\"extended.flag\"]}}",
	                .problems = "/matchingProperties/properties/1"},
	        {.name = "filters",
	                .body = "{" DEFINITION "," FILTERS(GOOD_FILTER) "}",
	                .problems = "",
	                .filters = "[" GOOD_FILTER "]"},
	        {.name = "wrong filters",
	                .body = "{" DEFINITION
	                        "," FILTERS(FILTER("base.x", "EQUALS") "," FILTER("base.dob", "IS") ",{}") "}",
	                .problems =
	                        "/exclusionFilters/0/property /exclusionFilters/1/pattern /exclusionFilters/2/property "
	                        "/exclusionFilters/2/value /exclusionFilters/2/pattern"},
	        {.name = "PUT keeps filters that are not sent",
	                .present = "{" DEFINITION "," FILTERS(GOOD_FILTER) "}",
	                .body = "{\"name\":\"m\"}",
	                .problems = "",
	                .filters = "[" GOOD_FILTER "]"},
	        {.name = "PUT of no filters",
	                .present = "{" DEFINITION "," FILTERS(GOOD_FILTER) "}",
	                .body = "{\"name\":\"m\",\"exclusionFilters\":null}",
	                .problems = "",
	                .filters = "[]"},
	        {.name = "case is folded unless it is asked for",
	                .body = "{" DEFINITION "}",
	                .problems = "",
	                .filters = "[]",
	                .matching = "{\"properties\":[\"externalId\"],\"caseSensitive\":false}"},
	        {.name = "case that counts",
	                .body = "{\"name\":\"n\",\"entryNodes\":[\"" NODE "\"],\"matchingProperties\":" STRICT "}",
	                .problems = "",
	                .filters = "[]",
	                .matching = STRICT},
	        {.name = "PUT of properties without their case",
	                .present = "{\"entryNodes\":[\"" NODE "\"],\"matchingProperties\":" STRICT "}",
	                .body = "{" DEFINITION "}",
	                .problems = "",
	                .filters = "[]",
	                .matching = STRICT},
	        {.name = "PUT of another definition",
	                .present = "{\"entryNodes\":[\"" OTHER
	                           "\"],\"matchingProperties\":{\"properties\":[\"base.dob\"],\"caseSensitive\":true}}",
	                .body = "{" DEFINITION ",\"id\":\"" OTHER "\"}",
	                .problems = "/id /entryNodes /matchingProperties"},
	};
	struct arena *arena = arena_new(ARENA_BYTES);
	struct config_workspace *workspace = make_workspace();
	const struct uuid id = {{9}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct problems problems;
		problems_init(&problems, arena);
		const struct json *present = cases[i].present ? unit_json(arena, cases[i].present) : NULL;
		const struct json *doc = check_aggregate_node(
		        arena, unit_json(arena, cases[i].body), &id, present, workspace, &problems);
		const char *found = unit_pointers(arena, &problems);
		if (strcmp(found, cases[i].problems) || !doc != (problems.n > 0))
			CASE_FAIL(cases[i].name, "\"%s\" is not \"%s\"", found, cases[i].problems);
		if (doc && !json_equal(json_member(doc, "exclusionFilters"), unit_json(arena, cases[i].filters)))
			CASE_FAIL(cases[i].name, "other filters than %s", cases[i].filters);
		if (cases[i].matching &&
		        !json_equal(json_member(doc, "matchingProperties"), unit_json(arena, cases[i].matching)))
			CASE_FAIL(cases[i].name, "matched on something else than %s", cases[i].matching);
	}
	config_workspace_unref(workspace);
	arena_free(arena);
}

static void an_aggregate_node_goes_from_new_to_active(void **state)
{
	static const struct {
		const char *present, *wanted; /* JSON */
		bool locked;
		enum err_code code;
		const char *next;
	} cases[] = {
	        {.present = "NEW", .wanted = "null", .next = "NEW"},
	        {.present = "NEW", .wanted = "\"NEW\"", .next = "NEW"},
	        {.present = "NEW", .wanted = "\"ACTIVE\"", .next = "ACTIVE"},
	        {.present = "NEW", .wanted = "\"LOCKED\"", .code = ERR_CONFLICT},
	        {.present = "NEW", .wanted = "\"LOCKED\"", .locked = true, .code = ERR_CONFLICT},
	        {.present = "NEW", .wanted = "\"REMOVED\"", .code = ERR_CONFLICT},
	        {.present = "NEW", .wanted = "\"active\"", .code = ERR_INVALID},
	        {.present = "NEW", .wanted = "[]", .code = ERR_INVALID},
	        {.present = "ACTIVE", .wanted = "\"ACTIVE\"", .next = "ACTIVE"},
	        {.present = "ACTIVE", .wanted = "\"NEW\"", .code = ERR_CONFLICT},
	        {.present = "ACTIVE", .wanted = "\"LOCKED\"", .code = ERR_CONFLICT},
	        {.present = "ACTIVE", .wanted = "\"LOCKED\"", .locked = true, .next = "ACTIVE"},
	};
	struct arena *arena = arena_new(ARENA_BYTES);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err err = {0};
		struct str next;
		bool good = aggregate_state_next(
		        str_of(cases[i].present), cases[i].locked, unit_json(arena, cases[i].wanted), &next, &err);
		if (good != !cases[i].code || err.code != cases[i].code || (good && !str_is(next, cases[i].next)))
			CASE_FAIL(
			        cases[i].wanted, "from %s: %s", cases[i].present, good ? "another state" : err.message);
	}
	arena_free(arena);
}

static void policies_compare_by_paths_and_case(void **state)
{
	static const struct {
		const char *a, *b;
		bool equal;
	} cases[] = {
	        {.a = "{\"properties\":[],\"caseSensitive\":true}",
	                .b = "{\"caseSensitive\":true,\"properties\":[]}",
	                .equal = true},
	        {.a = "{\"properties\":[],\"caseSensitive\":true}",
	                .b = "{\"properties\":[],\"caseSensitive\":false}",
	                .equal = false},
	        {.a = "{\"properties\":[\"externalId\"],\"caseSensitive\":true}",
	                .b = "{\"properties\":[],\"caseSensitive\":true}",
	                .equal = false},
	        {.a = "{\"properties\":[\"externalId\",\"base.dob\"]}",
	                .b = "{\"properties\":[\"base.dob\",\"externalId\"]}",
	                .equal = false},
	};
	struct arena *arena = arena_new(ARENA_BYTES);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (policy_equal(unit_json(arena, cases[i].a), unit_json(arena, cases[i].b)) != cases[i].equal)
			CASE_FAIL(cases[i].a, "should be %d", cases[i].equal);
	assert_str(config_doc_text(arena, default_policy(arena)), "{\"properties\":[],\"caseSensitive\":true}");
	arena_free(arena);
}

static void sources_are_checked(void **state)
{
	static const struct {
		const char *name, *present, *body, *problems, *unknown_node;
	} cases[] = {
	        {.name = "least", .body = "{\"name\":\"s\",\"nodes\":[\"" NODE "\"]}", .problems = ""},
	        {.name = "API",
	                .body = "{\"provider\":\"API\",\"name\":\"s\",\"nodes\":[\"" NODE "\"],\"enabled\":false,"
	                        "\"properties\":{\"allowedIPs\":\"192.0.2.1, 10.0.0.0/8\"}}",
	                .problems = ""},
	        {.name = "Plan",
	                .body = "{\"provider\":\"CONTACTPLAN\",\"name\":\"s\",\"nodes\":[\"" NODE "\"],"
	                        "\"properties\":{\"groupPk\":0,\"exportProducts\":true}}",
	                .problems = ""},
	        {.name = "no longer created",
	                .body = "{\"provider\":\"JavaScript\",\"name\":\"s\",\"nodes\":[\"" NODE "\"]}",
	                .problems = "/provider"},
	        {.name = "unknown provider",
	                .body = "{\"provider\":\"FTP\",\"name\":\"s\",\"nodes\":[\"" NODE "\"]}",
	                .problems = "/provider"},
	        {.name = "nothing", .body = "{}", .problems = "/name"},
	        {.name = "no nodes", .body = "{\"name\":\"s\",\"nodes\":[]}", .problems = "/nodes"},
	        {.name = "types",
	                .body = "{\"name\":7,\"description\":[],\"enabled\":\"x\",\"properties\":7,\"nodes\":{}}",
	                .problems = "/enabled /name /description /properties /nodes"},
	        {.name = "bad addresses",
	                .body = "{\"name\":\"s\",\"nodes\":[\"" NODE
	                        "\"],\"properties\":{\"allowedIPs\":\"300.1.1.1\"}}",
	                .problems = "/properties/allowedIPs"},
	        {.name = "unknown node",
	                .body = "{\"name\":\"s\",\"nodes\":[\"" OTHER "\"]}",
	                .problems = "",
	                .unknown_node = OTHER},
	        {.name = "no UUID", .body = "{\"name\":\"s\",\"nodes\":[\"x\"]}", .problems = "", .unknown_node = "x"},
	        {.name = "put",
	                .present = "{\"provider\":\"JavaScript\"}",
	                .body = "{\"name\":\"s\",\"nodes\":[\"" NODE "\"]}",
	                .problems = ""},
	        {.name = "put of another provider",
	                .present = "{\"provider\":\"JavaScript\"}",
	                .body = "{\"provider\":\"API\",\"name\":\"s\",\"nodes\":[\"" NODE "\"]}",
	                .problems = "/provider"},
	        {.name = "put of another id",
	                .present = "{\"provider\":\"API\"}",
	                .body = "{\"id\":\"" OTHER "\",\"name\":\"s\",\"nodes\":[\"" NODE "\"]}",
	                .problems = "/id"},
	};
	struct config_workspace *workspace = make_workspace();
	struct arena *arena = arena_new(ARENA_BYTES);
	struct uuid id;

	(void)state;
	assert_true(uuid_parse(STR(SOURCE), &id));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct problems problems;
		struct str unknown = STR_NONE;
		problems_init(&problems, arena);
		const struct json *present = cases[i].present ? unit_json(arena, cases[i].present) : NULL;
		check_source(arena, unit_json(arena, cases[i].body), &id, present, workspace, &unknown, &problems);
		const char *found = unit_pointers(arena, &problems);
		if (strcmp(found, cases[i].problems) || !str_eq(unknown, str_of(cases[i].unknown_node)))
			CASE_FAIL(cases[i].name, "\"%s\" is not \"%s\"; node %.*s", found, cases[i].problems,
			        STR_ARG(unknown));
	}
	config_workspace_unref(workspace);
	arena_free(arena);
}

static void workspaces_and_limits_are_checked(void **state)
{
	static const struct {
		const char *name, *body, *workspace, *payload; /* problems of either reading */
	} cases[] = {
	        {.name = "workspace",
	                .body = "{\"name\":\"n\",\"slug\":\"s\",\"groupPk\":7,\"shard\":\"default\"}",
	                .workspace = "",
	                .payload = NULL},
	        {.name = "nothing", .body = "{}", .workspace = "/name /slug /shard /groupPk", .payload = ""},
	        {.name = "unknown shard",
	                .body = "{\"name\":\"n\",\"slug\":\"s\",\"groupPk\":7,\"shard\":\"x\"}",
	                .workspace = "/shard",
	                .payload = NULL},
	        {.name = "group as text",
	                .body = "{\"name\":\"n\",\"slug\":\"s\",\"groupPk\":\"7\",\"shard\":\"default\"}",
	                .workspace = "/groupPk",
	                .payload = NULL},
	        {.name = "sizes",
	                .body = "{\"viewedPage\":{\"maxBytes\":1},\"clickedLink\":{\"maxBytes\":524288}}",
	                .workspace = NULL,
	                .payload = ""},
	        {.name = "wrong sizes",
	                .body = "{\"viewedPage\":{\"maxBytes\":0},\"clickedLink\":{\"maxBytes\":524289},\"loggedIn\":7,"
	                        "\"a/b\":{}}",
	                .workspace = NULL,
	                .payload = "/viewedPage/maxBytes /clickedLink/maxBytes /loggedIn/maxBytes /a~1b"},
	};
	struct arena *arena = arena_new(ARENA_BYTES);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct json *body = unit_json(arena, cases[i].body);
		struct problems problems;
		struct new_workspace fresh;
		problems_init(&problems, arena);
		bool good = check_workspace(body, &fresh, &problems);
		if (cases[i].workspace && strcmp(unit_pointers(arena, &problems), cases[i].workspace))
			CASE_FAIL(cases[i].name, "workspace: %s", unit_pointers(arena, &problems));
		assert_int_equal(good, problems.n == 0);
		problems_init(&problems, arena);
		check_payload_size(arena, body, &problems);
		if (cases[i].payload && strcmp(unit_pointers(arena, &problems), cases[i].payload))
			CASE_FAIL(cases[i].name, "payload: %s", unit_pointers(arena, &problems));
	}
	arena_free(arena);
}

/* Names that are off after one switch. */
static void base_properties_switch_in_groups(void **state)
{
	static const struct {
		const char *before, *name;
		bool enabled;
		const char *after;
	} cases[] = {
	        {.before = "[]", .name = "title", .enabled = false, .after = "[\"title\"]"},
	        {.before = "[\"title\"]", .name = "title", .enabled = true, .after = "[]"},
	        {.before = "[\"title\"]", .name = "prefix", .enabled = true, .after = "[\"title\"]"},
	        {.before = "[]",
	                .name = "credential",
	                .enabled = false,
	                .after = "[\"credential\",\"credential.username\",\"credential.password\"]"},
	        {.before = "[\"credential\",\"credential.username\",\"credential.password\"]",
	                .name = "credential.username",
	                .enabled = true,
	                .after = "[\"credential.password\"]"},
	        {.before = "[\"credential\",\"credential.username\",\"credential.password\"]",
	                .name = "credential",
	                .enabled = true,
	                .after = "[]"},
	        {.before = "[]",
	                .name = "address.geo",
	                .enabled = false,
	                .after = "[\"address.geo\",\"address.geo.lat\",\"address.geo.lon\"]"},
	        {.before = "[\"address.geo\",\"address.geo.lat\",\"address.geo.lon\"]",
	                .name = "address.geo.lat",
	                .enabled = true,
	                .after = "[\"address.geo.lon\"]"},
	};
	struct arena *arena = arena_new(ARENA_BYTES);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct json *after = base_property_switch(
		        arena, unit_json(arena, cases[i].before), str_of(cases[i].name), cases[i].enabled);
		assert_str(config_doc_text(arena, after), cases[i].after);
	}
	assert_null(base_property_find(STR("base.title")));
	assert_null(base_property_find(STR("contacts.")));
	assert_non_null(base_property_find(STR("contacts.email")));
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(paths_of_strings_and_numbers),
	        cmocka_unit_test(nodes_are_checked),
	        cmocka_unit_test(aggregate_nodes_are_checked),
	        cmocka_unit_test(an_aggregate_node_goes_from_new_to_active),
	        cmocka_unit_test(policies_compare_by_paths_and_case),
	        cmocka_unit_test(sources_are_checked),
	        cmocka_unit_test(workspaces_and_limits_are_checked),
	        cmocka_unit_test(base_properties_switch_in_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
