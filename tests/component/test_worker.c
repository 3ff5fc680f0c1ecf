/* The worker runtime on real Kafka and PostgreSQL: exactly once, in order, whatever happens to the process. */

#include "common/arena.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/worker.h"
#include "tests/component/component.h"

#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A worker gives itself five seconds to stop. */
#define STOP_US (7 * 1000000LL)

/* --- the worker under test: every command becomes a row; some bodies mean trouble ----------------------------------
 */

static const struct statement test_statements[] = {
        {.name = "test_add",
                .sql = "INSERT INTO applied (command_id, time_us, body) SELECT * FROM unnest($1::uuid[], $2::bigint[], "
                       "$3::text[])",
                .n_params = 3},
        {.name = "test_grow",
                .sql = "INSERT INTO applied (body) SELECT md5(i::text) FROM generate_series(1, 5000) i",
                .n_params = 0},
        {.name = "test_clash",
                .sql = "INSERT INTO clashes SELECT 1 FROM generate_series(1, $1::bigint) ON CONFLICT (id) DO UPDATE "
                       "SET id = excluded.id",
                .n_params = 1},
        {.name = "test_step",
                .sql = "INSERT INTO steps SELECT count(*) + 1 FROM steps HAVING count(*) < 40 RETURNING step",
                .n_params = 0},
};

/* Forty steps at once after each other; two processes doing them at a time would break the primary key. */
static bool test_background(struct batch *batch, bool *ret_more, struct err *err)
{
	PGresult *row;

	if (batch_size(batch))
		return err_set(err, ERR_INTERNAL, "a background step has records");
	if (!db_send(batch_db(batch), "test_step", NULL, err) || !db_flush(batch_db(batch), err))
		return false;
	row = db_result(batch_db(batch), err);
	if (!row)
		return false;
	*ret_more = PQntuples(row) == 1;
	PQclear(row);
	return true;
}

/* Of one who follows facts, and makes none. */
static bool test_follow(struct batch *batch, struct err *err)
{
	return db_send_expect(batch_db(batch), "test_grow", NULL, -1, ERR_INTERNAL, err);
}

/* So many of a kind can be applied together. */
#define MOST_OF_CROWD 4

static bool test_handle(struct batch *batch, struct err *err)
{
	struct db_array ids, times, bodies;
	struct db_params params;
	int64_t n_clashes = 0, n_of_crowd = 0;

	db_array_init(&ids, batch_arena(batch), DB_UUID);
	db_array_init(&times, batch_arena(batch), DB_I64);
	db_array_init(&bodies, batch_arena(batch), DB_TEXT);
	for (size_t i = 0; i < batch_size(batch); i++) {
		struct command *command = batch_command(batch, i);
		if (batch_skip(batch, i))
			continue;
		if (str_is(command->body, "\"poison\""))
			return err_set(err, ERR_INVALID, "poison");
		if (str_is(command->body, "\"death\""))
			abort();
		n_clashes += str_is(command->body, "\"clash\"");
		n_of_crowd += str_is(command->body, "\"crowd\"");
		db_array_uuid(&ids, &command->id);
		db_array_i64(&times, command->time_us);
		db_array_text(&bodies, command->body);
		batch_change(batch, &command->workspace, &command->node, ENTITY_CUSTOMER, &command->entity,
		        CHANGE_CREATE, 1);
		batch_reply(batch, i, 201, command->body);
	}
	if (n_of_crowd > MOST_OF_CROWD) /* as if PostgreSQL had ended a transaction that takes too long */
		_exit(1);
	db_params_init(&params, batch_arena(batch));
	db_param_i64(&params, n_clashes);
	if (n_clashes && !db_send_expect(batch_db(batch), "test_clash", &params, -1, ERR_INTERNAL, err))
		return false;
	db_params_init(&params, batch_arena(batch));
	db_param_array(&params, &ids);
	db_param_array(&params, &times);
	db_param_array(&params, &bodies);
	return db_send_expect(batch_db(batch), "test_add", &params, ids.n, ERR_INTERNAL, err);
}

static const struct worker_definition test_worker = {
        .name = "test-worker",
        .topic = TOPIC_CUSTOMER_COMMANDS,
        .statements = test_statements,
        .n_statements = ARRAY_LEN(test_statements),
        .handle = test_handle,
        .background = test_background,
        .background_ms = 100,
};

