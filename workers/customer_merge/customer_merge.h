#ifndef CUSTOMER_MERGE_CUSTOMER_MERGE_H
#define CUSTOMER_MERGE_CUSTOMER_MERGE_H

#include "common/worker.h"

/*
 * customer-merge applies the commands on customers, their items and sessions, in the order of the log: handle.c cuts a
 * batch into runs, load.c reads what a run needs, apply.c takes one command after the other (merge.c decides), write.c
 * writes.
 */
extern const struct worker_definition customer_merge;

/* The definition's state, also for tests, which run batches without a process of their own. The statements are
 * prepared. */
struct customer_merge_state;
struct customer_merge_state *customer_merge_open(struct db *db, bool hide_password, struct err *err) must_check;
/* Rows of a node that is emptied that go with the command; a tenth of them in each step behind it. */
void customer_merge_empty_at_once(struct customer_merge_state *state, int64_t n_rows);
void customer_merge_close(struct customer_merge_state *state);

#endif
