#include "common/customer_row.h"

#include "common/arena.h"

bool customer_row_read(
        struct arena *arena, const PGresult *result, int row, int first, struct customer *ret_customer, struct err *err)
{
	struct str external_id = arena_str(arena, db_text(result, row, first + 8));
	struct str doc = arena_str(arena, db_text(result, row, first + 10));

	*ret_customer = (struct customer){.id = db_uuid(result, row, first),
	        .node = db_uuid(result, row, first + 1),
	        .int_id = db_i64(result, row, first + 2),
	        .version = db_i64(result, row, first + 3),
	        .registered_us = db_i64(result, row, first + 4),
	        .updated_us = db_i64(result, row, first + 5),
	        .registered_by = db_uuid(result, row, first + 6),
	        .updated_by = db_uuid(result, row, first + 7)};
	ret_customer->doc = customer_doc_read(arena, doc, external_id, db_i64(result, row, first + 9), err);
	return ret_customer->doc;
}
