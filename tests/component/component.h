#ifndef TESTS_COMPONENT_H
#define TESTS_COMPONENT_H

#include "common/settings.h"

#include <libpq-fe.h>

/*
 * What a component test stands on: a schema of its own in the real PostgreSQL that CONTACTHUB_PG names, with all
 * migrations applied, and topics with a prefix of its own on the real Kafka that CONTACTHUB_KAFKA names. A missing
 * variable fails the test.
 */
struct component;

/* Sets CONTACTHUB_PG_SCHEMA and CONTACTHUB_TOPIC_PREFIX in the environment, so that processes that the test starts
 * agree. */
struct component *component_open(void);
void component_close(struct component *component); /* drops the schema */

const struct settings *component_settings(const struct component *component);
PGconn *component_connection(struct component *component);

/* Runs SQL; the test fails when PostgreSQL refuses it. */
void component_sql(struct component *component, const char *sql);
void component_sqlf(struct component *component, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* One migration once more, by its file's name: those that say of themselves what holds can be tried on tables of
 * before. */
void component_migrate(struct component *component, const char *name);
/* One number. */
long long component_number(struct component *component, const char *sql);
long long component_numberf(struct component *component, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* One text; valid until the next call. "" for null. */
const char *component_text(struct component *component, const char *sql);

#endif
