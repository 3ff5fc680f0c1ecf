#ifndef AGGREGATE_SYNC_SYNC_H
#define AGGREGATE_SYNC_SYNC_H

#include "common/worker.h"

/*
 * aggregate-sync: keeps the profiles of aggregate nodes. A fact only names a customer: what the tables hold of it now
 * decides which profile it belongs to, and the profiles that it belonged and belongs to are made anew from all their
 * members (profile.h). So facts may come twice, late or not in order, and a build is the same work over all customers.
 */
bool sync_handle(struct batch *batch, struct err *err) must_check;
/* A step of a build. */
bool sync_background(struct batch *batch, bool *ret_more, struct err *err) must_check;

/* State of the process: how many rows a step of a build takes, by what the documents' size allows. */
struct sync_state {
	int64_t rows, most_rows;
};
void sync_state_init(struct sync_state *state, int64_t most_rows);
void *sync_open(struct worker *worker, struct err *err);

extern const struct statement sync_statements[];
extern const size_t sync_statement_count;

extern const struct worker_definition sync_definition;

#endif
