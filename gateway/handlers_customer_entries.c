#include "common/arena.h"
#include "gateway/customer_access.h"
#include "gateway/handlers.h"

#define DEFAULT_SIZE 10
#define MAX_SIZE 50

static void on_entries(struct request *request, const PGresult *result)
{
	customer_answer_page(request, result, request_state(request), NULL);
}

static void list_entries(struct request *request, const struct customer *customer)
{
	struct arena *arena = request_arena(request);
	const struct config_node *node = config_node_find(request_workspace(request), &customer->node);
	struct page *page = arena_alloc(arena, sizeof(*page));

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
	request_query(request, "aggregate_entries", NULL, params, on_entries);
}

void customer_entries(struct request *request)
{
	customer_find(request, list_entries);
}
