#include "tests/component/component.h"

#include "common/clock.h"
#include "common/kafka.h"
#include "common/log.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define MIGRATIONS_DIR CONTACTHUB_SOURCE_DIR "/deploy/sql"

struct component {
	struct settings settings;
	PGconn *connection;
	char schema[64];
	char prefix[64];
	char text[4096];
};

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	char *text = calloc(1, 1 << 20);

	assert_non_null(file);
	assert_non_null(text);
	assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
	fclose(file);
	return text;
}

static int is_migration(const struct dirent *entry)
{
	return entry->d_name[0] >= '0' && entry->d_name[0] <= '9';
}

void component_migrate(struct component *component, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", MIGRATIONS_DIR, name);
	char *sql = read_file(path);
	component_sql(component, sql);
	free(sql);
}

static void migrate(struct component *component)
{
	struct dirent **names;
	int n = scandir(MIGRATIONS_DIR, &names, is_migration, alphasort);

	assert_true(n > 0);
	for (int i = 0; i < n; i++) {
		component_migrate(component, names[i]->d_name);
		free(names[i]);
	}
	free(names);
}

struct component *component_open(void)
{
	static unsigned serial;
	struct component *component = calloc(1, sizeof(*component));
	struct err err = {0};

	assert_non_null(component);
	log_init("component-test", LOG_WARN);
	snprintf(component->schema, sizeof(component->schema), "test_%d_%u", getpid(), ++serial);
	snprintf(component->prefix, sizeof(component->prefix), "test-%d-%u-%lld.", getpid(), serial,
	        (long long)clock_wall_us());
	setenv("CONTACTHUB_PG_SCHEMA", component->schema, 1);
	setenv("CONTACTHUB_TOPIC_PREFIX", component->prefix, 1);
	setenv("CONTACTHUB_CUSTOMER_PARTITIONS", "2", 1);
	setenv("CONTACTHUB_EVENT_PARTITIONS", "2", 1);
	setenv("CONTACTHUB_REPLY_PARTITIONS", "2", 1);
	assert_true(settings_load(&component->settings));
	settings_require(&component->settings, true, true);
	component->connection = PQconnectdb(component->settings.pg);
	assert_int_equal(PQstatus(component->connection), CONNECTION_OK);
	component_sqlf(component, "SET client_min_messages = warning; CREATE SCHEMA %s; SET search_path = %s",
	        component->schema, component->schema);
	migrate(component);
	assert_true(kafka_create_topics(&component->settings, 20000, &err));
	return component;
}

void component_close(struct component *component)
{
	component_sqlf(component, "DROP SCHEMA %s CASCADE", component->schema);
	PQfinish(component->connection);
	free(component);
}

const struct settings *component_settings(const struct component *component)
{
	return &component->settings;
}

PGconn *component_connection(struct component *component)
{
	return component->connection;
}

void component_sql(struct component *component, const char *sql)
{
	PGresult *result = PQexec(component->connection, sql);
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		print_error("%s", PQresultErrorMessage(result));
	assert_true(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK);
	PQclear(result);
}

/* The caller frees it. */
__attribute__((format(printf, 1, 0))) static char *format_sql(const char *format, va_list arguments)
{
	char *sql;

	assert_true(vasprintf(&sql, format, arguments) >= 0);
	return sql;
}

void component_sqlf(struct component *component, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	char *sql = format_sql(format, arguments);
	va_end(arguments);
	component_sql(component, sql);
	free(sql);
}

const char *component_text(struct component *component, const char *sql)
{
	PGresult *result = PQexec(component->connection, sql);

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		print_error("%s", PQresultErrorMessage(result));
	assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
	assert_int_equal(PQntuples(result), 1);
	snprintf(component->text, sizeof(component->text), "%s", PQgetvalue(result, 0, 0));
	PQclear(result);
	return component->text;
}

long long component_number(struct component *component, const char *sql)
{
	return strtoll(component_text(component, sql), NULL, 10);
}

long long component_numberf(struct component *component, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	char *sql = format_sql(format, arguments);
	va_end(arguments);
	long long number = component_number(component, sql);
	free(sql);
	return number;
}
