#ifndef GATEWAY_AGGREGATE_NODE_H
#define GATEWAY_AGGREGATE_NODE_H

#include "gateway/request.h"

/*
 * Aggregate nodes as the API shows them. The state is the document's, but an ACTIVE node whose profiles are still being
 * made, or made anew, is LOCKED: aggregate-sync knows.
 */
struct aggregate_states;

/*
 * Finds out which aggregate nodes of the workspace are ready and goes on with `then`; at once when there is no such
 * node at all.
 */
typedef void aggregate_states_fn(struct request *request, const struct aggregate_states *states);
void aggregate_states_find(struct request *request, aggregate_states_fn *then);

struct str aggregate_state(const struct aggregate_states *states, const struct config_node *node);

/* Members of the document in the list of all nodes. */
struct json *aggregate_node_properties(struct arena *arena, const struct json *doc, struct str state);

#endif
