#ifndef WORKERS_CONFIGURATION_RULES_H
#define WORKERS_CONFIGURATION_RULES_H

#include "common/command.h"

struct arena;

/*
 * What a configuration command becomes in customer-commands: a record in the partition of the workspace, so that the
 * rules of a node and the commands that they govern have one order, also in a replay.
 *
 *   CONFIG_PUT of a node -> NODE_RULES  text = seq, body = node document; nobody replies to it
 *   CONFIG_EMPTY         -> NODE_EMPTY  text = seq, body = {"eventsOnly": bool}; customer-merge answers the original
 *                                       request, so id, Idempotency-Key and reply address stay
 *
 * seq is the configuration's, as a decimal number. A record may come twice with the same seq: the later one is dropped.
 */
void rule_make(struct arena *arena, const struct command *original, int64_t seq, struct command *ret_rule);

/* True for commands that have a rule. */
bool rule_wanted(const struct command *command, struct str kind);

#endif
