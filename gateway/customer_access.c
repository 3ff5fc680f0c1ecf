#include "gateway/customer_access.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/customer_row.h"
#include "gateway/customer_cache.h"
#include "gateway/gateway.h"
#include "gateway/handlers.h"

/* Bytes that a customer's shape takes around its document. */
#define SHAPE_BYTES 2048

/* A customer without sessions gives one row of nulls. A range of one customer, in the order of its index: where few
   customers have all sessions, the planner would read everybody's. */
#define SESSIONS(which)                                                                                                \
	"SELECT c.node_id, b.session_id, b.value FROM customers c LEFT JOIN LATERAL (SELECT b.session_id, b.value, "   \
	"b.bound_us FROM bindings b WHERE b.workspace_id = c.workspace_id AND b.customer_id >= c.id "                  \
	"AND b.customer_id <= c.id AND b.kind = 1 AND b.unbound_us = 9223372036854775807" which                        \
	" ORDER BY b.customer_id, b.kind, b.bound_us OFFSET 0) b ON true "                                             \
	"WHERE c.workspace_id = $1::uuid AND c.id = $2::uuid ORDER BY b.bound_us"

const struct statement customer_statements[] = {
        {.name = "customer_node",
                .sql = "SELECT c.node_id FROM customers c WHERE c.workspace_id = $1::uuid AND c.id = $2::uuid",
                .n_params = 2,
                .by_key = true},
        {.name = "customer_by_id",
                .sql = "SELECT " CUSTOMER_ROW_COLUMNS
                       " FROM customers c WHERE c.workspace_id = $1::uuid AND c.id = $2::uuid",
                .n_params = 2,
                .by_key = true},
        {.name = "customer_sessions", .sql = SESSIONS("") " LIMIT 10000", .n_params = 2},
        {.name = "customer_session", .sql = SESSIONS(" AND b.session_id = $3::uuid"), .n_params = 3},
};
const size_t customer_statement_count = ARRAY_LEN(customer_statements);

/* A step that goes on with a customer of the path. */
struct step {
	struct uuid customer;
	bool need_write;
	customer_then_fn *then;
	customer_read_fn *then_read;
};

void customer_not_found(struct request *request)
{
	request_fail_not_found(request, STR("customer"), request_path(request, "customerId"));
}

/* Begins a step for the customer of the path; NULL when it has been answered. */
static struct step *begin(struct request *request, const char *statement, request_result_fn *on_result)
{
	struct step *step = arena_zalloc(request_arena(request), sizeof(*step));

	if (!request_path_uuid(request, "customerId", &step->customer)) {
		customer_not_found(request);
		return NULL;
	}
	request_set_state(request, step);
	request_query(request, statement, NULL, request_params_of(request, &step->customer), on_result);
	return step;
}

static void on_node(struct request *request, const PGresult *result)
{
	const struct step *step = request_state(request);
	const struct config_node *node = NULL;
	struct uuid id;

	if (PQntuples(result)) {
		id = db_uuid(result, 0, 0);
		node = config_node_find(request_workspace(request), &id);
		if (step->need_write)
			request_writes_node(request, &id);
	}
	if (!node && !request_header(request, "Idempotency-Key").p)
		customer_not_found(request);
	else if (node && !request_check_node(request, &id, step->need_write))
		return;
	else if (node && node->aggregate && step->need_write)
		request_fail(request, ERR_CONFLICT,
		        "the customers of an aggregate node follow from those of its entry nodes and cannot be "
		        "changed");
	else
		step->then(request, &step->customer, node);
}

void customer_find_node(struct request *request, bool need_write, customer_then_fn *then)
{
	struct step *step = begin(request, "customer_node", on_node);

	if (!step)
		return;
	step->need_write = need_write;
	step->then = then;
}

static void on_customer(struct request *request, const PGresult *result)
{
	const struct step *step = request_state(request);
	struct customer customer;
	struct err err = {0};

	if (!PQntuples(result))
		customer_not_found(request);
	else if (!customer_row_read(request_arena(request), result, 0, 0, &customer, &err))
		request_fail_err(request, &err);
	else if (request_check_node(request, &customer.node, false))
		step->then_read(request, &customer);
}

void customer_find(struct request *request, customer_read_fn *then)
{
	struct step *step = begin(request, "customer_by_id", on_customer);

	if (step)
		step->then_read = then;
}

