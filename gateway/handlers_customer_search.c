#include "common/arena.h"
#include "common/customer.h"
#include "common/customer_row.h"
#include "gateway/customer_access.h"
#include "gateway/customer_search.h"
#include "gateway/gateway.h"
#include "gateway/handlers.h"

#define DEFAULT_SIZE 10
#define MAX_SIZE 50

/*
 * The two searches that most clients send have fixed statements: all customers of a node, and those with an external
 * id, last update first. The total counts no further than CUSTOMER_SEARCH_MAX; the page is made of what the index on
 * the order holds, so that far pages do not read the customers before them; the left joins give one row with the total
 * when the page is empty.
 */
#define FIXED_SEARCH(condition)                                                                                        \
	"SELECT t.n, " CUSTOMER_ROW_COLUMNS " FROM (SELECT count(*) AS n FROM (SELECT FROM customers c WHERE "         \
	"c.workspace_id = $1 AND c.node_id = $2" condition " LIMIT 10000) x) t LEFT JOIN (SELECT c.id, c.updated_us "  \
	"FROM customers c WHERE c.workspace_id = $1 AND c.node_id = $2" condition " ORDER BY c.updated_us DESC, c.id " \
	"LIMIT $3 OFFSET $4) p ON true LEFT JOIN customers c ON c.workspace_id = $1 AND c.id = p.id "                  \
	"ORDER BY p.updated_us DESC, p.id"

const struct statement customer_search_statements[] = {
        {.name = "customer_search_node", .sql = FIXED_SEARCH(""), .n_params = 4},
        {.name = "customer_search_external_id", .sql = FIXED_SEARCH(" AND c.external_id = $5"), .n_params = 5},
};
const size_t customer_search_statement_count = ARRAY_LEN(customer_search_statements);

struct search {
	struct customer_search what;
	struct event_years years; /* that `what` points to */
	const struct config_node *node;
	struct page page;
	const struct customer_fields *fields; /* NULL = all */
};

static const struct json *declared_properties(const void *workspace, struct str set)
{
	return config_extended(workspace, set);
}

static bool hide_password(struct request *request)
{
	return request_gateway(request)->settings->hash_passwords;
}

static void answer(struct request *request, const PGresult *result)
{
	const struct search *search = request_state(request);

	customer_answer_page(request, result, &search->page, search->fields);
}

static void send_fixed(struct request *request, const struct search *search, struct db_params *params)
{
	int64_t limit, offset;

	customer_search_window(search->page.number, search->page.size, &limit, &offset);
	db_param_i64(params, limit);
	db_param_i64(params, offset);
	if (search->what.external_id.p)
		db_param_text(params, search->what.external_id);
	request_query(request, search->what.external_id.p ? "customer_search_external_id" : "customer_search_node",
	        NULL, params, answer);
}

static void send_dynamic(struct request *request, const struct search *search, struct db_params *params)
{
	struct sql sql;
	struct err err = {0};
	int64_t limit, offset;

	if (!customer_search_sql(request_arena(request), &search->what, &sql, &err)) {
		request_fail_err(request, &err);
		return;
	}
	customer_search_window(search->page.number, search->page.size, &limit, &offset);
	sql_param(&sql, params);
	db_param_i64(params, limit);
	db_param_i64(params, offset);
	request_query(request, NULL, sql.text.p, params, answer);
}

static bool read_sort(struct request *request, struct search *search)
{
	struct err err = {0};
	struct str text;

	for (size_t n = 0; (text = request_param_at(request, "sort", n)).p; n++) {
		if (!sort_parse(&search->what.sort, &search->what.source, text, &err)) {
			request_fail_err(request, &err);
			return false;
		}
	}
	return true;
}

/* A parameter that is there but empty counts as not sent: some clients send all that they know. */
static struct str param(struct request *request, const char *name)
{
	struct str value = request_param(request, name);

	return value.n ? value : STR_NONE;
}

void customer_search(struct request *request)
{
	struct arena *arena = request_arena(request);
	struct search *search = arena_zalloc(arena, sizeof(*search));

	search->years = request_years(request);
	search->what.source = (struct attribute_source){.extended = declared_properties,
	        .context = request_workspace(request),
	        .years = &search->years,
	        .hide_password = hide_password(request)};
	search->what.external_id = param(request, "externalId");
	search->what.query = param(request, "query");
	search->fields = customer_fields_parse(arena, param(request, "fields"));
	request_set_state(request, search);
	if (!request_node_access(request, request_param(request, "nodeId"), false, &search->node) ||
	        !request_page(request, DEFAULT_SIZE, MAX_SIZE, &search->page) || !read_sort(request, search))
		return;
	search->what.source.of_profiles = search->node->aggregate;
	struct db_params *params = request_params_of(request, &search->node->id);
	if (search->what.query.p || search->what.sort.n)
		send_dynamic(request, search, params);
	else
		send_fixed(request, search, params);
}
