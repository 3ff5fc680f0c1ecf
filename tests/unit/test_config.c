#include "tests/unit/unit.h"

#include "common/arena.h"
#include "common/base_properties.h"
#include "common/config_doc.h"
#include "common/json.h"
#include "gateway/config.h"
#include "gateway/key_map.h"
#include "gateway/route.h"
#include "tests/unit/parts.h"

#include <endian.h>

#define ARENA_BYTES ((size_t)64 * 1024 * 1024)
#define W1 "01964d7e-0000-7000-8000-000000000001"
#define W2 "01964d7e-0000-7000-8000-000000000002"
#define NOBODY "00000000-0000-0000-0000-000000000000"
#define N1 "01964d7e-0000-7000-8000-0000000000a1"
#define N2 "01964d7e-0000-7000-8000-0000000000a2"
#define S1 "01964d7e-0000-7000-8000-0000000000b1"
#define HASH_A "00000000000000000000000000000000000000000000000000000000000000aa"
#define HASH_B "00000000000000000000000000000000000000000000000000000000000000bb"

struct row {
	const char *workspace, *kind, *id, *doc;
	int64_t version, created_us;
};

static void set_bytes(PGresult *result, int row, int column, const void *bytes, size_t n)
{
	assert_true(PQsetvalue(result, row, column, (char *)bytes, (int)n));
}

static void set_i64(PGresult *result, int row, int column, int64_t value)
{
	uint64_t wire = htobe64((uint64_t)value);

	set_bytes(result, row, column, &wire, sizeof(wire));
}

/* Rows as the table gives them, with seq counting from first_seq. */
static void apply(struct config *config, const struct row *rows, size_t n, int64_t first_seq)
{
	static char names[8][12] = {"workspace", "kind", "id", "version", "seq", "created", "updated", "doc"};
	PGresAttDesc columns[8];
	PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	struct err err = {0};

	for (int i = 0; i < 8; i++)
		columns[i] = (PGresAttDesc){.name = names[i], .format = 1};
	assert_true(PQsetResultAttrs(result, 8, columns));
	for (size_t i = 0; i < n; i++) {
		struct uuid id;
		assert_true(uuid_parse(str_of(rows[i].workspace), &id));
		set_bytes(result, (int)i, 0, &id, sizeof(id));
		set_bytes(result, (int)i, 1, rows[i].kind, strlen(rows[i].kind));
		set_bytes(result, (int)i, 2, rows[i].id, strlen(rows[i].id));
		set_i64(result, (int)i, 3, rows[i].version);
		set_i64(result, (int)i, 4, first_seq + (int64_t)i);
		set_i64(result, (int)i, 5, rows[i].created_us);
		set_i64(result, (int)i, 6, rows[i].created_us);
		set_bytes(result, (int)i, 7, rows[i].doc, strlen(rows[i].doc));
	}
	if (!config_apply(config, result, &err))
		fail_msg("%s", err.message);
	PQclear(result);
}

static const struct row first_rows[] = {
        {W2, "workspace", "", "{\"name\":\"Two\",\"status\":\"SUSPENDED\",\"partition\":2,\"groupPk\":1}", 1, 200},
        {W1, "workspace", "", "{\"name\":\"One\",\"status\":\"ENABLED\",\"partition\":5,\"groupPk\":1}", 1, 100},
        {W1, "node", N2,
                "{\"id\":\"" N2 "\",\"nodeType\":\"ENTRY\",\"name\":\"Second\",\"uniqueCustomer\":{\"properties\":[],"
                "\"caseSensitive\":false},\"mandatoryProperties\":[]}",
                1, 120},
        {W1, "node", N1,
                "{\"id\":\"" N1 "\",\"nodeType\":\"ENTRY\",\"name\":\"First\",\"uniqueCustomer\":{\"properties\":"
                "[\"externalId\",\"base.dob\"],\"caseSensitive\":true},\"mandatoryProperties\":[\"base.contacts."
                "email\"]}",
                3, 110},
        {W1, "source", S1,
                "{\"id\":\"" S1 "\",\"provider\":\"API\",\"enabled\":true,\"nodes\":[\"" N1
                "\"],\"tokenSha256\":\"" HASH_A "\",\"properties\":{\"allowedIPs\":\"192.0.2.1\"}}",
                1, 130},
        {NOBODY, "user", "2",
                "{\"roles\":[\"USER\",\"GUEST\",\"TRUSTED_APPLICATION\"],\"allWorkspaces\":false,\"workspaces\":[{"
                "\"id\":\"" W1 "\",\"nodes\":[{\"id\":\"" N1 "\",\"permission\":\"W\"}]}]}",
                1, 140},
        {NOBODY, "user", "1", "{\"roles\":[\"ADMIN\"],\"allWorkspaces\":true,\"workspaces\":[]}", 1, 150},
};

