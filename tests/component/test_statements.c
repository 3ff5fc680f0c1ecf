/* Every row of every statement table is prepared against the migrated schema: a renamed column fails here. */

#include "common/crashed.h"
#include "common/db.h"
#include "common/worker_batch.h"
#include "gateway/config_feed.h"
#include "gateway/handlers.h"
#include "gateway/replies.h"
#include "tests/component/component.h"
#include "workers/aggregate_sync/sync.h"
#include "workers/bulk_processor/bulk_processor.h"
#include "workers/customer_merge/store.h"
#include "workers/event_ingest/ingest.h"
#include "workers/stats_rollup/rollup.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int set_up(void **state)
{
	*state = component_open();
	return 0;
}

static int tear_down(void **state)
{
	component_close(*state);
	return 0;
}

/* The configuration worker's and contacthubctl's tables are private; they prepare them when they start. */
static const struct {
	const char *owner;
	const struct statement *statements;
	const size_t *n;
	size_t n_fixed;
} tables[] = {
        {.owner = "runtime", .statements = runtime_statements, .n = &runtime_statement_count},
        {.owner = "crashed", .statements = crashed_statements, .n = &crashed_statement_count},
        {.owner = "facts", .statements = facts_statements, .n = &facts_statement_count},
        {.owner = "customer-merge", .statements = customer_merge_statements, .n_fixed = CUSTOMER_MERGE_STATEMENTS},
        {.owner = "event-ingest", .statements = event_ingest_statements, .n = &event_ingest_statement_count},
        {.owner = "aggregate-sync", .statements = sync_statements, .n = &sync_statement_count},
        {.owner = "stats-rollup", .statements = rollup_statements, .n = &rollup_statement_count},
        {.owner = "bulk-processor", .statements = bulk_processor_statements, .n_fixed = BULK_PROCESSOR_STATEMENTS},
        {.owner = "gateway configuration", .statements = config_feed_statements, .n = &config_feed_statement_count},
        {.owner = "gateway replies", .statements = reply_statements, .n = &reply_statement_count},
        {.owner = "gateway customers", .statements = customer_statements, .n = &customer_statement_count},
        {.owner = "gateway search", .statements = customer_search_statements, .n = &customer_search_statement_count},
        {.owner = "gateway events", .statements = event_statements, .n = &event_statement_count},
        {.owner = "gateway nodes", .statements = node_statements, .n = &node_statement_count},
        {.owner = "gateway bulk jobs", .statements = bulk_statements, .n = &bulk_statement_count},
        {.owner = "gateway aggregates", .statements = aggregate_statements, .n = &aggregate_statement_count},
        {.owner = "gateway statistics", .statements = stat_statements, .n = &stat_statement_count},
        {.owner = "gateway updates", .statements = update_statements, .n = &update_statement_count},
};

/* Prepares one and compares the number of its parameters with the row. */
static void check_statement(struct component *component, const char *owner, const struct statement *statement)
{
	PGresult *result = PQprepare(component_connection(component), statement->name, statement->sql, 0, NULL);

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		fail_msg("%s, %s: %s", owner, statement->name, PQresultErrorMessage(result));
	PQclear(result);
	result = PQdescribePrepared(component_connection(component), statement->name);
	if (PQnparams(result) != statement->n_params)
		fail_msg("%s, %s: %d parameters, the row says %d", owner, statement->name, PQnparams(result),
		        statement->n_params);
	PQclear(result);
	component_sql(component, "DEALLOCATE ALL");
}

static void test_every_statement_fits_the_schema(void **state)
{
	size_t checked = 0;

	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		size_t n = tables[i].n ? *tables[i].n : tables[i].n_fixed;
		for (size_t j = 0; j < n; j++, checked++)
			check_statement(*state, tables[i].owner, &tables[i].statements[j]);
	}
	assert_true(checked > 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_every_statement_fits_the_schema, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
