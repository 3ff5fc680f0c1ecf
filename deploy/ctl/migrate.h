#ifndef DEPLOY_CTL_MIGRATE_H
#define DEPLOY_CTL_MIGRATE_H

#include "common/err.h"
#include "common/settings.h"

#include <stdio.h>

/* A numbered file of deploy/sql, built in; the text ends with a NUL. */
struct migration {
	const char *name; /* "001_tables.sql"; the number in front is its place */
	const char *text;
	size_t n_bytes;
};
extern const struct migration migrations[];
extern const size_t migration_count;

/* Of the advisory lock that a migrating process holds; any number that nobody else uses. */
#define MIGRATE_LOCK_KEY "4858011200000001"

/*
 * Makes the schema and applies the migrations that are missing, each in a transaction of its own, one migrating process
 * at a time. Refuses when a file that was applied has another content now, or when the database knows migrations that
 * this build does not. Names what it does on `out` (NULL = silent).
 */
bool migrate(const struct settings *settings, FILE *out, struct err *err) must_check;

#endif