void customer_answer(struct request *request, unsigned status, const struct customer *customer)
{
	struct buf body;

	buf_init(&body, request_arena(request), customer_doc_bytes(customer->doc) + SHAPE_BYTES);
	customer_render(&body, customer, NULL, request_gateway(request)->settings->hash_passwords);
	request_answer(request, status, buf_str(&body));
}

static bool write_customer(struct request *request, struct arena *scratch, const PGresult *rows, int row,
        const struct customer_fields *fields, struct buf *body)
{
	struct customer customer;
	struct err err = {0};

	if (!customer_row_read(scratch, rows, row, 1, &customer, &err)) {
		request_fail_err(request, &err);
		return false;
	}
	customer_render(body, &customer, fields, request_gateway(request)->settings->hash_passwords);
	return true;
}

void customer_answer_page(
        struct request *request, const PGresult *rows, const struct page *page, const struct customer_fields *fields)
{
	size_t bytes = db_column_bytes(rows, 1 + CUSTOMER_ROW_DOC) + (size_t)PQntuples(rows) * SHAPE_BYTES;
	struct arena *scratch;
	struct buf body;
	bool good = true;

	if (!request_page_begin(request, &body, bytes))
		return;
	scratch = arena_new(CUSTOMER_ROW_ARENA_BYTES);
	for (int row = 0; row < PQntuples(rows) && good; row++) {
		if (db_is_null(rows, row, 1))
			continue; /* the page is empty */
		request_page_next(&body);
		good = write_customer(request, scratch, rows, row, fields, &body);
		arena_reset(scratch);
	}
	arena_free(scratch);
	if (good)
		request_page_answer(request, &body, page, db_i64(rows, 0, 0));
}

/* Reading again what a finished command has written */

struct reread {
	struct uuid customer;
	unsigned status;
};

static void on_reread(struct request *request, const PGresult *result)
{
	const struct reread *reread = request_state(request);
	struct customer customer;
	struct err err = {0};

	if (!PQntuples(result)) { /* deleted meanwhile: the write took place all the same */
		request_answer_id(request, reread->status, &reread->customer);
	} else if (!customer_row_read(request_arena(request), result, 0, 0, &customer, &err)) {
		request_fail_err(request, &err);
	} else {
		customer_answer(request, reread->status, &customer);
	}
}

void customer_answer_by_id(struct request *request, const struct uuid *entity, unsigned status)
{
	struct reread *reread = arena_alloc(request_arena(request), sizeof(*reread));

	/* late or repeated, and nobody knows what it changed: the external id that the customer had may be free */
	customer_cache_forget_external_ids(customer_cache_of_process());
	*reread = (struct reread){.customer = *entity, .status = status};
	request_set_state(request, reread);
	request_query(request, "customer_by_id", NULL, request_params_of(request, entity), on_reread);
}

/* Commands */

bool customer_validate(struct request *request, const struct json *body, struct problems *problems)
{
	/* compiled when it is first asked for: that is all that changes in the workspace */
	struct config_workspace *workspace = (struct config_workspace *)request_workspace(request);

	return schema_validate(config_customer_schema(workspace), body, STR_NONE, problems);
}

void customer_command(struct request *request, struct command *command, enum command_type type,
        const struct uuid *customer, const struct config_node *node)
{
	request_command_init(request, command, type);
	command->entity = *customer;
	if (node)
		command->node = node->id;
}

/* The worker knows the path of the customer in conflict, the gateway the address under which clients reach it. */
static struct str complete_href(struct request *request, struct str body)
{
	struct arena *arena = request_arena(request);
	struct err err = {0};
	struct json *error = json_parse(arena, body, &err);
	struct json *href = json_path(error, STR("data.customer.href"));
	struct str base = request_public_url(request);
	struct buf buf;

	if (!json_is(href, JSON_STRING))
		return body;
	href->text = str_of(arena_printf(arena, "%.*s%.*s", STR_ARG(base), STR_ARG(href->text)));
	buf_init(&buf, arena, body.n + 128);
	json_write(&buf, error);
	return buf_str(&buf);
}

void customer_answer_reply(struct request *request, const struct reply *reply)
{
	struct str body = reply->body;

	if (reply->status == 409 && body.p)
		body = complete_href(request, body);
	request_answer(request, reply->status, body);
}

void customer_send_then(struct request *request, const struct command *command, request_reply_fn *on_reply)
{
	request_send_command(request, TOPIC_CUSTOMER_COMMANDS, config_workspace_partition(request_workspace(request)),
	        command, on_reply);
}

void customer_send(struct request *request, const struct command *command)
{
	customer_send_then(request, command, customer_answer_reply);
}
