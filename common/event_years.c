#include "common/event_years.h"

struct event_years event_years_read(const PGresult *rows)
{
	struct event_years years = {.any = !db_is_null(rows, 0, 0)};

	if (years.any) {
		years.first_us = db_i64(rows, 0, 0);
		years.last_us = db_i64(rows, 0, 1);
	}
	return years;
}

void event_years_params(const struct event_years *years, struct db_params *params)
{
	if (years->any) {
		db_param_i64(params, years->first_us);
		db_param_i64(params, years->last_us);
		return;
	}
	db_param_null(params);
	db_param_null(params);
}
