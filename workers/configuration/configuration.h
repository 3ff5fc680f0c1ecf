#ifndef WORKERS_CONFIGURATION_CONFIGURATION_H
#define WORKERS_CONFIGURATION_CONFIGURATION_H

#include "common/worker.h"

struct outbox;

/* configuration.c: applies a batch of config-commands to the table configuration. */
bool configuration_handle(struct batch *batch, struct err *err);

/*
 * outbox.c: after COMMIT, rules go from the table rule_outbox into customer-commands, one after the other and each
 * acknowledged by every replica before the next is sent. Only then is the write of a node answered: a client that has
 * its answer cannot place a customer command in front of the node's rules. A killed process's rules are published by
 * the next one; what was published twice is dropped by its reader (same seq).
 */
struct outbox *outbox_new(const struct settings *settings);
/* Tells that the transaction in work adds rules. */
void outbox_expect(struct outbox *outbox);
bool outbox_publish(struct outbox *outbox, struct db *db, struct err *err) must_check;

#define OUTBOX_STATEMENTS                                                                                              \
	{.name = "outbox_first",                                                                                       \
	        .sql = "SELECT workspace_id, seq, position, partition, record FROM rule_outbox "                       \
	               "ORDER BY seq, position LIMIT 1",                                                               \
	        .n_params = 0},                                                                                        \
	        {.name = "outbox_sent",                                                                                \
	                .sql = "DELETE FROM rule_outbox WHERE workspace_id = $1::uuid AND seq = $2::bigint "           \
	                       "AND position = $3::integer",                                                           \
	                .n_params = 3},                                                                                \
	{                                                                                                              \
		.name = "outbox_answered",                                                                             \
		.sql = "WITH sent AS (DELETE FROM rule_outbox WHERE workspace_id = $1::uuid "                          \
		       "AND seq = $2::bigint AND position = $3::integer RETURNING workspace_id) "                      \
		       "INSERT INTO command_results (workspace_id, command_id, keyed, fingerprint, status, "           \
		       "seq, created_us, body) SELECT workspace_id, $4::uuid, $5::boolean, $6::bigint, "               \
		       "$7::integer, $2, $8::bigint, $9::json FROM sent ON CONFLICT DO NOTHING",                       \
		.n_params = 9                                                                                          \
	}

#endif
