#ifndef WORKERS_EVENT_INGEST_INGEST_H
#define WORKERS_EVENT_INGEST_INGEST_H

#include "common/worker.h"

/*
 * event-ingest: puts events into the events table. What it does with an event depends on facts that customer-merge
 * writes (bindings, tombstones, emptied nodes) and that may come before or after the event; both sides lock what they
 * look for (common/locks.h) and decide by effective times, so the order in which the two logs are read does not show.
 */
bool event_ingest_handle(struct batch *batch, struct err *err) must_check;

extern const struct statement event_ingest_statements[];
extern const size_t event_ingest_statement_count;

extern const struct worker_definition event_ingest_definition;

#endif