/* A process of its own, by exec: librdkafka's threads and locks do not survive a fork. */
static pid_t start(const char *instance, const char *kind)
{
	pid_t pid = fork();

	if (pid == 0) {
		setenv("CONTACTHUB_INSTANCE", instance, 1);
		execl("/proc/self/exe", "test-worker", kind, (char *)NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	return pid;
}

static pid_t start_worker(const char *instance)
{
	return start(instance, "worker");
}

static void stop_worker(pid_t pid, int signal_number)
{
	int status;

	kill(pid, signal_number);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

/* --- the other side -------------------------------------------------------------------------------------------------
 */

struct fixture {
	struct component *component;
	struct kafka_producer *producer;
	struct arena *arena;
	struct uuid workspace;
	int delivered;
};

static void on_delivered(void *context, void *opaque, const struct kafka_delivery *delivery)
{
	(void)opaque;
	assert_int_equal(delivery->error, RD_KAFKA_RESP_ERR_NO_ERROR);
	((struct fixture *)context)->delivered++;
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	fixture->component = component_open();
	component_sql(fixture->component,
	        "CREATE TABLE applied (position bigserial, command_id uuid, time_us bigint, body text)");
	component_sql(fixture->component, "CREATE TABLE steps (step bigint PRIMARY KEY)");
	component_sql(fixture->component, "CREATE TABLE clashes (id integer PRIMARY KEY)");
	fixture->producer =
	        kafka_producer_new(component_settings(fixture->component), KAFKA_SEND_AT_ONCE, on_delivered, fixture);
	fixture->arena = arena_new(64 * 1024 * 1024);
	fixture->workspace = uuid_v7(clock_wall_us());
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	arena_free(fixture->arena);
	component_close(fixture->component);
	free(fixture);
	return 0;
}

static void send_to(struct fixture *fixture, uint32_t partition, struct command *command)
{
	struct buf record;
	struct err err = {0};

	command->type = COMMAND_CUSTOMER_POST;
	command->workspace = fixture->workspace;
	if (uuid_is_nil(&command->id))
		command->id = uuid_v7(clock_wall_us());
	command->entity = command->id;
	buf_init(&record, fixture->arena, 512);
	command_encode(&record, command);
	assert_true(kafka_send(
	        fixture->producer, TOPIC_CUSTOMER_COMMANDS, partition, NULL, buf_str(&record), fixture, &err));
}

static void send_one(struct fixture *fixture, struct command *command)
{
	send_to(fixture, 0, command);
}

static void send_numbered(struct fixture *fixture, int first, int n)
{
	for (int i = first; i < first + n; i++) {
		struct command command = {.time_us = 1000, .body = str_of(arena_printf(fixture->arena, "%d", i))};
		send_one(fixture, &command);
	}
	assert_true(kafka_producer_flush(fixture->producer, 20000));
}

static void wait_for_rows(struct fixture *fixture, int n)
{
	for (int i = 0; i < 600 && component_number(fixture->component,
	                                   "SELECT count(*) + (SELECT count(*) FROM steps) FROM applied") < n + 40;
	        i++)
		usleep(50 * 1000);
	assert_int_equal(component_number(fixture->component, "SELECT count(*) FROM applied"), n);
}

/* Every number once, in the order sent, with growing times, and as many gapless stream entries. */
static void check_rows(struct fixture *fixture, int n)
{
	struct component *c = fixture->component;

	assert_int_equal(component_number(c, "SELECT count(DISTINCT body) FROM applied"), n);
	assert_int_equal(
	        component_number(c,
	                "SELECT count(*) FROM (SELECT body::int AS b, time_us AS t, lag(body::int) OVER w AS pb, "
	                "lag(time_us) OVER w AS pt FROM applied WINDOW w AS (ORDER BY position)) x "
	                "WHERE b <> pb + 1 OR t <= pt"),
	        0);
	assert_int_equal(component_number(c, "SELECT max(stream_offset) FROM update_stream"), n);
	assert_int_equal(component_number(c, "SELECT count(*) FROM update_stream"), n);
	assert_int_equal(component_number(c, "SELECT last_offset FROM stream_heads"), n);
	assert_int_equal(component_number(c, "SELECT count(*) FROM command_results WHERE status = 201"), n);
	assert_int_equal(component_number(c, "SELECT count(*) FROM steps WHERE step BETWEEN 1 AND 40"), 40);
}

static void start_at_the_beginning(rd_kafka_t *consumer, const char *topic, uint32_t n_partitions)
{
	rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new((int)n_partitions);

	for (uint32_t i = 0; i < n_partitions; i++)
		rd_kafka_topic_partition_list_add(all, topic, (int32_t)i)->offset = 0;
	assert_int_equal(rd_kafka_assign(consumer, all), 0);
	rd_kafka_topic_partition_list_destroy(all);
}

/* Says of a fact's entity that it has come. */
static void mark(struct fixture *fixture, const rd_kafka_message_t *message)
{
	struct command fact;
	struct err err = {0};
	char id[UUID_TEXT_BYTES + 1];

	assert_true(command_decode((struct str){message->payload, message->len}, &fact, &err));
	assert_int_equal(fact.type, COMMAND_CHANGE);
	assert_int_equal(fact.item, ENTITY_CUSTOMER);
	assert_true(uuid_eq(&fact.workspace, &fixture->workspace));
	assert_memory_equal(message->key, &fact.entity, sizeof(fact.entity));
	uuid_format(&fact.entity, id);
	component_sqlf(fixture->component, "INSERT INTO facts SELECT '%s' ON CONFLICT DO NOTHING", id);
}

/* Every row of the stream is a fact in Kafka, perhaps more than once; and the cursors say so after a moment. */
static void check_facts(struct fixture *fixture)
{
	struct component *c = fixture->component;
	const struct settings *settings = component_settings(c);
	uint32_t n_partitions = kafka_partition_count(fixture->producer, TOPIC_CHANGES, 10000);
	rd_kafka_t *consumer = kafka_consumer_new(settings, "facts", NULL, 0, NULL, NULL);
	int64_t left = 0;
	char topic[256];

	topic_name(settings, TOPIC_CHANGES, topic);
	start_at_the_beginning(consumer, topic, n_partitions);
	for (uint32_t i = 0; i < n_partitions; i++) {
		int64_t end;
		assert_true(kafka_log_end(fixture->producer, TOPIC_CHANGES, (int32_t)i, 10000, &end));
		left += end;
	}
	component_sql(c, "CREATE TABLE facts (id uuid PRIMARY KEY)");
	component_sql(c, "BEGIN");
	while (left > 0) {
		rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 20000);
		assert_non_null(message);
		assert_int_equal(message->err, 0);
		mark(fixture, message);
		rd_kafka_message_destroy(message);
		left--;
	}
	component_sql(c, "COMMIT");
	rd_kafka_destroy(consumer);
	assert_int_equal(component_number(c, "SELECT count(*) FROM update_stream s WHERE NOT EXISTS "
	                                     "(SELECT FROM facts f WHERE f.id = s.entity_id)"),
	        0);
	assert_int_equal(component_number(c, "SELECT count(*) FROM fact_cursors c JOIN stream_heads h "
	                                     "USING (workspace_id) WHERE c.published <> h.last_offset"),
	        0);
}

static void test_killed_workers_apply_each_record_once_and_in_order(void **state)
{
	struct fixture *fixture = *state;
	enum { N = 6000, KILLS = 12 };
	pid_t pid = start_worker("0");

	for (int i = 0; i < KILLS; i++) {
		send_numbered(fixture, i * (N / KILLS), N / KILLS);
		usleep((useconds_t)(20 + i * 13) * 1000);
		stop_worker(pid, SIGKILL);
		pid = start_worker("0");
	}
	wait_for_rows(fixture, N);
	usleep(2500 * 1000); /* the cursors move once a second */
	stop_worker(pid, SIGTERM);
	check_rows(fixture, N);
	check_facts(fixture);
}

/* As another worker writes them. */
static void add_foreign_rows(struct fixture *fixture, int n)
{
	char id[UUID_TEXT_BYTES + 1];

	uuid_format(&fixture->workspace, id);
	component_sql(fixture->component,
	        arena_printf(fixture->arena,
	                "INSERT INTO update_stream SELECT workspace_id, last_offset + n, 1, 1, "
	                "md5((last_offset + n)::text)::uuid, workspace_id, 1, 0 FROM stream_heads, "
	                "generate_series(1, %d) n WHERE workspace_id = '%s'; "
	                "UPDATE stream_heads SET last_offset = last_offset + %d WHERE workspace_id = '%s'",
	                n, id, n, id));
}

static long long unpublished(struct fixture *fixture)
{
	return component_number(fixture->component,
	        "SELECT max(h.last_offset - c.published) FROM fact_cursors c JOIN stream_heads h USING (workspace_id)");
}

static void wait_for_cursors(struct fixture *fixture)
{
	for (int i = 0; i < 600 && unpublished(fixture); i++)
		usleep(50 * 1000);
	assert_int_equal(unpublished(fixture), 0);
}

/* The stream is everybody's: whoever begins publishes what others have written, too, and works meanwhile; and one that
   has nothing to do does not fall behind. */
static void test_facts_of_others_do_not_keep_a_worker_from_its_work(void **state)
{
	struct fixture *fixture = *state;
	enum { FOREIGN = 100000 };
	pid_t pid = start_worker("0");

	send_numbered(fixture, 0, 1);
	wait_for_rows(fixture, 1);
	wait_for_cursors(fixture);
	stop_worker(pid, SIGKILL);
	add_foreign_rows(fixture, FOREIGN);
	send_numbered(fixture, 1, 1);
	pid = start("0", "without-background");
	wait_for_rows(fixture, 2);
	send_numbered(fixture, 2, 1);
	wait_for_rows(fixture, 3);
	assert_true(unpublished(fixture) > FOREIGN / 100);
	wait_for_cursors(fixture);
	add_foreign_rows(fixture, 1000);
	wait_for_cursors(fixture);
	stop_worker(pid, SIGTERM);
}

static void test_a_frozen_worker_that_wakes_up_changes_nothing(void **state)
{
	struct fixture *fixture = *state;
	pid_t old = start_worker("0");

	send_numbered(fixture, 0, 500);
	wait_for_rows(fixture, 500);
	kill(old, SIGSTOP);
	pid_t young = start_worker("0"); /* the same member: Kafka fences the old one */
	send_numbered(fixture, 500, 500);
	wait_for_rows(fixture, 1000);
	kill(old, SIGCONT);
	send_numbered(fixture, 1000, 500);
	wait_for_rows(fixture, 1500);
	stop_worker(young, SIGTERM);
	stop_worker(old, SIGKILL);
	check_rows(fixture, 1500);
}

/* A broker that lost the end of its log writes new records where old ones have been read: a worker would pass over
 * them. */
static void test_a_log_that_lost_its_end_is_told_to_the_operator(void **state)
{
	struct fixture *fixture = *state;
	int status = 0;

	send_numbered(fixture, 0, 3);
	component_sql(fixture->component,
	        "INSERT INTO consumer_offsets VALUES ('test-worker', 'customer-commands', 0, 1000, 5)");
	for (int i = 0; i < 2; i++) { /* it tries again, and says it once */
		pid_t pid = start_worker("0");
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(WEXITSTATUS(status), 1);
	}
	assert_string_equal(
	        component_text(fixture->component,
	                "SELECT string_agg(concat_ws(' ', worker, topic, partition, record_offset, reason), '|') "
	                "FROM dead_letters"),
	        "test-worker customer-commands 0 1000 the log has lost its end: it ends at offset 3, and records up to "
	        "offset 1000 had been read; what is written in between is passed over");
}

static void test_a_poisoned_record_is_set_aside_and_the_rest_goes_on(void **state)
{
	struct fixture *fixture = *state;
	struct command poison = {.time_us = 1, .body = STR("\"poison\"")};
	struct err err = {0};
	pid_t pid = start_worker("0");

	send_numbered(fixture, 0, 50);
	send_one(fixture, &poison);
	assert_true(
	        kafka_send(fixture->producer, TOPIC_CUSTOMER_COMMANDS, 0, NULL, STR("no record at all"), NULL, &err));
	send_numbered(fixture, 50, 50);
	wait_for_rows(fixture, 100);
	stop_worker(pid, SIGTERM);
	check_rows(fixture, 100);
	assert_int_equal(
	        component_number(fixture->component, "SELECT count(*) FROM dead_letters WHERE reason = 'poison'"), 1);
	assert_int_equal(component_number(fixture->component, "SELECT count(*) FROM dead_letters"), 2);
}

static void wait_for_letters(struct fixture *fixture, const char *expected)
{
	const char *found = NULL;

	for (int i = 0; i < 200 && !(found && !strcmp(found, expected)); i++) {
		usleep(50 * 1000);
		found = component_text(fixture->component, "SELECT string_agg(concat_ws(' ', worker, record_offset, "
		                                           "reason, octet_length(record) > 0, rerun_us), "
		                                           "'|' ORDER BY record_offset) FROM dead_letters");
	}
	assert_string_equal(found ? found : "", expected);
}

/* Facts are read by two workers: one that can do nothing with a record must not keep the other from going on. */
static void test_a_record_may_be_a_dead_letter_of_two_workers(void **state)
{
	struct fixture *fixture = *state;
	struct command poison = {.time_us = 1, .body = STR("\"poison\"")};
	struct err err = {0};

	send_one(fixture, &poison);
	assert_true(
	        kafka_send(fixture->producer, TOPIC_CUSTOMER_COMMANDS, 0, NULL, STR("no record at all"), NULL, &err));
	pid_t pid = start_worker("0");
	wait_for_letters(fixture, "test-worker 0 poison t|test-worker 1 not a record of this project (16 bytes) t");
	stop_worker(pid, SIGTERM);
	component_sql(fixture->component,
	        "UPDATE dead_letters SET worker = 'other', rerun_us = 7; "
	        "UPDATE dead_letters SET reason = 'lost', record = '' WHERE record_offset = 1; "
	        "UPDATE consumer_offsets SET next_offset = 0, last_time_us = 0");
	pid = start_worker("0");
	wait_for_letters(fixture,
	        "other, test-worker 0 poison t|other, test-worker 1 lost; not a record of this project (16 bytes) t");
	send_numbered(fixture, 0, 5);
	wait_for_rows(fixture, 5);
	stop_worker(pid, SIGTERM);
}

/* As a producer leaves it that lost the answer of a broker which died: in a batch, in the next one, in the next
 * process. */
static void test_a_record_that_stands_twice_in_the_log_is_applied_once(void **state)
{
	struct fixture *fixture = *state;
	struct command copied = {.time_us = 1000, .body = STR("\"copy\"")};

	send_numbered(fixture, 0, 2);
	send_one(fixture, &copied);
	send_numbered(fixture, 2, 1);
	send_one(fixture, &copied);
	send_one(fixture, &copied);
	pid_t pid = start_worker("0");
	wait_for_rows(fixture, 4);
	send_one(fixture, &copied);
	send_numbered(fixture, 3, 1);
	wait_for_rows(fixture, 5);
	component_sql(fixture->component, "DELETE FROM command_results"); /* it has been there for long */
	send_one(fixture, &copied);
	send_numbered(fixture, 4, 1);
	wait_for_rows(fixture, 6);
	stop_worker(pid, SIGTERM);
	copied.id = (struct uuid){{0}};
	send_one(fixture, &copied);
	pid = start_worker("0");
	wait_for_rows(fixture, 7);
	stop_worker(pid, SIGKILL);
	send_one(fixture, &copied);
	send_numbered(fixture, 5, 1);
	pid = start_worker("0");
	wait_for_rows(fixture, 8);
	stop_worker(pid, SIGTERM);
	assert_int_equal(component_number(fixture->component, "SELECT count(*) FROM update_stream"), 8);
	assert_int_equal(component_number(fixture->component, "SELECT count(*) FROM dead_letters"), 0);
}

/* Whatever a statement makes of two records that it could make of each. */
static void test_records_that_fail_only_together_are_applied_one_by_one(void **state)
{
	struct fixture *fixture = *state;
	struct command clash = {.time_us = 1, .id = uuid_v7(clock_wall_us()), .body = STR("\"clash\"")};

	send_numbered(fixture, 0, 3);
	send_one(fixture, &clash);
	clash.id = uuid_v7(clock_wall_us());
	send_one(fixture, &clash);
	send_numbered(fixture, 3, 3);
	pid_t pid = start_worker("0");
	wait_for_rows(fixture, 8);
	stop_worker(pid, SIGTERM);
	assert_int_equal(component_number(fixture->component, "SELECT count(*) FROM dead_letters"), 0);
	assert_int_equal(component_number(fixture->component, "SELECT count(*) FROM clashes"), 1);
}

/* The supervisor's part, until the question's answer is n: a worker that has ended is started again. */
static pid_t keep_running(struct fixture *fixture, pid_t pid, const char *question, int n, int *ret_deaths)
{
	for (int i = 0; i < 600 && component_number(fixture->component, question) < n; i++) {
		int status;
		if (waitpid(pid, &status, WNOHANG) == pid) {
			++*ret_deaths;
			assert_true(WIFEXITED(status)); /* it wrote down what it was working on, and ended */
			pid = start_worker("0");
		}
		usleep(50 * 1000);
	}
	return pid;
}

static void test_records_that_end_their_worker_together_are_applied_in_parts(void **state)
{
	struct fixture *fixture = *state;
	int n_deaths = 0;

	for (int i = 0; i < 10 * MOST_OF_CROWD; i++) {
		struct command command = {.time_us = 1, .id = uuid_v7(clock_wall_us()), .body = STR("\"crowd\"")};
		send_one(fixture, &command);
	}
	pid_t pid =
	        keep_running(fixture, start_worker("0"), "SELECT count(*) FROM applied", 10 * MOST_OF_CROWD, &n_deaths);
	stop_worker(pid, SIGTERM);
	assert_int_equal(component_number(fixture->component, "SELECT count(*) FROM applied"), 10 * MOST_OF_CROWD);
	assert_int_equal(component_number(fixture->component, "SELECT count(*) FROM dead_letters"), 0);
	assert_in_range(n_deaths, 1, 10 * MOST_OF_CROWD);
}

/* What the operator's tool prints; it is told the test's schema and topics by the environment. */
static void ask_ctl(const char *words, char *ret_said, size_t room)
{
	char program[PATH_MAX], command[PATH_MAX + 256];
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);

	assert_true(n > 0);
	program[n] = '\0';
	*strrchr(program, '/') = '\0';
	snprintf(command, sizeof(command), "%s/contacthubctl %s", program, words);
	FILE *out = popen(command, "r");
	assert_non_null(out);
	ret_said[fread(ret_said, 1, room - 1, out)] = '\0';
	assert_int_equal(pclose(out), 0);
}

static int lines_with(const char *text, const char *words)
{
	int n = 0;

	for (const char *at = text; (at = strstr(at, words)); at = strchrnul(at, '\n'))
		n++;
	return n;
}

#define SET_ASIDE "the worker died on this record 3 times"

/* The operator finds the record and runs it again, which ends as before: it is a command of its own. */
static void check_operators_view(struct fixture *fixture)
{
	char said[4096], place[64], words[128];
	int deaths = 0;

	ask_ctl("dead-letters list", said, sizeof(said));
	assert_int_equal(lines_with(said, "customer-commands:0:"), 1);
	assert_int_equal(lines_with(said, SET_ASIDE), 1);
	assert_int_equal(sscanf(said, "%63s", place), 1);
	snprintf(words, sizeof(words), "dead-letters show %s", place);
	ask_ctl(words, said, sizeof(said));
	assert_int_equal(lines_with(said, "body      \"death\""), 1);
	snprintf(words, sizeof(words), "dead-letters rerun %s", place);
	ask_ctl(words, said, sizeof(said));
	assert_int_equal(lines_with(said, "sent again"), 1);
	pid_t pid = keep_running(fixture, start_worker("0"), "SELECT count(*) FROM dead_letters", 2, &deaths);
	stop_worker(pid, SIGTERM);
	assert_in_range(deaths, 3, 4);
	ask_ctl("dead-letters list", said, sizeof(said));
	assert_int_equal(lines_with(said, SET_ASIDE), 2);
	assert_int_equal(lines_with(said, "(sent again) " SET_ASIDE), 1);
	ask_ctl("dead-letters drop --sent-again", said, sizeof(said));
	assert_string_equal(said, "1 dropped\n");
	ask_ctl("dead-letters list", said, sizeof(said));
	assert_int_equal(lines_with(said, SET_ASIDE), 1);
	assert_int_equal(sscanf(said, "%63s", place), 1);
	snprintf(words, sizeof(words), "dead-letters drop %s", place);
	ask_ctl(words, said, sizeof(said));
	assert_string_equal(said, "1 dropped\n");
	ask_ctl("dead-letters list", said, sizeof(said));
	assert_string_equal(said, "");
}

static void test_a_record_that_kills_its_worker_is_set_aside_after_three_tries(void **state)
{
	struct fixture *fixture = *state;
	struct command death = {.time_us = 1, .body = STR("\"death\"")};
	int deaths = 0;

	send_numbered(fixture, 0, 50);
	send_one(fixture, &death);
	send_numbered(fixture, 50, 50);
	pid_t pid = keep_running(fixture, start_worker("0"), "SELECT count(*) FROM applied", 100, &deaths);
	wait_for_rows(fixture, 100);
	stop_worker(pid, SIGTERM);
	check_rows(fixture, 100);
	/* once among others, unless it came alone, and three times alone */
	assert_in_range(deaths, 3, 4);
	assert_int_equal(component_number(fixture->component, "SELECT count(*) FROM dead_letters"), 1);
	check_operators_view(fixture);
}

/* TERM after so many ms, and again and again after so many more (0: once); microseconds until the process has ended. */
static int64_t time_to_stop(pid_t pid, int after_ms, int again_ms)
{
	int status;

	usleep((useconds_t)after_ms * 1000);
	kill(pid, SIGTERM);
	int64_t asked_us = clock_monotonic_us(), again_us = asked_us;
	while (waitpid(pid, &status, WNOHANG) == 0 && clock_monotonic_us() - asked_us < STOP_US) {
		if (again_ms && clock_monotonic_us() - again_us > again_ms * 1000) {
			kill(pid, SIGTERM);
			again_us = clock_monotonic_us();
		}
		usleep(20 * 1000);
	}
	int64_t took_us = clock_monotonic_us() - asked_us;
	if (took_us >= STOP_US)
		stop_worker(pid, SIGKILL);
	else /* not for another reason, so before that it was running */
		assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGTERM : WEXITSTATUS(status) == 0);
	return took_us;
}

