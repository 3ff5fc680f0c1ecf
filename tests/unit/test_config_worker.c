#include "tests/unit/unit.h"

#include "common/arena.h"
#include "workers/configuration/changes.h"
#include "workers/configuration/rules.h"

#define ARENA_BYTES ((size_t)1024 * 1024)

static const struct uuid home = {{1}}, elsewhere = {{2}};

/* A batch of commands on the home workspace (which is there, in partition 3, unless stated) after seq 10. */
static void batches_are_decided(void **state)
{
	enum { MOST = 4 };
	static const struct {
		const char *name;
		bool homeless;
		struct {
			const char *text; /* NULL: CONFIG_EMPTY */
			enum err_code refused;
			int64_t seq, version;
			bool last;
		} commands[MOST];
	} cases[] = {
	        {.name = "a new document", .commands = {{.text = "node/a#0", .seq = 11, .version = 1, .last = true}}},
	        {.name = "the next version",
	                .commands = {{.text = "node/present#5", .seq = 11, .version = 6, .last = true}}},
	        {.name = "whatever version",
	                .commands = {{.text = "node/present", .seq = 11, .version = 6, .last = true}}},
	        {.name = "an old version", .commands = {{.text = "node/present#4", .refused = ERR_CONFLICT}}},
	        {.name = "exists already", .commands = {{.text = "node/present#0", .refused = ERR_CONFLICT}}},
	        {.name = "is not there", .commands = {{.text = "node/a#1", .refused = ERR_CONFLICT}}},
	        {.name = "one after the other",
	                .commands = {{.text = "node/present#5", .seq = 11, .version = 6},
	                        {.text = "node/present#6", .seq = 12, .version = 7, .last = true}}},
	        {.name = "two at once: the first one wins",
	                .commands = {{.text = "node/present#5", .seq = 11, .version = 6, .last = true},
	                        {.text = "node/present#5", .refused = ERR_CONFLICT},
	                        {.text = "throttling/", .seq = 12, .version = 1, .last = true}}},
	        {.name = "kinds do not mix",
	                .commands = {{.text = "node/a#0", .seq = 11, .version = 1, .last = true},
	                        {.text = "source/a#0", .seq = 12, .version = 1, .last = true}}},
	        {.name = "emptying takes a seq",
	                .commands = {{.text = NULL, .seq = 11},
	                        {.text = "node/a", .seq = 12, .version = 1, .last = true}}},
	        {.name = "no workspace",
	                .homeless = true,
	                .commands = {{.text = "node/a#0", .refused = ERR_NOT_FOUND},
	                        {.text = NULL, .refused = ERR_NOT_FOUND}}},
	        {.name = "a workspace, then its node",
	                .homeless = true,
	                .commands = {{.text = "workspace/#0", .seq = 11, .version = 1, .last = true},
	                        {.text = "node/a#0", .seq = 12, .version = 1, .last = true}}},
	        {.name = "users have no workspace",
	                .homeless = true,
	                .commands = {{.text = "user/1#0", .seq = 11, .version = 1, .last = true}}},
	};
	struct arena *arena = arena_new(ARENA_BYTES);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct command commands[MOST];
		struct changes changes;
		size_t n = 0;
		changes_init(&changes, arena, MOST);
		for (; n < MOST && (cases[i].commands[n].seq || cases[i].commands[n].refused); n++) {
			struct err err = {0};
			const char *text = cases[i].commands[n].text;
			commands[n] = (struct command){.type = text ? COMMAND_CONFIG_PUT : COMMAND_CONFIG_EMPTY,
			        .workspace = home,
			        .text = str_of(text),
			        .body = STR("{\"partition\":3}")};
			assert_true(changes_add(&changes, &commands[n], &err));
		}
		changes_know_version(&changes, &elsewhere, STR("node"), STR("a"), 9);
		changes_know_version(&changes, &home, STR("node"), STR("present"), 5);
		if (!cases[i].homeless)
			changes_know_workspace(&changes, &home, 3);
		int64_t seq = changes_decide(&changes, 10), expected = 10;
		for (size_t j = 0; j < n; j++) {
			const struct change *change = &changes.items[j];
			expected += change->refused == ERR_NONE;
			if (change->refused != cases[i].commands[j].refused ||
			        change->seq != cases[i].commands[j].seq ||
			        change->version != cases[i].commands[j].version ||
			        change->last != cases[i].commands[j].last)
				CASE_FAIL(cases[i].name, "command %zu: refused %d seq %lld version %lld last %d", j,
				        change->refused, (long long)change->seq, (long long)change->version,
				        change->last);
			if (!change->refused && change->command->text.p &&
			        !str_starts(change->command->text, STR("user")))
				assert_int_equal(changes_partition(&changes, &home), 3);
		}
		assert_int_equal(seq, expected);
	}
	arena_free(arena);
}

/* Where a batch ends must not show: a document made and changed in one was made when its first command says. */
static void documents_are_made_by_their_first_command(void **state)
{
	struct arena *arena = arena_new(ARENA_BYTES);
	struct command commands[] = {
	        {.type = COMMAND_CONFIG_PUT,
	                .workspace = home,
	                .text = STR("node/a#0"),
	                .body = STR("{}"),
	                .time_us = 7},
	        {.type = COMMAND_CONFIG_PUT,
	                .workspace = home,
	                .text = STR("node/b#0"),
	                .body = STR("{}"),
	                .time_us = 8},
	        {.type = COMMAND_CONFIG_PUT,
	                .workspace = home,
	                .text = STR("node/a#1"),
	                .body = STR("{}"),
	                .time_us = 9},
	        {.type = COMMAND_CONFIG_PUT,
	                .workspace = home,
	                .text = STR("node/a#2"),
	                .body = STR("{}"),
	                .time_us = 10},
	};
	static const int64_t created[] = {7, 8, 7, 7};
	struct changes changes;
	struct err err = {0};

	(void)state;
	changes_init(&changes, arena, ARRAY_LEN(commands));
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		assert_true(changes_add(&changes, &commands[i], &err));
	changes_know_workspace(&changes, &home, 3);
	assert_int_equal(changes_decide(&changes, 0), ARRAY_LEN(commands));
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		assert_int_equal(changes.items[i].created_us, created[i]);
	arena_free(arena);
}

