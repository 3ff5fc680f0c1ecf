/* The configuration worker and the operator's tool on real Kafka and PostgreSQL. */

#include "common/arena.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/config_doc.h"
#include "common/json.h"
#include "deploy/ctl/migrate.h"
#include "deploy/ctl/statements.h"
#include "tests/component/component.h"
#include "workers/configuration/configuration.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_TRIES 600
#define WAIT_US 50000

struct fixture {
	struct component *component;
	struct kafka_producer *producer;
	struct arena *arena;
	struct uuid workspace;
	uint32_t partition;
	pid_t worker; /* 0 = none runs */
};

static void on_delivered(void *context, void *opaque, const struct kafka_delivery *delivery)
{
	(void)context, (void)opaque;
	assert_int_equal(delivery->error, RD_KAFKA_RESP_ERR_NO_ERROR);
}

/* A process of its own, by exec: librdkafka's threads and locks do not survive a fork. */
static void start_worker(struct fixture *fixture)
{
	pid_t pid = fork();

	if (pid == 0) {
		execl("/proc/self/exe", "configuration", "worker", (char *)NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	fixture->worker = pid;
}

static void stop_worker(struct fixture *fixture, int signal_number)
{
	int status;

	if (!fixture->worker)
		return;
	kill(fixture->worker, signal_number);
	assert_int_equal(waitpid(fixture->worker, &status, 0), fixture->worker);
	fixture->worker = 0;
}

static void send_bytes(struct fixture *fixture, struct str record)
{
	struct err err = {0};

	assert_true(
	        kafka_send(fixture->producer, TOPIC_CONFIG_COMMANDS, fixture->partition, NULL, record, fixture, &err));
	assert_true(kafka_producer_flush(fixture->producer, 20000));
}

static struct uuid send_command(struct fixture *fixture, struct command *command)
{
	struct buf record;

	command->time_us = clock_wall_us();
	command->workspace = fixture->workspace;
	if (uuid_is_nil(&command->id))
		command->id = uuid_v7(command->time_us);
	buf_init(&record, fixture->arena, 512);
	command_encode(&record, command);
	send_bytes(fixture, buf_str(&record));
	return command->id;
}

static struct uuid put(struct fixture *fixture, const char *text, const struct uuid *entity, const char *body)
{
	struct command command = {.type = COMMAND_CONFIG_PUT, .text = str_of(text), .body = str_of(body)};

	if (entity)
		command.entity = *entity;
	return send_command(fixture, &command);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	fixture->component = component_open();
	fixture->producer =
	        kafka_producer_new(component_settings(fixture->component), KAFKA_SEND_AT_ONCE, on_delivered, fixture);
	fixture->arena = arena_new(64 * 1024 * 1024);
	fixture->workspace = uuid_v7(clock_wall_us());
	fixture->partition = 1;
	put(fixture, "workspace/#0", NULL, "{\"name\":\"Shop\",\"partition\":1}");
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	stop_worker(fixture, SIGTERM);
	arena_free(fixture->arena);
	component_close(fixture->component);
	free(fixture);
	return 0;
}

/* Waits for the outcome and gives its status. */
static long long status_of(struct fixture *fixture, const struct uuid *command)
{
	const char *id = config_id_text(fixture->arena, command).p;
	long long status = 0;

	for (int i = 0; i < WAIT_TRIES && !status; i++, usleep(WAIT_US))
		status = component_numberf(fixture->component,
		        "SELECT coalesce(max(status), 0) FROM command_results WHERE command_id = '%s'", id);
	return status;
}

/* All records of a partition, in order. */
static size_t read_records(
        struct fixture *fixture, enum topic role, uint32_t partition, struct command *commands, size_t most)
{
	const struct settings *settings = component_settings(fixture->component);
	rd_kafka_t *consumer = kafka_consumer_new(settings, "test-rules", NULL, 0, NULL, NULL);
	rd_kafka_topic_partition_list_t *places = rd_kafka_topic_partition_list_new(1);
	int64_t low, high, next = 0;
	char topic[256];
	size_t n = 0;

	topic_name(settings, role, topic);
	rd_kafka_topic_partition_list_add(places, topic, (int32_t)partition)->offset = 0;
	assert_int_equal(rd_kafka_assign(consumer, places), RD_KAFKA_RESP_ERR_NO_ERROR);
	assert_int_equal(rd_kafka_query_watermark_offsets(consumer, topic, (int32_t)partition, &low, &high, 10000),
	        RD_KAFKA_RESP_ERR_NO_ERROR);
	while (next < high && n < most) {
		rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 10000);
		struct err err = {0};
		assert_non_null(message);
		assert_int_equal(message->err, RD_KAFKA_RESP_ERR_NO_ERROR);
		struct str record = arena_str(fixture->arena, (struct str){message->payload, message->len});
		assert_true(command_decode(record, &commands[n++], &err));
		next = message->offset + 1;
		rd_kafka_message_destroy(message);
	}
	rd_kafka_topic_partition_list_destroy(places);
	/* not destroyed: closing may hang in librdkafka 2.0.2 */
	return n;
}

/* All records of customer-commands in the workspace's partition. */
static size_t read_rules(struct fixture *fixture, struct command *commands, size_t most)
{
	return read_records(fixture, TOPIC_CUSTOMER_COMMANDS, fixture->partition, commands, most);
}

/* --- tests -----------------------------------------------------------------------------------------------------------
 */

static void documents_have_versions_and_a_gapless_seq(void **state)
{
	struct fixture *fixture = *state;

	start_worker(fixture);
	struct uuid first = put(fixture, "throttling/#0", NULL, "{\"maxRequestsPerMinute\":1}");
	struct uuid second = put(fixture, "throttling/#1", NULL, "{\"maxRequestsPerMinute\":2}");
	struct uuid late = put(fixture, "throttling/#1", NULL, "{\"maxRequestsPerMinute\":3}");
	struct uuid any = put(fixture, "event-type/viewedPage", NULL, "{\"enabled\":false}");

	assert_int_equal(status_of(fixture, &any), 200);
	assert_int_equal(status_of(fixture, &first), 200);
	assert_int_equal(status_of(fixture, &second), 200);
	assert_int_equal(status_of(fixture, &late), 409);
	struct component *c = fixture->component;
	assert_int_equal(component_number(c, "SELECT version FROM configuration WHERE kind = 'throttling'"), 2);
	assert_int_equal(
	        component_number(
	                c, "SELECT (doc->>'maxRequestsPerMinute')::int FROM configuration WHERE kind = 'throttling'"),
	        2);
	/* workspace, two of throttling, one event type */
	assert_int_equal(component_number(c, "SELECT seq FROM configuration_head"), 4);
	assert_int_equal(component_number(c, "SELECT count(*) FROM configuration WHERE seq > 4"), 0);
}

static void a_document_of_no_workspace_is_refused(void **state)
{
	struct fixture *fixture = *state;

	start_worker(fixture);
	fixture->workspace = uuid_v7(clock_wall_us());
	struct uuid lost = put(fixture, "throttling/", NULL, "{}");
	assert_int_equal(status_of(fixture, &lost), 404);
}

/* Whoever has the answer finds the rule in front of everything that is sent afterwards. */
static void a_node_is_answered_when_its_rule_is_in_the_log(void **state)
{
	enum { MOST = 16 };
	struct fixture *fixture = *state;
	struct uuid node = uuid_v7(clock_wall_us());
	struct command rules[MOST];

	start_worker(fixture);
	char *text = arena_printf(fixture->arena, "node/%s#0", config_id_text(fixture->arena, &node).p);
	struct uuid made = put(fixture, text, &node, "{\"name\":\"n\"}");

	assert_int_equal(status_of(fixture, &made), 200);
	assert_int_equal(read_rules(fixture, rules, MOST), 1);
	assert_int_equal(rules[0].type, COMMAND_NODE_RULES);
	assert_true(uuid_eq(&rules[0].node, &node));
	assert_int_equal(str_is(rules[0].text, "2"), true);
	assert_int_equal(str_is(rules[0].body, "{\"name\":\"n\"}"), true);
	assert_int_equal(component_number(fixture->component, "SELECT count(*) FROM rule_outbox"), 0);
	struct command empty = {
	        .type = COMMAND_CONFIG_EMPTY, .node = node, .entity = node, .body = STR("{\"eventsOnly\":true}")};
	struct uuid asked = send_command(fixture, &empty);
	for (int i = 0; i < WAIT_TRIES && read_rules(fixture, rules, MOST) < 2; i++)
		usleep(WAIT_US);
	assert_int_equal(rules[1].type, COMMAND_NODE_EMPTY);
	assert_true(uuid_eq(&rules[1].id, &asked));
	/* customer-merge answers that one */
	assert_int_equal(component_number(fixture->component, "SELECT count(*) FROM command_results"), 2);
}

/* Whoever makes the profiles works by facts: the rule stands among them, where the facts of the workspace do. */
static void the_rule_of_an_aggregate_node_is_among_the_facts(void **state)
{
	enum { MOST = 16 };
	static const char doc[] = "{\"nodeType\":\"AGGREGATE\",\"state\":\"ACTIVE\"}";
	struct fixture *fixture = *state;
	struct uuid node = uuid_v7(clock_wall_us());
	uint32_t n = kafka_partition_count(fixture->producer, TOPIC_CHANGES, 10000);
	struct command rules[MOST];

	start_worker(fixture);
	char *text = arena_printf(fixture->arena, "node/%s#0", config_id_text(fixture->arena, &node).p);
	struct uuid made = put(fixture, text, &node, doc);

	assert_int_equal(status_of(fixture, &made), 200);
	assert_int_equal(
	        read_records(fixture, TOPIC_CHANGES, workspace_partition(&fixture->workspace, n), rules, MOST), 1);
	assert_int_equal(rules[0].type, COMMAND_AGGREGATE_RULES);
	assert_true(uuid_eq(&rules[0].node, &node));
	assert_true(uuid_eq(&rules[0].workspace, &fixture->workspace));
	assert_true(str_is(rules[0].text, "2"));
	assert_true(str_is(rules[0].body, doc));
	assert_int_equal(read_rules(fixture, rules, MOST), 0);
	assert_int_equal(component_number(fixture->component, "SELECT count(*) FROM rule_outbox"), 0);
}

/* Killed between any two steps, every write takes effect once, and every rule is in the log at least once, the first
   ones in order. */
static void killed_workers_lose_and_repeat_nothing(void **state)
{
	enum { NODES = 90, MOST = 2000 };
	struct fixture *fixture = *state;
	struct command *rules = arena_alloc(fixture->arena, MOST * sizeof(*rules));
	struct uuid last = {{0}};
	int kills = 0;

	start_worker(fixture);
	for (int i = 0; i < NODES; i++) {
		struct uuid node = uuid_v7(clock_wall_us());
		char *text = arena_printf(fixture->arena, "node/%s#0", config_id_text(fixture->arena, &node).p);
		last = put(fixture, text, &node, arena_printf(fixture->arena, "{\"name\":\"%d\"}", i));
		if (i % 30 == 29) {
			for (int j = 0; j < WAIT_TRIES && component_number(fixture->component,
			                                          "SELECT count(*) FROM configuration") < i - 5;
			        j++)
				usleep(3000);
			stop_worker(fixture, SIGKILL);
			start_worker(fixture);
			kills++;
		}
	}
	assert_int_equal(status_of(fixture, &last), 200);
	struct component *c = fixture->component;
	assert_int_equal(
	        component_number(c,
	                "SELECT count(DISTINCT doc->>'name') FROM configuration WHERE kind = 'node' AND version = 1"),
	        NODES);
	assert_int_equal(component_number(c, "SELECT seq FROM configuration_head"), NODES + 1);
	assert_int_equal(component_number(c, "SELECT count(*) FROM command_results WHERE status = 200"), NODES + 1);
	assert_int_equal(component_number(c, "SELECT count(*) FROM rule_outbox"), 0);
	assert_int_equal(component_number(c, "SELECT count(*) FROM dead_letters"), 0);
	size_t n = read_rules(fixture, rules, MOST);
	uint64_t newest = 1, seq;
	for (size_t i = 0; i < n; i++) {
		assert_true(str_to_u64(rules[i].text, INT64_MAX, &seq));
		assert_true(seq <= newest + 1);
		if (seq == newest + 1)
			newest = seq;
	}
	assert_int_equal(newest, NODES + 1);
	print_message("%d kills, %zu rules for %d nodes\n", kills, n, NODES);
}

/* A node's document is in the table, and its rule still in the outbox. */
static struct uuid leave_in_outbox(struct fixture *fixture, int64_t seq)
{
	struct uuid node = uuid_v7(clock_wall_us());
	struct command command = {.type = COMMAND_CONFIG_PUT,
	        .time_us = clock_wall_us(),
	        .id = uuid_v7(clock_wall_us()),
	        .workspace = fixture->workspace,
	        .entity = node,
	        .text = str_of(arena_printf(fixture->arena, "node/%s#0", config_id_text(fixture->arena, &node).p)),
	        .body = STR("{\"name\":\"n\"}")};
	struct buf record, hex;

	buf_init(&record, fixture->arena, 512);
	command_encode(&record, &command);
	buf_init(&hex, fixture->arena, 2048);
	for (size_t i = 0; i < record.n; i++)
		buf_printf(&hex, "%02x", (unsigned char)record.p[i]);
	component_sql(fixture->component,
	        arena_printf(fixture->arena,
	                "INSERT INTO rule_outbox VALUES ('%s', %lld, 0, 'customer-commands', %u, '\\x%.*s')",
	                config_id_text(fixture->arena, &fixture->workspace).p, (long long)seq, fixture->partition,
	                STR_ARG(buf_str(&hex))));
	return command.id;
}

/* Another process died between its COMMIT and the rule, and does not come back: who takes its partitions over publishes
   what it left. */
static void who_takes_over_publishes_what_another_left(void **state)
{
	struct fixture *fixture = *state;
	const struct settings *settings = component_settings(fixture->component);
	char group[300], topic[256];

	start_worker(fixture);
	struct uuid first = put(fixture, "throttling/#0", NULL, "{\"maxRequestsPerMinute\":1}");
	assert_int_equal(status_of(fixture, &first), 200);
	struct uuid left = leave_in_outbox(fixture, 1000);
	/* a member that joins moves partitions */
	snprintf(group, sizeof(group), "%sconfiguration", settings->topic_prefix);
	topic_name(settings, TOPIC_CONFIG_COMMANDS, topic);
	rd_kafka_t *member = kafka_consumer_new(settings, group, NULL, 0, NULL, NULL);
	rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
	assert_int_equal(rd_kafka_subscribe(member, topics), RD_KAFKA_RESP_ERR_NO_ERROR);
	rd_kafka_topic_partition_list_destroy(topics);
	for (int i = 0; i < 150 && component_number(fixture->component, "SELECT count(*) FROM rule_outbox"); i++) {
		rd_kafka_message_t *message = rd_kafka_consumer_poll(member, 100);
		if (message)
			rd_kafka_message_destroy(message);
	}
	assert_int_equal(component_number(fixture->component, "SELECT count(*) FROM rule_outbox"), 0);
	assert_int_equal(status_of(fixture, &left), 200);
}

static void a_record_that_is_no_command_is_set_aside(void **state)
{
	struct fixture *fixture = *state;

	start_worker(fixture);
	send_bytes(fixture, STR("no record of ours"));
	struct uuid unknown = put(fixture, "nonsense/x", NULL, "{}");
	put(fixture, "throttling/", NULL, "{\"maxRequestsPerMinute\":");
	struct uuid good = put(fixture, "payload-size/", NULL, "{}");
	assert_int_equal(status_of(fixture, &good), 200);
	assert_int_equal(status_of(fixture, &unknown), 400);
	assert_int_equal(
	        component_number(fixture->component, "SELECT count(*) FROM dead_letters WHERE reason LIKE '%22P02%'"),
	        1);
	assert_int_equal(component_number(fixture->component, "SELECT count(*) FROM dead_letters"), 3);
	assert_int_equal(component_number(fixture->component, "SELECT count(*) FROM configuration"), 2);
}

/* --- without Kafka --- */

static void check_statements(struct fixture *fixture, const struct statement *statements, size_t n)
{
	PGconn *connection = component_connection(fixture->component);

	for (size_t i = 0; i < n; i++) {
		PGresult *result = PQprepare(connection, statements[i].name, statements[i].sql, 0, NULL);
		if (PQresultStatus(result) != PGRES_COMMAND_OK)
			fail_msg("%s: %s", statements[i].name, PQresultErrorMessage(result));
		PQclear(result);
		result = PQdescribePrepared(connection, statements[i].name);
		assert_int_equal(PQnparams(result), statements[i].n_params);
		PQclear(result);
	}
}

static void every_statement_fits_the_schema(void **state)
{
	check_statements(*state, configuration_statements, CONFIGURATION_STATEMENTS);
	check_statements(*state, ctl_statements, CTL_STATEMENTS);
}

static void migrations_are_applied_once_and_never_changed(void **state)
{
	struct fixture *fixture = *state;
	struct settings settings = *component_settings(fixture->component);
	char schema[128];
	struct err err = {0};

	snprintf(schema, sizeof(schema), "%s_migrated", settings.pg_schema);
	settings.pg_schema = schema;
	assert_true(migrate(&settings, NULL, &err));
	assert_true(migrate(&settings, NULL, &err));
	assert_int_equal(component_numberf(fixture->component, "SELECT count(*) FROM %s.schema_migrations", schema),
	        migration_count);
	component_sqlf(fixture->component, "UPDATE %s.schema_migrations SET sha256 = 'x' WHERE number = 1", schema);
	assert_false(migrate(&settings, NULL, &err));
	assert_int_equal(err.code, ERR_CONFLICT);
	component_sqlf(fixture->component, "UPDATE %s.schema_migrations SET number = 999 WHERE number = 1", schema);
	assert_false(migrate(&settings, NULL, &err));
	assert_int_equal(err.code, ERR_CONFLICT);
	component_sqlf(fixture->component, "DROP SCHEMA %s CASCADE", schema);
}

/* A migration that comes once more, in a schema of its own, while somebody reads the table that it changes. */
struct upgrade {
	struct settings settings;
	char schema[128];
	PGconn *reader, *writer;
	bool migrated;
	struct err err;
};

static void upgrade_sql(PGconn *connection, const struct upgrade *upgrade, const char *sql)
{
	char text[512];

	snprintf(text, sizeof(text), "SET search_path = %s; %s", upgrade->schema, sql);
	PGresult *result = PQexec(connection, text);
	if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
		fail_msg("%s: %s", sql, PQerrorMessage(connection));
	PQclear(result);
}

static void upgrade_begin(struct upgrade *upgrade, struct component *component)
{
	struct err err = {0};

	upgrade->settings = *component_settings(component);
	snprintf(upgrade->schema, sizeof(upgrade->schema), "%s_upgrade", upgrade->settings.pg_schema);
	upgrade->settings.pg_schema = upgrade->schema;
	assert_true(migrate(&upgrade->settings, NULL, &err));
	upgrade->reader = PQconnectdb(upgrade->settings.pg);
	upgrade->writer = PQconnectdb(upgrade->settings.pg);
	upgrade_sql(upgrade->writer, upgrade,
	        "ALTER TABLE bulk_jobs DROP COLUMN file_rows; DELETE FROM schema_migrations WHERE number = 30");
}

static void upgrade_end(struct upgrade *upgrade)
{
	char sql[256];

	snprintf(sql, sizeof(sql), "DROP SCHEMA %s CASCADE", upgrade->schema);
	upgrade_sql(upgrade->writer, upgrade, sql);
	PQfinish(upgrade->reader);
	PQfinish(upgrade->writer);
}

static void *run_upgrade(void *opaque)
{
	struct upgrade *upgrade = opaque;

	upgrade->migrated = migrate(&upgrade->settings, NULL, &upgrade->err);
	return NULL;
}

/* pg_dump reads for minutes: what waits behind a migration that waits for it would wait as long. */
static void a_migration_behind_a_long_reader_holds_nobody_up(void **state)
{
	struct fixture *fixture = *state;
	struct upgrade upgrade = {0};
	pthread_t thread;

	upgrade_begin(&upgrade, fixture->component);
	upgrade_sql(upgrade.reader, &upgrade, "BEGIN; SELECT FROM bulk_jobs");
	assert_int_equal(pthread_create(&thread, NULL, run_upgrade, &upgrade), 0);
	usleep(500000);
	upgrade_sql(upgrade.writer, &upgrade, "SET statement_timeout = '5s'; DELETE FROM bulk_jobs");
	upgrade_sql(upgrade.reader, &upgrade, "COMMIT");
	pthread_join(thread, NULL);
	assert_true(upgrade.migrated);
	upgrade_sql(upgrade.writer, &upgrade, "SELECT file_rows FROM bulk_jobs");
	upgrade_end(&upgrade);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "worker"))
		return worker_main(&configuration_worker, 1, argv);

	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(documents_have_versions_and_a_gapless_seq, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_document_of_no_workspace_is_refused, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_node_is_answered_when_its_rule_is_in_the_log, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(the_rule_of_an_aggregate_node_is_among_the_facts, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(killed_workers_lose_and_repeat_nothing, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(who_takes_over_publishes_what_another_left, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_record_that_is_no_command_is_set_aside, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(every_statement_fits_the_schema, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(migrations_are_applied_once_and_never_changed, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_migration_behind_a_long_reader_holds_nobody_up, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