/* Without a broker each question to librdkafka takes its full time; who asks again and again puts nothing off. */
static void test_a_worker_without_kafka_ends_soon_after_it_is_asked_to(void **state)
{
	static const struct {
		int after_ms, again_ms;
	} cases[] = {{0, 0}, {30, 0}, {300, 0}, {2500, 1000}, {4000, 0}};
	char *kafka = strdup(getenv("CONTACTHUB_KAFKA"));

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		setenv("CONTACTHUB_KAFKA", "127.0.0.1:1", 1);
		pid_t pid = start_worker("0");
		setenv("CONTACTHUB_KAFKA", kafka, 1);
		assert_in_range(time_to_stop(pid, cases[i].after_ms, cases[i].again_ms), 0, STOP_US - 1);
	}
	free(kafka);
}

static void test_a_repeated_key_changes_nothing_and_another_body_is_a_conflict(void **state)
{
	struct fixture *fixture = *state;
	struct uuid key = uuid_v5(&fixture->workspace, STR("key"));
	pid_t pid = start_worker("0");

	for (int i = 0; i < 3; i++) {
		struct command command = {
		        .id = key, .flags = COMMAND_KEYED, .fingerprint = 7, .time_us = 1, .body = STR("0")};
		send_one(fixture, &command);
	}
	assert_true(kafka_producer_flush(fixture->producer, 20000));
	wait_for_rows(fixture, 1);
	struct command other = {.id = key, .flags = COMMAND_KEYED, .fingerprint = 8, .time_us = 1, .body = STR("1")};
	struct command same = {.id = key, .flags = COMMAND_KEYED, .fingerprint = 7, .time_us = 1, .body = STR("0")};
	send_one(fixture, &other);
	send_one(fixture, &same);
	send_numbered(fixture, 1, 1);
	wait_for_rows(fixture, 2);
	stop_worker(pid, SIGTERM);
	check_rows(fixture, 2);
	assert_int_equal(component_number(fixture->component, "SELECT count(*) FROM dead_letters"), 0);
}

