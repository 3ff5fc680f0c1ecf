#ifndef CUSTOMER_MERGE_RULES_H
#define CUSTOMER_MERGE_RULES_H

#include "common/customer.h"

/*
 * The rules of nodes as this worker knows them: the mirror of table node_rules. It lives as long as the process; what
 * it holds is checked against the table's seq in every batch (load.c), because another process may have had the
 * partition meanwhile, and is dropped when a transaction that changed it was rolled back.
 */
#define RULES_UNKNOWN (-1) /* seq of a node that has no row */

struct node_rules {
	struct uuid workspace;
	struct uuid node;
	int64_t seq;
	struct customer_policy policy; /* empty while seq is RULES_UNKNOWN */
	struct node_rules *next;
};

struct rules;

struct rules *rules_new(void);
void rules_free(struct rules *rules);

/* Drops everything. Pointers to entries are invalid afterwards. */
void rules_forget(struct rules *rules);

/* NULL when the table was not asked yet. Valid until rules_forget; rules_put fills the same entry anew. */
const struct node_rules *rules_find(const struct rules *rules, const struct uuid *workspace, const struct uuid *node);

/* Remembers a node's policy, copied. document NULL: the node has no rules. */
const struct node_rules *rules_put(struct rules *rules, const struct uuid *workspace, const struct uuid *node,
        int64_t seq, const struct json *document);
/* The node's rules stay, but were confirmed by a later record. */
void rules_set_seq(struct rules *rules, const struct uuid *workspace, const struct uuid *node, int64_t seq);

#endif
