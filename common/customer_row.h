#ifndef COMMON_CUSTOMER_ROW_H
#define COMMON_CUSTOMER_ROW_H

#include "common/customer.h"
#include "common/db.h"

/* Columns of a customer, from `customers c`, as customer_row_read takes them. */
#define CUSTOMER_ROW_COLUMNS                                                                                           \
	"c.id, c.node_id, c.int_id, c.version, c.registered_us, c.updated_us, c.registered_by, c.updated_by, "         \
	"c.external_id, c.enabled, c.doc::text"
#define CUSTOMER_ROW_DOC 10 /* the document's place among them */
#define CUSTOMER_ROW_WIDTH 11
/* One row takes less of an arena, also the densest profile (of 8 MB of documents). */
#define CUSTOMER_ROW_ARENA_BYTES ((size_t)512 * 1024 * 1024)

/* Reads a row of a binary result whose column `first` is the first of CUSTOMER_ROW_COLUMNS. Nothing points into the
   result afterwards. Fails only when the stored document is no JSON object. */
bool customer_row_read(struct arena *arena, const PGresult *result, int row, int first, struct customer *ret_customer,
        struct err *err) must_check;

#endif