/* Who came first can only be told inside a partition: a replay reads partitions in any order. */
static void test_a_key_is_decided_by_its_partition_alone(void **state)
{
	struct fixture *fixture = *state;
	struct uuid key = uuid_v5(&fixture->workspace, STR("key"));

	for (uint32_t i = 0; i < 4; i++) {
		struct command command = {
		        .id = key, .flags = COMMAND_KEYED, .fingerprint = i % 2, .time_us = 1, .body = STR("0")};
		send_to(fixture, i % 2, &command);
	}
	assert_true(kafka_producer_flush(fixture->producer, 20000));
	pid_t pid = start_worker("0");
	wait_for_rows(fixture, 2);
	send_numbered(fixture, 1, 1);
	wait_for_rows(fixture, 3);
	stop_worker(pid, SIGTERM);
	assert_int_equal(component_number(fixture->component, "SELECT count(*) FROM command_results WHERE keyed"), 2);
	assert_int_equal(component_number(fixture->component,
	                         "SELECT count(*) FROM command_results WHERE keyed AND partition = fingerprint"),
	        2);
}

#define DAY_US (86400 * INT64_C(1000000))

/* One key's uses: for how many days each is to be remembered, when it came, and whether it repeats one of before. */
static const struct use {
	uint16_t days;
	int64_t time_us;
	uint64_t fingerprint;
	bool repeats;
} uses[] = {
        {1, 1, 7, false},
        {5, 1 + DAY_US, 7, true},
        {2, 2 + DAY_US, 7, false},
        {1, 2 + 3 * DAY_US, 7, true},
        {0, 3 + 3 * DAY_US, 8, false},
        {1, 36500 * DAY_US, 8, true},
};

