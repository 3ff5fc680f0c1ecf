#ifndef WORKERS_CONFIGURATION_RULES_H
#define WORKERS_CONFIGURATION_RULES_H

#include "common/command.h"
#include "common/kafka.h"

struct arena;

/*
 * What a configuration command becomes in the log of those who work by it: a record in the partition of the workspace,
 * so that the rules of a node and the records that they govern have one order, also in a replay.
 *
 *   command                      topic              record
 *   CONFIG_PUT, entry node       customer-commands  NODE_RULES       text = seq, body = node document
 *   CONFIG_PUT, aggregate node   changes            AGGREGATE_RULES  text = seq, body = node document
 *   CONFIG_EMPTY                 customer-commands  NODE_EMPTY       text = seq, body = {"eventsOnly": bool}
 *
 * Nobody replies to the rules of a node. Customer-merge answers the original request of a NODE_EMPTY, so id,
 * Idempotency-Key and reply address stay. seq is the configuration's, as a decimal number. A record may come twice with
 * the same seq: the later one is dropped.
 */

/* False for commands that have no rule. kind: of the document, absent for CONFIG_EMPTY. */
bool rule_topic(struct arena *arena, const struct command *command, struct str kind, enum topic *ret_topic);

void rule_make(
        struct arena *arena, const struct command *original, enum topic topic, int64_t seq, struct command *ret_rule);

#endif
