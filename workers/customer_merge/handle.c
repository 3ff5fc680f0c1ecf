#include "common/arena.h"
#include "common/log.h"
#include "workers/customer_merge/apply.h"
#include "workers/customer_merge/customer_merge.h"

#include <stdlib.h>

/* A batch is cut where the rules of a node change; each run between is loaded, applied in memory and written at once.
 */

/* Rows of a node that is emptied: what is not large is gone when the command is answered (half a second); live commands
   come between the steps for the others, which are smaller. Nobody waits in a replay, and there are no indexes yet. */
#define STEPS_AT_ONCE 10
#define EMPTY_ROWS 10000
#define EMPTY_ROWS_REPLAY 100000
#define BACKGROUND_MS 1000

struct customer_merge_state {
	struct rules *rules;
	bool hide_password;
	int64_t rows_at_once;
};

static bool run(struct work *work, size_t first, size_t end, struct err *err)
{
	work->first = first;
	work->end = end;
	if (first == end)
		return true;
	if (!apply_parse(work, err) || !store_load(work, err))
		return false;
	for (size_t i = first; i < end; i++)
		if (!batch_skip(work->batch, i) && !apply_command(work, i, err))
			return false;
	return store_write(work, err);
}

static bool empty_node(struct work *work, size_t index, int64_t seq, const struct json *body, struct err *err)
{
	const struct command *command = batch_command(work->batch, index);
	const struct node_rules *rules = store_rules_of(work, &command->workspace, &command->node, err);
	char id[UUID_TEXT_BYTES + 1];

	if (!rules)
		return false;
	if (rules->seq == RULES_UNKNOWN) {
		uuid_format(&command->node, id);
		batch_refuse(work->batch, index, ERR_NOT_FOUND,
		        str_of(arena_printf(work->arena, "node not found %s", id)), STR_NONE);
		return true;
	}
	if (rules->seq >= seq)
		return true; /* it came twice: the first one was answered */
	if (!store_node_empty(work, index, seq, json_is_true(json_member(body, "eventsOnly")), err))
		return false;
	batch_reply(work->batch, index, 200, STR_NONE);
	return true;
}

static bool is_rule(const struct command *command)
{
	return command->type == COMMAND_NODE_RULES || command->type == COMMAND_NODE_EMPTY;
}

static bool apply_rule(struct work *work, size_t index, struct err *err)
{
	const struct command *command = batch_command(work->batch, index);
	struct json *body = json_parse(work->arena, command->body, err);
	uint64_t seq;

	if (!body)
		return false;
	if (!str_to_u64(command->text, INT64_MAX, &seq))
		return err_set(err, ERR_INVALID, "the rule has no number");
	if (command->type == COMMAND_NODE_RULES)
		return store_node_rules(work, command, (int64_t)seq, body, err);
	return empty_node(work, index, (int64_t)seq, body, err);
}

static struct work begin(struct batch *batch, bool step)
{
	const struct customer_merge_state *state = batch_state(batch);
	int64_t tenth = state->rows_at_once / STEPS_AT_ONCE, rows_of_step = tenth ? tenth : 1;

	return (struct work){.batch = batch,
	        .arena = batch_arena(batch),
	        .db = batch_db(batch),
	        .rules = state->rules,
	        .bodies = arena_alloc(batch_arena(batch), (batch_size(batch) + 1) * sizeof(struct json *)),
	        .hide_password = state->hide_password,
	        .rows_to_empty = step ? rows_of_step : state->rows_at_once,
	        .rows_of_step = rows_of_step};
}

static bool handle(struct batch *batch, struct err *err)
{
	size_t n = batch_size(batch), first = 0;
	struct work work = begin(batch, false);

	for (size_t i = 0; i < n; i++) {
		if (batch_skip(batch, i) || !is_rule(batch_command(batch, i)))
			continue;
		if (!run(&work, first, i, err) || !apply_rule(&work, i, err))
			return false;
		first = i + 1;
	}
	return run(&work, first, n, err);
}

static bool background(struct batch *batch, bool *ret_more, struct err *err)
{
	struct work work = begin(batch, true);

	return store_node_empty_step(&work, ret_more, err);
}

struct customer_merge_state *customer_merge_open(struct db *db, bool hide_password, struct err *err)
{
	struct customer_merge_state *state;
	PGresult *result = db_query(db, "cm_settings", NULL, err);

	if (!result)
		return NULL;
	PQclear(result);
	state = calloc(1, sizeof(*state));
	if (!state)
		log_die("memory", "out of memory");
	state->rules = rules_new();
	state->hide_password = hide_password;
	state->rows_at_once = EMPTY_ROWS;
	return state;
}

void customer_merge_empty_at_once(struct customer_merge_state *state, int64_t n_rows)
{
	state->rows_at_once = n_rows;
}

void customer_merge_close(struct customer_merge_state *state)
{
	if (state)
		rules_free(state->rules);
	free(state);
}

static void *open_state(struct worker *worker, struct err *err)
{
	const struct settings *settings = worker_settings(worker);
	struct customer_merge_state *state = customer_merge_open(worker_db(worker), settings->hash_passwords, err);

	if (state)
		customer_merge_empty_at_once(state, settings->replay ? EMPTY_ROWS_REPLAY : settings->empty_rows);
	return state;
}

/* What was remembered of rules may belong to a transaction that is gone. */
static void aborted(void *state)
{
	rules_forget(((struct customer_merge_state *)state)->rules);
}

const struct worker_definition customer_merge = {
        .name = "customer-merge",
        .topic = TOPIC_CUSTOMER_COMMANDS,
        .statements = customer_merge_statements,
        .n_statements = CUSTOMER_MERGE_STATEMENTS,
        .open = open_state,
        .aborted = aborted,
        .handle = handle,
        .background = background,
        .background_ms = BACKGROUND_MS,
};