/* The log decides, whatever the batches are and however late they are read: the clock is years ahead of all these. */
static void check_uses(struct fixture *fixture, const char *batch_records)
{
	struct uuid key = uuid_v5(&fixture->workspace, STR("key"));
	int64_t applied = 0;
	int n = 0;

	for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
		struct command command = {.id = key,
		        .flags = COMMAND_KEYED,
		        .key_days = uses[i].days,
		        .fingerprint = uses[i].fingerprint,
		        .time_us = uses[i].time_us,
		        .body = str_of(arena_printf(fixture->arena, "%zu", i + 1))};
		send_one(fixture, &command);
		if (!uses[i].repeats) {
			applied = 10 * applied + (int64_t)i + 1;
			n++;
		}
	}
	assert_true(kafka_producer_flush(fixture->producer, 20000));
	setenv("CONTACTHUB_BATCH_RECORDS", batch_records, 1);
	pid_t pid = start_worker("0");
	unsetenv("CONTACTHUB_BATCH_RECORDS");
	send_numbered(fixture, 9, 1);
	wait_for_rows(fixture, n + 1);
	stop_worker(pid, SIGTERM);
	assert_int_equal(
	        component_number(fixture->component, "SELECT string_agg(body, '' ORDER BY position) FROM applied"),
	        10 * applied + 9);
	assert_int_equal(component_number(fixture->component,
	                         "SELECT sum(fingerprint) FROM command_results WHERE keyed AND kept_until_us IS NULL"),
	        8);
}

