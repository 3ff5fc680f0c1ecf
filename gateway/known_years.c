#include "gateway/known_years.h"

#include "common/clock.h"
#include "gateway/gateway.h"
#include "gateway/pgpool.h"
#include "gateway/request.h"

#define ASK_EVERY_US INT64_C(1000000)
#define DAY_US (INT64_C(24) * 60 * 60 * 1000000)
/* Events that waited in Kafka's log while the workers were down. */
#define DAYS_BEFORE 30
/* Of another gateway, whose clock is ahead. */
#define DAYS_AHEAD 1

const struct statement known_years_statements[] = {{.name = "event_years", .sql = EVENT_YEARS_SQL}};
const size_t known_years_statement_count = ARRAY_LEN(known_years_statements);

static void take(void *context, uint64_t number, const PGresult *result, const struct err *err)
{
	struct known_years *years = context;

	(void)number;
	(void)err;
	years->known = result != NULL;
	if (result)
		years->stored = event_years_read(result);
}

void known_years_tick(struct gateway *gateway, int64_t now_us)
{
	struct known_years *years = &gateway->years;
	struct pgpool_query query = {.statement = "event_years", .on_result = take, .context = years};
	struct err err = {0};

	if (now_us - years->asked_us < ASK_EVERY_US)
		return;
	years->asked_us = now_us;
	if (!pgpool_query(gateway->pool, &query, &err))
		years->known = false;
}

struct event_years known_years_at(const struct known_years *years, int64_t now_us)
{
	struct event_years found = {
	        .any = true, .first_us = now_us - DAYS_BEFORE * DAY_US, .last_us = now_us + DAYS_AHEAD * DAY_US};

	if (!years->known)
		return (struct event_years){.any = true, .first_us = INT64_MIN, .last_us = INT64_MAX};
	if (years->stored.any && years->stored.first_us < found.first_us)
		found.first_us = years->stored.first_us;
	if (years->stored.any && years->stored.last_us > found.last_us)
		found.last_us = years->stored.last_us;
	return found;
}

struct event_years request_years(struct request *request)
{
	return known_years_at(&request_gateway(request)->years, clock_wall_us());
}

void request_years_params(struct request *request, struct db_params *params)
{
	struct event_years years = request_years(request);

	event_years_params(&years, params);
}