static struct config *make_config(void)
{
	struct config *config = config_new();

	apply(config, first_rows, ARRAY_LEN(first_rows), 1);
	return config;
}

static struct uuid id_of(const char *text)
{
	struct uuid id;

	assert_true(uuid_parse(str_of(text), &id));
	return id;
}

static struct config_workspace *find(struct config *config, const char *id)
{
	struct uuid workspace = id_of(id);

	return config_workspace_find(config, &workspace);
}

static void documents_are_compiled(void **state)
{
	struct config *config = make_config();
	struct config_workspace *one = find(config, W1);
	struct uuid n1 = id_of(N1), n2 = id_of(N2), s1 = id_of(S1);

	(void)state;
	assert_int_equal(config_seq(config), ARRAY_LEN(first_rows));
	assert_int_equal(config_workspace_partition(one), 5);
	assert_int_equal(config_workspace_status(one), WORKSPACE_ENABLED);
	assert_int_equal(config_workspace_status(find(config, W2)), WORKSPACE_SUSPENDED);
	assert_null(find(config, N1));
	assert_int_equal(config_node_count(one), 2);
	const struct config_node *node = config_node_at(one, 0);
	assert_true(uuid_eq(&node->id, &n1));
	assert_str(node->name, "First");
	assert_true(node->case_sensitive);
	assert_int_equal(node->n_unique, 2);
	assert_str(node->unique[1], "base.dob");
	assert_int_equal(node->n_mandatory, 1);
	assert_ptr_equal(config_node_find(one, &n2), config_node_at(one, 1));
	const struct config_source *source = config_source_find(one, &s1);
	assert_true(source->trusted && source->enabled);
	assert_true(config_source_on_node(source, &n1));
	assert_false(config_source_on_node(source, &n2));
	assert_str(source->allowed_ips, "192.0.2.1");
	assert_int_equal(config_document_version(one, CONFIG_NODE, STR(N1)), 3);
	assert_int_equal(config_document_version(one, CONFIG_NODE, STR("x")), CONFIG_NEW);
	config_free(config);
}

static void workspaces_stand_in_order_of_creation(void **state)
{
	struct config *config = make_config();

	(void)state;
	assert_int_equal(config_workspace_count(config), 2);
	assert_ptr_equal(config_workspace_at(config, 0), find(config, W1));
	assert_ptr_equal(config_workspace_at(config, 1), find(config, W2));
	config_free(config);
}

static void users_have_roles_and_nodes(void **state)
{
	struct config *config = make_config();
	const struct config_workspace *one = find(config, W1), *two = find(config, W2);
	const struct config_user *admin = config_user_find(config, 1), *user = config_user_find(config, 2);
	struct uuid n1 = id_of(N1), n2 = id_of(N2);

	(void)state;
	assert_null(config_user_find(config, 3));
	assert_int_equal(admin->roles, ROLE_ADMIN);
	assert_int_equal(user->roles, ROLE_USER | ROLE_GUEST);
	assert_true(config_user_in_workspace(admin, two));
	assert_true(config_user_in_workspace(user, one));
	assert_false(config_user_in_workspace(user, two));
	assert_int_equal(config_user_permission(admin, one, &n2), PERMISSION_READ_WRITE);
	assert_int_equal(config_user_permission(user, one, &n1), PERMISSION_WRITE);
	assert_int_equal(config_user_permission(user, one, &n2), PERMISSION_NONE);
	config_free(config);
}

/* A request that began before a change keeps what it began with; the token table follows at once. */
static void a_change_replaces_the_entry(void **state)
{
	static const struct row rows[] = {
	        {W1, "source", S1,
	                "{\"id\":\"" S1
	                "\",\"provider\":\"JavaScript\",\"enabled\":false,\"nodes\":[],\"tokenSha256\":\"" HASH_B "\"}",
	                2, 130},
	        {NOBODY, "user", "3", "{\"roles\":[]}", 1, 300},
	};
	uint8_t a[32] = {[31] = 0xaa}, b[32] = {[31] = 0xbb};
	struct config *config = make_config();
	struct config_workspace *before = config_workspace_ref(find(config, W1)), *owner = NULL;
	struct uuid s1 = id_of(S1);

	(void)state;
	assert_ptr_equal(config_source_by_token(config, a, &owner), config_source_find(before, &s1));
	assert_ptr_equal(owner, before);
	apply(config, rows, ARRAY_LEN(rows), 20);
	assert_int_equal(config_seq(config), 21);
	assert_null(config_source_by_token(config, a, &owner));
	const struct config_source *source = config_source_by_token(config, b, &owner);
	assert_ptr_equal(owner, find(config, W1));
	assert_ptr_not_equal(owner, before);
	assert_false(source->trusted || source->enabled);
	assert_false(source->allowed_ips.p != NULL);
	assert_true(config_source_find(before, &s1)->enabled);
	assert_int_equal(config_node_count(owner), 2);
	assert_non_null(config_user_find(config, 1));
	assert_non_null(config_user_find(config, 3));
	config_workspace_unref(before);
	config_free(config);
}

