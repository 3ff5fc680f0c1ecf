#ifndef GATEWAY_KNOWN_YEARS_H
#define GATEWAY_KNOWN_YEARS_H

#include "common/event_years.h"

struct gateway;
struct request;

/*
 * The years that have events (common/event_years.h), as the gateway knows them: PostgreSQL is asked once a second. What
 * is registered these days is always within them, so an event that has just come is found at once, also when it is the
 * first one of its year. Until the first answer every year counts.
 */
struct known_years {
	bool known;
	struct event_years stored;
	int64_t asked_us;
};

extern const struct statement known_years_statements[];
extern const size_t known_years_statement_count;

void known_years_tick(struct gateway *gateway, int64_t now_us);

/* Pure: `stored` with the days around now_us (clock_wall_us). */
struct event_years known_years_at(const struct known_years *years, int64_t now_us);

/* Those of now, and the same as two parameters of a statement. */
struct event_years request_years(struct request *request);
void request_years_params(struct request *request, struct db_params *params);

#endif
