#include "common/arena.h"
#include "common/buf.h"
#include "common/event.h"
#include "gateway/aggregate_event.h"
#include "gateway/event_search.h"
#include "gateway/handlers.h"
#include "gateway/known_years.h"

#define DEFAULT_SIZE 10
#define MAX_SIZE 50
/* Bytes that an event takes around its stored JSON. */
#define SHAPE_BYTES 1024

struct search {
	struct event_search what;
	struct page page;
	struct db_array nodes;
	bool any_node; /* the request names none */
};

static void answer_nothing(struct request *request, const struct search *search)
{
	request_answer_page(request, &search->page, 0, json_new(request_arena(request), JSON_ARRAY));
}

static void write_event(const struct event_search *what, const PGresult *result, int row, struct buf *body)
{
	struct event_row event;

	event_row_read(result, row, 1, &event);
	if (what->on_aggregate && !db_is_null(result, row, 1 + EVENT_COLUMN_COUNT)) {
		struct uuid profile = db_uuid(result, row, 1 + EVENT_COLUMN_COUNT);
		event_show_on_aggregate(&event, &what->aggregate, &profile);
	}
	event_render(body, &event, NULL);
}

static void answer_found(struct request *request, const PGresult *result)
{
	const struct search *search = request_state(request);
	size_t bytes = db_column_bytes(result, EVENT_COLUMN_COUNT) + (size_t)PQntuples(result) * SHAPE_BYTES;
	struct buf body;

	if (!request_page_begin(request, &body, bytes))
		return;
	for (int row = 0; row < PQntuples(result); row++) {
		if (db_is_null(result, row, 1))
			continue; /* the page is empty */
		request_page_next(&body);
		write_event(&search->what, result, row, &body);
	}
	request_page_answer(request, &body, &search->page, db_i64(result, 0, 0));
}

/* An aggregate node's events are its own and its entry nodes'. */
static void search_aggregate(struct request *request, struct search *search, const struct config_node *node)
{
	search->what.on_aggregate = true;
	search->what.aggregate = node->id;
	db_array_init(&search->nodes, request_arena(request), DB_UUID);
	db_array_uuid(&search->nodes, &node->id);
	for (size_t i = 0; i < node->n_entry_nodes; i++)
		db_array_uuid(&search->nodes, &node->entry_nodes[i]);
}

/* The node asked for, or all that the caller may read. False when it has been answered. */
static bool add_nodes(struct request *request, struct search *search)
{
	const struct config_workspace *workspace = request_workspace(request);
	struct str node_id = request_param(request, "nodeId");
	const struct config_node *node;

	db_array_init(&search->nodes, request_arena(request), DB_UUID);
	if (node_id.n) { /* an empty parameter counts as not sent */
		if (!request_node_access(request, node_id, false, &node))
			return false;
		if (node->aggregate)
			search_aggregate(request, search, node);
		else
			db_array_uuid(&search->nodes, &node->id);
		return true;
	}
	search->any_node = true;
	for (size_t i = 0; i < config_node_count(workspace); i++) {
		node = config_node_at(workspace, i);
		if (request_may_use_node(request, &node->id, false))
			db_array_uuid(&search->nodes, &node->id);
	}
	return true;
}

/* NULL when any will do. */
static void add_names(struct db_params *params, bool restricted, const struct str *names, size_t n)
{
	struct db_array array;

	if (!restricted) {
		db_param_null(params);
		return;
	}
	db_array_init(&array, params->arena, DB_TEXT);
	for (size_t i = 0; i < n; i++)
		db_array_text(&array, names[i]);
	db_param_array(params, &array);
}

static void send_search(struct request *request, struct search *search)
{
	const struct event_search *what = &search->what;
	int64_t limit, offset;

	event_search_window(search->page.number, search->page.size, &limit, &offset);
	struct db_params *params = request_params(request);
	db_param_array(params, &search->nodes);
	add_names(params, what->has_types, what->types, what->n_types);
	add_names(params, what->has_contexts, what->contexts, what->n_contexts);
	db_param_i64(params, what->from_us);
	db_param_i64(params, what->to_us);
	db_param_i64(params, limit);
	db_param_i64(params, offset);
	request_years_params(request, params);
	if (what->by_customer)
		db_param_uuid(params, &what->customer);
	if (what->on_aggregate)
		db_param_uuid(params, &what->aggregate);
	request_query(request, event_search_statement(what), NULL, params, answer_found);
}

static bool read_search(struct request *request, struct search *search)
{
	struct event_search_text text = {
	        .customer = request_param(request, "customerId"),
	        .type = request_param(request, "type"),
	        .context = request_param(request, "context"),
	        .mode = request_param(request, "mode"),
	        .date_from = request_param(request, "dateFrom"),
	        .date_to = request_param(request, "dateTo"),
	        .sort = request_param(request, "sort"),
	};
	struct problems *problems = arena_alloc(request_arena(request), sizeof(*problems));

	problems_init(problems, request_arena(request));
	if (event_search_read(&text, &search->what, problems))
		return request_page(request, DEFAULT_SIZE, MAX_SIZE, &search->page);
	request_fail_problems(request, STR("The search is not valid"), problems);
	return false;
}

/* A profile's events are found in another way than an entry customer's. */
static void on_customer_node(struct request *request, const PGresult *result)
{
	struct search *search = request_state(request);
	if (!PQntuples(result)) { /* also a profile that is not there any more, whose own events are kept */
		answer_nothing(request, search);
		return;
	}
	struct uuid id = db_uuid(result, 0, 0);
	const struct config_node *node = config_node_find(request_workspace(request), &id);
	if (node && node->aggregate && request_may_use_node(request, &id, false))
		search_aggregate(request, search, node);
	send_search(request, search);
}

static void find_customer_node(struct request *request, const struct search *search)
{
	request_query(
	        request, "customer_node", NULL, request_params_of(request, &search->what.customer), on_customer_node);
}

void event_search(struct request *request)
{
	struct search *search = arena_zalloc(request_arena(request), sizeof(*search));

	request_set_state(request, search);
	if (!read_search(request, search) || !add_nodes(request, search))
		return;
	if (search->what.nothing || !search->nodes.n)
		answer_nothing(request, search);
	else if (search->any_node && search->what.by_customer && config_has_aggregates(request_workspace(request)))
		find_customer_node(request, search);
	else
		send_search(request, search);
}
