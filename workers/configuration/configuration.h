#ifndef WORKERS_CONFIGURATION_CONFIGURATION_H
#define WORKERS_CONFIGURATION_CONFIGURATION_H

#include "common/worker.h"

struct outbox;

/* worker.c */
extern const struct worker_definition configuration_worker;

/* statements.c */
#define CONFIGURATION_STATEMENTS 9
extern const struct statement configuration_statements[CONFIGURATION_STATEMENTS];

/* configuration.c: applies a batch of config-commands to the table configuration. */
bool configuration_handle(struct batch *batch, struct err *err);

/*
 * outbox.c: after COMMIT, rules go from the table rule_outbox into their topics (rules.h), one after the other and each
 * acknowledged by every replica before the next is sent. Only then is the write of a node answered: a client that has
 * its answer cannot place a customer command in front of the node's rules. A killed process's rules are published by
 * the next one; what was published twice is dropped by its reader (same seq).
 */
struct outbox *outbox_new(const struct settings *settings);
/* The partition of `changes` that a workspace's rules go to. */
bool outbox_changes_partition(
        struct outbox *outbox, const struct uuid *workspace, uint32_t *ret_partition, struct err *err) must_check;
bool outbox_publish(struct outbox *outbox, struct db *db, struct err *err) must_check;

#endif
