#include "common/arena.h"
#include "gateway/customer_access.h"
#include "gateway/handlers.h"

#define DEFAULT_SIZE 10
#define MAX_SIZE 50

static void on_entries(struct request *request, const PGresult *result)
{
	customer_answer_page(request, result, request_state(request), NULL);
}

/* Of the entry nodes those that the caller may read; true: all of them. */
static bool readable_nodes(struct request *request, const struct config_node *node, struct db_array *ret_nodes)
{
	bool all = true;

	db_array_init(ret_nodes, request_arena(request), DB_UUID);
	for (size_t i = 0; i < node->n_entry_nodes; i++)
		if (request_may_use_node(request, &node->entry_nodes[i], false))
			db_array_uuid(ret_nodes, &node->entry_nodes[i]);
		else
			all = false;
	return all;
}

/* A profile shows what its members have in common; each of them is its own node's. */
static void list_entries(struct request *request, const struct customer *customer)
{
	struct arena *arena = request_arena(request);
	const struct config_node *node = config_node_find(request_workspace(request), &customer->node);
	struct page *page = arena_alloc(arena, sizeof(*page));
	const char *statement = "aggregate_entries";
	struct db_array nodes;

	if (!node || !node->aggregate) {
		customer_not_found(request);
		return;
	}
	if (!request_page(request, DEFAULT_SIZE, MAX_SIZE, page))
		return;
	request_set_state(request, page);
	struct db_params *params = request_params_of(request, &customer->id);
	db_param_uuid(params, &customer->node);
	db_param_i64(params, page->size);
	db_param_i64(params, page->number * page->size);
	if (!readable_nodes(request, node, &nodes)) {
		statement = "aggregate_entries_of_nodes";
		db_param_array(params, &nodes);
	}
	request_query(request, statement, NULL, params, on_entries);
}

void customer_entries(struct request *request)
{
	customer_find(request, list_entries);
}
