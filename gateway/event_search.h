#ifndef GATEWAY_EVENT_SEARCH_H
#define GATEWAY_EVENT_SEARCH_H

#include "common/catalog.h"
#include "common/problems.h"
#include "common/uuid.h"

struct arena;

/* A search reaches this many events: the total counts no further, pages behind it are empty. */
#define EVENT_SEARCH_MAX 10000

/* Parameters of a search as sent; absent or empty = not sent. */
struct event_search_text {
	struct str customer, type, context, mode, date_from, date_to, sort;
};

enum event_sort { EVENT_SORT_DATE, EVENT_SORT_REGISTERED, EVENT_SORT_UPDATED };

/* The same, understood. */
struct event_search {
	bool by_customer;
	struct uuid customer;
	bool has_types; /* else any type; n_types 0 then means that nothing can match */
	struct str types[EVENT_TYPE_COUNT];
	size_t n_types;
	bool has_contexts;
	struct str contexts[EVENT_CONTEXT_COUNT];
	size_t n_contexts;
	int64_t from_us, to_us; /* both included */
	enum event_sort sort;
	bool ascending;
	bool nothing; /* a customer that cannot be: the list is empty */
	/* Set by the caller: the node asked for, or the customer's, is an aggregate node. */
	bool on_aggregate;
	struct uuid aggregate;
};

/*
 * Pure. One problem per fault, its path is "/" and the parameter's name. Lists are separated by commas; mode is a
 * property of the type; dates travel in milliseconds, so the last one includes its whole millisecond. Orders other than
 * date are for one customer's events only: nothing keeps a node's events sorted by them.
 */
bool event_search_read(
        const struct event_search_text *text, struct event_search *ret_search, struct problems *problems);

/* Rows of a page: how many, after how many. *ret_limit 0 = the page lies behind what a search reaches. */
void event_search_window(int64_t page, int64_t size, int64_t *ret_limit, int64_t *ret_offset);

/* Name of the prepared statement for a search, of event_statements. */
const char *event_search_statement(const struct event_search *search);

#endif