static const char *first_problem(struct arena *arena, const struct schema *schema, const char *value)
{
	struct problems problems;

	problems_init(&problems, arena);
	schema_validate(schema, unit_json(arena, value), STR(""), &problems);
	return problems.n ? problems.items[0].path.p : "";
}

static void defaults_are_open(void **state)
{
	struct config *config = make_config();
	struct config_workspace *one = find(config, W1);
	struct arena *arena = arena_new(ARENA_BYTES);

	(void)state;
	assert_true(config_event_type_enabled(one, STR("completedOrder")));
	assert_false(config_event_type_enabled(one, STR("noSuchEvent")));
	assert_false(base_property_is_disabled(config_disabled_base_properties(one), STR("contacts.email")));
	assert_int_equal(config_max_requests_per_minute(one), 0);
	assert_int_equal(config_max_event_bytes(one, STR("viewedPage")), 65535);
	assert_null(config_extended(one, STR("customer")));
	/* nothing of its own: one compiled schema serves all workspaces */
	assert_ptr_equal(config_customer_schema(one), config_customer_schema(find(config, W2)));
	assert_ptr_equal(
	        config_event_schema(one, STR("viewedPage")), config_event_schema(find(config, W2), STR("viewedPage")));
	assert_non_null(config_context_schema(one, STR("WEB")));
	assert_null(config_context_schema(one, STR("MOON")));
	assert_string_equal(
	        first_problem(arena, config_customer_schema(one), "{\"nodeId\":\"" N1 "\",\"extended\":{\"a\":1}}"),
	        "/extended/a");
	arena_free(arena);
	config_free(config);
}

static const struct row own_rows[] = {
        {W1, "extended", "customer", "{\"size\":{\"type\":\"number\"}}", 1, 400},
        {W1, "extended", "event:viewedPage", "{\"depth\":{\"type\":\"integer\"}}", 1, 401},
        {W1, "extended", "product", "{\"color\":{\"type\":\"string\"}}", 1, 402},
        {W1, "base-properties", "",
                "{\"disabled\":[\"title\",\"jobs\",\"credential\",\"credential.username\",\"credential.password\","
                "\"address.geo.lat\"]}",
                1, 403},
        {W1, "event-type", "clickedLink", "{\"enabled\":false}", 1, 404},
        {W1, "throttling", "", "{\"maxRequestsPerMinute\":60}", 1, 405},
        {W1, "payload-size", "", "{\"viewedPage\":{\"maxBytes\":1000}}", 1, 406},
};

