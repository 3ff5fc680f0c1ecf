#ifndef WORKERS_STATS_ROLLUP_ROLLUP_H
#define WORKERS_STATS_ROLLUP_ROLLUP_H

#include "common/worker.h"

/*
 * stats-rollup: keeps the counters of the analytics operations. A fact only says which entity changed: what the entity
 * is worth now is read from its table by the views of deploy/sql/004_statistics.sql, and the counters get the
 * difference to the share that was counted before. So a fact may come twice or late, and the counters are a function of
 * the entities.
 */
bool rollup_handle(struct batch *batch, struct err *err) must_check;
/* Counts workspaces again whose time zone has changed. */
bool rollup_background(struct batch *batch, bool *ret_more, struct err *err) must_check;

extern const struct statement rollup_statements[];
extern const size_t rollup_statement_count;

extern const struct worker_definition rollup_definition;

#endif
