#ifndef COMMON_BINDING_H
#define COMMON_BINDING_H

#include "common/emptied.h"

/*
 * SQL: the customer whom an external id, or a session, means at a time (us), null when nobody; the function
 * binding_at() written out, which PostgreSQL runs twice as fast inside a statement; a test compares the two. All
 * arguments are SQL. Intervals that hold a time begin before those that follow it, so that the first one in the order
 * of the index is the one, however many share a value.
 */
#define BOUND_CUSTOMER(workspace, node, kind, value, us)                                                               \
	"(SELECT b.customer_id FROM bindings b WHERE b.workspace_id = " workspace " AND b.node_id = " node " "         \
	"AND b.kind = " kind " AND b.value = " value " AND b.unbound_us > " us " AND b.bound_us >= " EMPTIED_US(       \
	        workspace, node, " AND y.time_us <= " us) " ORDER BY b.bound_us, b.customer_id LIMIT 1)"

#endif