static void strangers_are_no_commands(void **state)
{
	static const struct command cases[] = {{.type = COMMAND_CUSTOMER_POST}, {.type = COMMAND_CONFIG_PUT},
	        {.type = COMMAND_CONFIG_PUT, .text = {"x/y", 3}}};
	struct arena *arena = arena_new(ARENA_BYTES);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct command command = cases[i];
		struct changes changes;
		struct err err = {0};
		changes_init(&changes, arena, 1);
		assert_false(changes_add(&changes, &command, &err));
		assert_int_equal(err.code, ERR_INVALID);
		assert_int_equal(changes.n, 0);
	}
	arena_free(arena);
}

static const struct command original = {.type = COMMAND_CONFIG_PUT,
        .flags = COMMAND_KEYED,
        .time_us = 1234,
        .id = {{7}},
        .workspace = {{1}},
        .entity = {{9}},
        .source = {{4}},
        .user = 12,
        .fingerprint = 99,
        .reply = {.partition = 2, .boot = 5, .request = 6},
        .text = {"node/x#0", 8},
        .body = {"{}", 2}};

/* The rule of a node is not the command: it must not look like a repeat of it, and nobody waits for it. */
static void rules_of_a_node_are_their_own_command(void **state)
{
	struct arena *arena = arena_new(ARENA_BYTES);
	struct command rule;

	(void)state;
	rule_make(arena, &original, TOPIC_CUSTOMER_COMMANDS, 41, &rule);
	assert_int_equal(rule.type, COMMAND_NODE_RULES);
	assert_str(rule.text, "41");
	assert_str(rule.body, "{}");
	assert_true(uuid_eq(&rule.node, &original.entity));
	assert_true(uuid_eq(&rule.workspace, &original.workspace));
	assert_false(uuid_eq(&rule.id, &original.id));
	assert_int_equal(rule.flags, 0);
	assert_int_equal(rule.fingerprint, 0);
	assert_int_equal(rule.reply.boot, 0);
	assert_int_equal(rule.time_us, 1234);
	rule_make(arena, &original, TOPIC_CHANGES, 41, &rule);
	assert_int_equal(rule.type, COMMAND_AGGREGATE_RULES);
	assert_str(rule.text, "41");
	assert_true(uuid_eq(&rule.node, &original.entity));
	assert_int_equal(rule.reply.boot, 0);
	arena_free(arena);
}

static void rules_go_to_those_who_work_by_them(void **state)
{
	static const struct {
		const char *name, *kind, *body;
		bool empty, has_rule;
		enum topic topic;
	} cases[] = {
	        {.name = "entry node", .kind = "node", .body = "{\"nodeType\":\"ENTRY\"}", .has_rule = true},
	        {.name = "node of no type", .kind = "node", .body = "{}", .has_rule = true},
	        {.name = "aggregate node",
	                .kind = "node",
	                .body = "{\"nodeType\":\"AGGREGATE\"}",
	                .has_rule = true,
	                .topic = TOPIC_CHANGES},
	        {.name = "no JSON", .kind = "node", .body = "{\"nodeType\":", .has_rule = true},
	        {.name = "emptying", .kind = "", .body = "{}", .empty = true, .has_rule = true},
	        {.name = "source", .kind = "source", .body = "{\"nodeType\":\"AGGREGATE\"}"},
	};
	struct arena *arena = arena_new(ARENA_BYTES);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct command command = original;
		enum topic topic;
		command.type = cases[i].empty ? COMMAND_CONFIG_EMPTY : COMMAND_CONFIG_PUT;
		command.body = str_of(cases[i].body);
		bool has_rule = rule_topic(arena, &command, str_of(cases[i].kind), &topic);
		if (has_rule != cases[i].has_rule || (has_rule && topic != cases[i].topic))
			CASE_FAIL(cases[i].name, "%d, %d", has_rule, topic);
	}
	arena_free(arena);
}

/* customer-merge answers who asked to empty a node. */
static void emptying_keeps_the_callers_address(void **state)
{
	struct arena *arena = arena_new(ARENA_BYTES);
	struct command empty = original, rule;

	(void)state;
	empty.type = COMMAND_CONFIG_EMPTY;
	empty.node = original.entity;
	rule_make(arena, &empty, TOPIC_CUSTOMER_COMMANDS, 42, &rule);
	assert_int_equal(rule.type, COMMAND_NODE_EMPTY);
	assert_str(rule.text, "42");
	assert_true(uuid_eq(&rule.id, &original.id));
	assert_true(uuid_eq(&rule.node, &original.entity));
	assert_int_equal(rule.flags, COMMAND_KEYED);
	assert_int_equal(rule.fingerprint, 99);
	assert_int_equal(rule.reply.boot, 5);
	assert_int_equal(rule.reply.request, 6);
	assert_int_equal(rule.reply.partition, 2);
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(batches_are_decided),
	        cmocka_unit_test(documents_are_made_by_their_first_command),
	        cmocka_unit_test(strangers_are_no_commands),
	        cmocka_unit_test(rules_of_a_node_are_their_own_command),
	        cmocka_unit_test(rules_go_to_those_who_work_by_them),
	        cmocka_unit_test(emptying_keeps_the_callers_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
