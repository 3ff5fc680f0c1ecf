#ifndef AGGREGATE_SYNC_PROFILE_H
#define AGGREGATE_SYNC_PROFILE_H

#include "common/customer.h"

struct arena;

/*
 * The merge of entry customers into the profile of an aggregate node: pure, a function of the members and the node.
 *
 * A scalar is the most recently updated member's that has it (ties: order of entryNodes, then the lower id). Objects
 * are merged member by member, lists united; of items with the same id the most recent member's stays. A leaf of the
 * consents is what was said last of it (consent_times.h), but an objection or limitation that is set anywhere stands.
 * Extended properties with a mergePolicy follow it: see below.
 */

/* What the documents of an aggregate node say. Strings belong to the document. */
struct profile_node {
	struct uuid workspace, id;
	const struct uuid *entry_nodes; /* their order is their priority */
	size_t n_entry_nodes;
	const struct json *filters; /* exclusionFilters */
	struct customer_policy matching;
	const struct json *extended; /* definitions of the workspace's extended customer properties, or NULL */
};

struct profile_node profile_node_read(struct arena *arena, const struct uuid *workspace, const struct uuid *id,
        const struct json *doc, const struct json *extended);

/* Place of a node among the entry nodes; n_entry_nodes when it is none of them. */
size_t profile_rank_of(const struct profile_node *node, const struct uuid *entry_node);

/* Which profile a customer belongs to: that of its matching properties, or one of its own when it lacks any of them. */
struct uuid profile_id(struct arena *arena, const struct profile_node *node, const struct customer *member);

/*
 * The profile of at least one member. int_id and registered_us are the lowest of the members', updated_us the highest,
 * version the sum, so that they, too, follow from the set. The document shares values with the members'.
 */
struct customer profile_merge(struct arena *arena, const struct profile_node *node, const struct uuid *id,
        const struct customer *members, size_t n);

/* True when a filter hides the profile. */
bool profile_is_excluded(const struct profile_node *node, const struct customer *profile);

/*
 * The nine merge policies of extended properties; values come from the members that have one, by priority of their
 * nodes, then by registration. OBJ_PRIORITY the first; OBJ_CONCATENATE texts joined by a blank; ARRAY_UNION and
 * ARRAY_INTERSECTION; MATH_SUM, MATH_AVG, MATH_MIN, MATH_MAX; MATH_DIFF the first less the others. NULL when the policy
 * is unknown or does not fit the values: the most recent value then stands.
 */
struct json *profile_apply_policy(struct arena *arena, struct str policy, const struct json *const *values, size_t n);

#endif
