#ifndef COMMON_EMPTIED_H
#define COMMON_EMPTIED_H

/*
 * SQL: since when (microseconds) a node's customers and their bindings are those of after its last emptying, 0 when all
 * are. What is older has gone for every command, although it is removed in steps (node_emptyings). workspace and node
 * are SQL, further conditions on y may follow. The table is empty nearly always, which is asked once for a statement
 * and not for each row.
 */
#define EMPTIED_US(workspace, node, more)                                                                              \
	"CASE WHEN EXISTS (SELECT FROM node_emptyings) THEN COALESCE((SELECT max(y.time_us) FROM node_emptyings y "    \
	"WHERE y.workspace_id = " workspace " AND y.node_id = " node " AND y.customers" more "), 0) ELSE 0 END"

#endif