static void test_a_key_is_forgotten_at_its_record_inside_a_batch(void **state)
{
	check_uses(*state, "200");
}

static void test_a_key_is_forgotten_at_its_record_between_batches(void **state)
{
	check_uses(*state, "1");
}

/* Only what no record that is still to come can find: a partition that is behind needs its keys for longer. */
static void test_forgotten_keys_are_removed(void **state)
{
	struct fixture *fixture = *state;
	struct component *c = fixture->component;
	static const struct {
		uint32_t partition;
		int64_t time_us;
		uint64_t fingerprint;
	} keys[] = {{0, 1, 1}, {1, 1, 2}, {0, 1 + DAY_US, 4}};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct command command = {.flags = COMMAND_KEYED,
		        .key_days = 1,
		        .fingerprint = keys[i].fingerprint,
		        .time_us = keys[i].time_us,
		        .body = STR("0")};
		send_to(fixture, keys[i].partition, &command);
	}
	assert_true(kafka_producer_flush(fixture->producer, 20000));
	pid_t pid = start_worker("0");
	wait_for_rows(fixture, 3);
	for (int i = 0; i < 400 && component_number(c, "SELECT count(*) FROM command_results") > 2; i++)
		usleep(50 * 1000);
	stop_worker(pid, SIGTERM);
	assert_int_equal(component_number(c, "SELECT sum(fingerprint) FROM command_results"), 2 + 4);
}

