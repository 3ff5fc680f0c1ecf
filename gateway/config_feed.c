#include "gateway/config_feed.h"

#include "common/arena.h"
#include "common/clock.h"
#include "common/log.h"
#include "gateway/request_state.h"

#include <stdlib.h>

#define EVERY_US 250000
#define ROWS_PER_QUESTION 1000
#define ARENA_BYTES 4096

struct config_feed {
	struct gateway *gateway;
	struct arena *arena; /* of the question on its way */
	bool asking;
	bool again; /* somebody came while we were asking: the answer may be older than what they need */
	bool loaded;
	bool failing;
	int64_t asked_us;
	struct list waiting; /* requests, by their `late` link */
};

static const char after_sql[] =
        "SELECT workspace_id, kind, id, version, seq, created_us, updated_us, doc::text FROM configuration"
        " WHERE seq > $1 ORDER BY seq LIMIT 1000";

const struct statement config_feed_statements[] = {{.name = "configuration_after", .sql = after_sql, .n_params = 1}};
const size_t config_feed_statement_count = ARRAY_LEN(config_feed_statements);

struct config_feed *config_feed_new(struct gateway *gateway)
{
	struct config_feed *feed = calloc(1, sizeof(*feed));

	if (!feed)
		log_die("memory", "out of memory");
	feed->gateway = gateway;
	feed->arena = arena_new(ARENA_BYTES);
	list_init(&feed->waiting);
	return feed;
}

bool config_feed_is_loaded(const struct config_feed *feed)
{
	return feed->loaded;
}

static void release_waiting(struct config_feed *feed)
{
	int64_t seq = config_seq(feed->gateway->config);
	struct list *next;

	for (struct list *link = feed->waiting.next; link != &feed->waiting; link = next) {
		struct request *request = list_owner(link, struct request, late);
		next = link->next;
		if (request->held.seq <= seq) {
			list_remove(link);
			step_config_arrived(request);
		}
	}
}

/* A document that cannot be applied is named in the log once, not four times a second. */
static bool apply(struct config_feed *feed, const PGresult *result)
{
	struct err err = {0};

	if (config_apply(feed->gateway->config, result, &err)) {
		feed->failing = false;
		return true;
	}
	if (!feed->failing)
		log_event(LOG_ERROR, "configuration", "cannot be applied: %s", err.message);
	feed->failing = true;
	return false;
}

static void ask(struct config_feed *feed);

static void on_rows(void *context, uint64_t number, const PGresult *result, const struct err *err)
{
	struct config_feed *feed = context;

	(void)number;
	(void)err;
	feed->asking = false;
	if (!result || !apply(feed, result))
		return;
	release_waiting(feed);
	bool more = PQntuples(result) == ROWS_PER_QUESTION;
	if (!more && !feed->loaded) {
		feed->loaded = true;
		log_event(LOG_INFO, "configuration", "loaded: %zu workspaces, seq %lld",
		        config_workspace_count(feed->gateway->config), (long long)config_seq(feed->gateway->config));
	}
	if (more || (feed->again && !list_is_empty(&feed->waiting)))
		ask(feed);
}

static void ask(struct config_feed *feed)
{
	struct db_params params;
	struct err err = {0};
	struct pgpool_query query = {
	        .statement = "configuration_after", .params = &params, .on_result = on_rows, .context = feed};

	arena_reset(feed->arena);
	db_params_init(&params, feed->arena);
	db_param_i64(&params, config_seq(feed->gateway->config));
	feed->again = false;
	feed->asking = pgpool_query(feed->gateway->pool, &query, &err);
	/* without a connection nobody was asked: the first question is to go out as soon as there is one */
	if (feed->asking)
		feed->asked_us = clock_monotonic_us();
}

void config_feed_tick(struct config_feed *feed, int64_t now_us)
{
	if (!feed->asking && now_us - feed->asked_us >= EVERY_US)
		ask(feed);
}

void config_feed_await(struct config_feed *feed, struct request *request)
{
	list_append(&feed->waiting, &request->late);
	if (feed->asking)
		feed->again = true;
	else
		ask(feed);
}