static void own_settings_count(void **state)
{
	static const struct {
		const char *schema, *value, *problem;
	} cases[] = {
	        {"customer", "{\"nodeId\":\"" N1 "\",\"extended\":{\"size\":4.5}}", ""},
	        {"customer", "{\"nodeId\":\"" N1 "\",\"extended\":{\"size\":null}}", ""},
	        {"customer", "{\"nodeId\":\"" N1 "\",\"extended\":{\"size\":\"4\"}}", "/extended/size"},
	        {"customer", "{\"nodeId\":\"" N1 "\",\"extended\":{\"depth\":4}}", "/extended/depth"},
	        {"customer", "{\"nodeId\":\"" N1 "\",\"base\":{\"title\":\"Dr\"}}", "/base/title"},
	        {"customer", "{\"nodeId\":\"" N1 "\",\"base\":{\"title\":null,\"jobs\":[],\"credential\":null}}", ""},
	        {"customer", "{\"nodeId\":\"" N1 "\",\"base\":{\"credential\":{\"username\":null}}}", ""},
	        {"customer", "{\"nodeId\":\"" N1 "\",\"base\":{\"credential\":{\"username\":\"x\"}}}",
	                "/base/credential/username"},
	        {"customer", "{\"nodeId\":\"" N1 "\",\"base\":{\"jobs\":[{\"id\":\"1\"}]}}", "/base/jobs"},
	        {"customer",
	                "{\"nodeId\":\"" N1
	                "\",\"base\":{\"address\":{\"city\":\"Rome\",\"geo\":{\"lat\":1,\"lon\":2}}}}",
	                "/base/address/geo"},
	        {"customer", "{\"nodeId\":\"" N1 "\",\"base\":{\"address\":{\"city\":\"Rome\",\"geo\":null}}}", ""},
	        {"viewedPage", "{\"extended\":{\"depth\":3}}", ""},
	        {"viewedPage", "{\"extended\":{\"size\":3}}", "/extended/size"},
	        {"loggedIn", "{\"extended\":{\"depth\":3}}", "/extended/depth"},
	        {"completedOrder", "{\"products\":[{\"extended\":{\"color\":\"red\"}}]}", ""},
	        {"abandonedCart", "{\"products\":[{\"extended\":{\"depth\":1}}]}", "/products/0/extended/depth"},
	};
	struct config *config = make_config();
	struct arena *arena = arena_new(ARENA_BYTES);

	(void)state;
	apply(config, own_rows, ARRAY_LEN(own_rows), 30);
	struct config_workspace *one = find(config, W1);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct schema *schema = strcmp(cases[i].schema, "customer")
		                                      ? config_event_schema(one, str_of(cases[i].schema))
		                                      : config_customer_schema(one);
		const char *problem = first_problem(arena, schema, cases[i].value);
		if (!*cases[i].problem ? strstr(problem, "extended") != NULL || strstr(problem, "base")
		                       : strcmp(problem, cases[i].problem))
			CASE_FAIL(cases[i].value, "\"%s\" is not \"%s\"", problem, cases[i].problem);
	}
	assert_false(config_event_type_enabled(one, STR("clickedLink")));
	assert_int_equal(config_max_requests_per_minute(one), 60);
	assert_int_equal(config_max_event_bytes(one, STR("viewedPage")), 1000);
	assert_int_equal(config_max_event_bytes(one, STR("loggedIn")), 65535);
	assert_true(base_property_is_disabled(config_disabled_base_properties(one), STR("credential.username")));
	assert_false(base_property_is_disabled(config_disabled_base_properties(one), STR("prefix")));
	arena_free(arena);
	config_free(config);
}

static void served_schemas_show_declared_properties(void **state)
{
	struct config *config = make_config();
	struct arena *arena = arena_new(ARENA_BYTES);

	(void)state;
	apply(config, own_rows, ARRAY_LEN(own_rows), 30);
	const struct config_workspace *one = find(config, W1);
	const struct json *customer = config_served_customer_schema(arena, one, false);
	assert_str(json_text(json_path(customer, STR("properties.extended.properties.size.type"))), "number");
	assert_true(json_is(
	        json_path(customer, STR("properties.base.properties.title.contactlabProperties.enabled")), JSON_FALSE));
	assert_true(json_is(
	        json_path(customer, STR("properties.base.properties.prefix.contactlabProperties.enabled")), JSON_TRUE));
	struct str kept = config_doc_text(arena, customer);
	assert_non_null(strstr(arena_str(arena, kept).p, "$ref"));
	assert_null(strstr(arena_str(arena, kept).p, "extended.json"));
	struct str resolved =
	        config_doc_text(arena, config_served_event_schema(arena, one, STR("completedOrder"), true));
	assert_null(strstr(arena_str(arena, resolved).p, "$ref"));
	assert_non_null(strstr(arena_str(arena, resolved).p, "\"color\""));
	arena_free(arena);
	config_free(config);
}

static void the_map_finds_what_was_put(void **state)
{
	enum { N = 5000 };
	static int values[N];
	struct key_map *map = key_map_new(sizeof(int));

	(void)state;
	for (int i = 0; i < N; i++)
		key_map_put(map, &i, &values[i]);
	for (int i = 0; i < N; i += 3)
		assert_ptr_equal(key_map_remove(map, &i), &values[i]);
	for (int i = 0; i < N; i++)
		assert_ptr_equal(key_map_get(map, &i), i % 3 ? &values[i] : NULL);
	assert_int_equal(key_map_count(map), N - (N + 2) / 3);
	int absent = -1;
	assert_null(key_map_remove(map, &absent));
	key_map_free(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(documents_are_compiled),
	        cmocka_unit_test(workspaces_stand_in_order_of_creation),
	        cmocka_unit_test(users_have_roles_and_nodes),
	        cmocka_unit_test(a_change_replaces_the_entry),
	        cmocka_unit_test(defaults_are_open),
	        cmocka_unit_test(own_settings_count),
	        cmocka_unit_test(served_schemas_show_declared_properties),
	        cmocka_unit_test(the_map_finds_what_was_put),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