/* A worker that many write through has more of them in a minute than one statement should take. */
static void test_many_old_results_are_removed(void **state)
{
	struct fixture *fixture = *state;
	struct component *c = fixture->component;

	component_sql(c,
	        "INSERT INTO command_results (workspace_id, command_id, keyed, fingerprint, status, created_us) "
	        "SELECT gen_random_uuid(), gen_random_uuid(), false, 0, 200, i FROM generate_series(1, 60000) i");
	pid_t pid = start_worker("0");
	for (int i = 0; i < 400 && component_number(c, "SELECT count(*) FROM command_results"); i++)
		usleep(50 * 1000);
	stop_worker(pid, SIGTERM);
	assert_int_equal(component_number(c, "SELECT count(*) FROM command_results"), 0);
}

#define TIMES_GROWN "SELECT count(*) / 5000 FROM applied"
#define ROWS_KNOWN "SELECT reltuples FROM pg_class WHERE oid = 'applied'::regclass"
#define QUIET_US (1500 * 1000)

/* Plans that other processes made while a table was small end when it is analyzed: autovacuum would be slower. */
static void test_a_table_that_has_grown_is_analyzed(void **state)
{
	struct fixture *fixture = *state;
	struct component *c = fixture->component;
	struct buf record;
	struct err err = {0};
	static const int known[] = {0, 1, 1, 3, 3}; /* it becomes twice as large, and more, at the third */
	pid_t pid = start("0", "follower");

	component_sql(c, "ALTER TABLE applied SET (autovacuum_enabled = off)");
	buf_init(&record, fixture->arena, 512);
	command_encode(
	        &record, &(struct command){.type = COMMAND_CHANGE, .time_us = 1, .workspace = fixture->workspace});
	for (int round = 1; round < (int)ARRAY_LEN(known); round++) {
		assert_true(kafka_send(
		        fixture->producer, TOPIC_CHANGES, 0, &fixture->workspace, buf_str(&record), fixture, &err));
		assert_true(kafka_producer_flush(fixture->producer, 20000));
		for (int i = 0; i < 200 && component_number(c, TIMES_GROWN) < round; i++)
			usleep(50 * 1000);
		assert_int_equal(component_number(c, TIMES_GROWN), round);
		for (int i = 0; i < 60 && known[round] > known[round - 1] &&
		                component_number(c, ROWS_KNOWN) < 5000 * known[round];
		        i++)
			usleep(50 * 1000);
		usleep(known[round] > known[round - 1] ? 0 : QUIET_US);
		assert_int_equal(component_number(c, ROWS_KNOWN), 5000 * known[round]);
	}
	stop_worker(pid, SIGTERM);
}

