#include "common/arena.h"
#include "common/clock.h"
#include "common/db.h"
#include "common/log.h"
#include "tests/bench/raw.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * What PostgreSQL costs by itself: events put set by set into `bench_events`, a copy of `events` with the same indexes,
 * each set a durable transaction. Usage: raw_postgres ROWS BATCH CUSTOMERS BODY; CONTACTHUB_PG names the database.
 * Prints rows, seconds, own CPU seconds.
 */
#define ARENA_BYTES ((size_t)256 * 1024 * 1024)

static const struct statement statements[] = {
        {.name = "raw_insert",
                .sql = "INSERT INTO bench_events (workspace_id, id, node_id, customer_id, registered_us, updated_us, "
                       "date_us, version, type, context, source_id, body) SELECT * FROM unnest($1::uuid[], $2::uuid[], "
                       "$3::uuid[], $4::uuid[], $5::bigint[], $6::bigint[], $7::bigint[], $8::integer[], $9::text[], "
                       "$10::text[], $11::uuid[], $12::json[])",
                .n_params = 12},
};

static const enum db_element types[] = {
        DB_UUID, DB_UUID, DB_UUID, DB_UUID, DB_I64, DB_I64, DB_I64, DB_I32, DB_TEXT, DB_TEXT, DB_UUID, DB_JSON};

struct rows {
	struct arena *arena;
	struct db *db;
	struct uuid workspace, node;
	uint32_t customers;
	struct str body;
};

static struct uuid customer_of(uint32_t number)
{
	struct uuid id = {.b = {0x0b, 0xcc}};

	for (int i = 0; i < 4; i++)
		id.b[12 + i] = (uint8_t)(number >> (24 - 8 * i));
	return id;
}

static void add_row(const struct rows *rows, struct db_array *arrays)
{
	int64_t now_us = clock_wall_us();
	struct uuid id = uuid_v7(now_us), customer = customer_of((uint32_t)rand() % rows->customers);
	const struct uuid *ids[] = {&rows->workspace, &id, &rows->node, &customer};

	for (int i = 0; i < 4; i++)
		db_array_uuid(&arrays[i], ids[i]);
	for (int i = 4; i < 7; i++)
		db_array_i64(&arrays[i], now_us);
	db_array_i64(&arrays[7], 1);
	db_array_text(&arrays[8], STR("completedOrder"));
	db_array_text(&arrays[9], STR("ECOMMERCE"));
	db_array_uuid(&arrays[10], &rows->node);
	db_array_text(&arrays[11], rows->body);
}

static bool insert(struct rows *rows, int n, struct err *err)
{
	struct db_array arrays[ARRAY_LEN(types)];
	struct db_params params;

	arena_reset(rows->arena);
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		db_array_init(&arrays[i], rows->arena, types[i]);
	for (int i = 0; i < n; i++)
		add_row(rows, arrays);
	db_params_init(&params, rows->arena);
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		db_param_array(&params, &arrays[i]);
	PGresult *result = db_query(rows->db, statements[0].name, &params, err);
	PQclear(result);
	return result != NULL;
}

int main(int argc, char **argv)
{
	struct settings settings;
	struct rows rows = {.arena = arena_new(ARENA_BYTES)};
	struct err err = {0};

	if (argc != 5 || !settings_load(&settings))
		log_die("raw", "usage: raw_postgres ROWS BATCH CUSTOMERS BODY");
	settings_require(&settings, true, false);
	rows.workspace = rows.node = uuid_v7(clock_wall_us());
	rows.customers = (uint32_t)strtoul(argv[3], NULL, 10);
	rows.body = str_of(argv[4]);
	rows.db = db_open(&settings, "bench", &err);
	if (!rows.db || !rows.customers || !db_prepare(rows.db, statements, ARRAY_LEN(statements), &err))
		log_die("raw", "%s", err.message);
	int64_t began_us = clock_monotonic_us();
	double cpu_s = raw_cpu_s();
	long n = strtol(argv[1], NULL, 10), batch = strtol(argv[2], NULL, 10);
	for (long done = 0; done < n; done += batch)
		if (!insert(&rows, (int)batch, &err))
			log_die("raw", "%s", err.message);
	printf("%ld %.6f %.6f\n", n, (double)(clock_monotonic_us() - began_us) / 1e6, raw_cpu_s() - cpu_s);
	db_close(rows.db);
	arena_free(rows.arena);
	return 0;
}
