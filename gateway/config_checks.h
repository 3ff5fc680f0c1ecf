#ifndef GATEWAY_CONFIG_CHECKS_H
#define GATEWAY_CONFIG_CHECKS_H

#include "common/err.h"
#include "common/problems.h"
#include "common/uuid.h"

struct arena;
struct config_workspace;
struct json;

/*
 * Checks of configuration bodies, without I/O. Each adds one problem per fault and makes the document to store out of
 * what was sent, with defaults filled in; it shares values with the body. NULL when there were problems.
 */

/* {"properties": [...], "caseSensitive": bool}: paths that exist, no repetition. Absent body = the default policy. */
struct json *check_policy(struct arena *arena, const struct json *body, struct str pointer,
        const struct json *customer_extended, struct problems *problems);
/* The policy of a node that is made without one: no unique property, so that every POST makes a customer. */
struct json *default_policy(struct arena *arena);
bool policy_equal(const struct json *a, const struct json *b);

/* Entry node, from a POST (stored NULL) or a PUT (needs uniqueCustomer, and the node's own id if it has one). A policy
   that is sent names a property, unless the node has none and is put as it was read. */
struct json *check_entry_node(struct arena *arena, const struct json *body, const struct uuid *id,
        const struct json *stored, const struct config_workspace *workspace, struct problems *problems);

/*
 * Aggregate node, from a POST (present NULL) or a PUT: then entryNodes and matchingProperties are those of the present
 * document, whatever else the body says of them is a fault, and filters that are not sent stay. The state is not set.
 */
struct json *check_aggregate_node(struct arena *arena, const struct json *body, const struct uuid *id,
        const struct json *present, const struct config_workspace *workspace, struct problems *problems);

/*
 * The state that an aggregate node takes when `wanted` (NULL or null = none in particular) is asked for; `locked`: an
 * active one is, or may have been, shown as LOCKED. The one step that may be asked for is from NEW to ACTIVE; asking
 * for what it is changes nothing. ERR_INVALID when it is no state, ERR_CONFLICT for another step.
 */
bool aggregate_state_next(
        struct str present, bool locked, const struct json *wanted, struct str *ret_next, struct err *err) must_check;

/* Source; present NULL = POST, then the provider must still be creatable. tokenSha256 is not set. *ret_unknown_node
   names a node that the workspace does not have (404). */
struct json *check_source(struct arena *arena, const struct json *body, const struct uuid *id,
        const struct json *present, const struct config_workspace *workspace, struct str *ret_unknown_node,
        struct problems *problems);

/* {name, slug, groupPk, shard}: views into the body. */
struct new_workspace {
	struct str name, slug, shard;
	int64_t group;
};
bool check_workspace(const struct json *body, struct new_workspace *ret_new, struct problems *problems);

/* Map of event types to {maxBytes}. */
struct json *check_payload_size(struct arena *arena, const struct json *body, struct problems *problems);

/* {"<name>": integer between min and max}. */
bool check_number(const struct json *body, struct str name, int64_t min, int64_t max, int64_t *ret_value,
        struct problems *problems);
/* {"<name>": bool}. */
bool check_bool(const struct json *body, struct str name, bool *ret_value, struct problems *problems);

#endif