/* Niceness of the server's process that works for the worker, and of its session where that counts. */
static bool is_nice(struct component *component, int wanted)
{
	long long pid = component_number(
	        component, "SELECT COALESCE(max(pid), 0) FROM pg_stat_activity WHERE application_name = 'test-worker'");
	char path[64], line[64] = "";

	snprintf(path, sizeof(path), "/proc/%lld/autogroup", pid);
	if (!pid || getpriority(PRIO_PROCESS, (id_t)pid) != wanted)
		return false;
	FILE *file = fopen(path, "re");
	if (!file)
		return true; /* this Linux shares the processors otherwise */
	const char *nice = fgets(line, sizeof(line), file) ? strstr(line, "nice ") : NULL;
	fclose(file);
	return nice && strtol(nice + strlen("nice "), NULL, 10) == wanted;
}

static void test_a_worker_that_nobody_waits_for_lets_others_go_first(void **state)
{
	struct fixture *fixture = *state;
	static const struct {
		const char *kind;
		int niceness;
	} cases[] = {{"worker", 0}, {"follower", 3}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		pid_t pid = start("0", cases[i].kind);

		for (int tries = 0; tries < 100 && !is_nice(fixture->component, cases[i].niceness); tries++)
			usleep(50 * 1000);
		assert_true(is_nice(fixture->component, cases[i].niceness));
		stop_worker(pid, SIGTERM);
	}
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "worker"))
		return worker_main(&test_worker, 1, argv);
	if (argc == 2 && !strcmp(argv[1], "without-background")) {
		static struct worker_definition without;
		without = test_worker;
		without.background = NULL;
		return worker_main(&without, 1, argv);
	}
	if (argc == 2 && !strcmp(argv[1], "follower")) {
		static struct worker_definition follower;
		follower = test_worker;
		follower.topic = TOPIC_CHANGES;
		follower.handle = test_follow;
		follower.background = NULL;
		follower.niceness = 3;
		return worker_main(&follower, 1, argv);
	}
	if (argc > 1)
		return worker_main(&test_worker, argc, argv);

	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(
	                test_killed_workers_apply_each_record_once_and_in_order, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(
	                test_facts_of_others_do_not_keep_a_worker_from_its_work, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_a_record_may_be_a_dead_letter_of_two_workers, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_a_frozen_worker_that_wakes_up_changes_nothing, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(
	                test_a_log_that_lost_its_end_is_told_to_the_operator, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(
	                test_a_poisoned_record_is_set_aside_and_the_rest_goes_on, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(
	                test_a_record_that_stands_twice_in_the_log_is_applied_once, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(
	                test_records_that_fail_only_together_are_applied_one_by_one, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(
	                test_records_that_end_their_worker_together_are_applied_in_parts, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(
	                test_a_record_that_kills_its_worker_is_set_aside_after_three_tries, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(
	                test_a_worker_without_kafka_ends_soon_after_it_is_asked_to, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(
	                test_a_repeated_key_changes_nothing_and_another_body_is_a_conflict, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_a_key_is_decided_by_its_partition_alone, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(
	                test_a_key_is_forgotten_at_its_record_inside_a_batch, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(
	                test_a_key_is_forgotten_at_its_record_between_batches, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_forgotten_keys_are_removed, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_many_old_results_are_removed, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_a_table_that_has_grown_is_analyzed, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(
	                test_a_worker_that_nobody_waits_for_lets_others_go_first, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
