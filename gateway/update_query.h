#ifndef GATEWAY_UPDATE_QUERY_H
#define GATEWAY_UPDATE_QUERY_H

#include "common/problems.h"

/* What is asked of the update stream, and where the next request goes on. Pure. */
#define UPDATE_DEFAULT_SIZE 50
#define UPDATE_MAX_SIZE 4000
/* Entries that one request with a filter looks at: a filter that matches rarely must not read the whole stream. */
#define UPDATE_SCAN_ENTRIES 100000

/* Query parameters as sent; absent and empty ones count as not sent. */
struct update_text {
	struct str size, offset, timestamp, entity;
};

struct update_query {
	int64_t size;
	int64_t offset;  /* the greatest that is known */
	int64_t time_us; /* asked for by time: the offset before its first change is to be found; else -1 */
	int16_t entity;  /* enum entity_kind, 0 = any */
};

/* One problem per fault, with the parameter's name as its path. A timestamp beside an offset is ignored, right or
 * wrong. */
void update_query_read(const struct update_text *text, struct update_query *ret_query, struct problems *problems);

/* What a request found. */
struct update_page {
	int64_t offset, size; /* as asked for */
	int64_t head;         /* last offset of the workspace, from the same snapshot */
	bool filtered;        /* then offsets up to offset + UPDATE_SCAN_ENTRIES were looked at */
	int64_t n;            /* entries found */
	int64_t last;         /* offset of the last one */
};

/* nextOffset: behind it nothing that matches has been passed over. The request's own offset when nothing is new; with a
   filter and more entries to come it moves on even without a match. */
int64_t update_next_offset(const struct update_page *page);

extern const char *const update_entity_names[3];    /* by enum entity_kind */
extern const char *const update_operation_names[4]; /* by enum change_operation */

#endif
