#include "common/arena.h"
#include "gateway/customer_access.h"
#include "gateway/handlers.h"

/* Sessions of a customer: values by which events find it. */

static void session_not_found(struct request *request)
{
	request_fail_not_found(request, STR("session"), request_path(request, "sessionId"));
}

/* The value of a new session. Answers 400 itself and returns false. */
static bool read_value(struct request *request, struct str *ret_value)
{
	const struct json *value = json_member(request_body(request), "value");
	struct problems *problems;

	*ret_value = json_text(value);
	if (ret_value->n && str_utf8_length(*ret_value) <= CUSTOMER_MAX_SESSION)
		return true;
	problems = arena_alloc(request_arena(request), sizeof(*problems));
	problems_init(problems, request_arena(request));
	if (json_is_null(value))
		problems_add(problems, STR("/value"), "is required");
	else
		problems_add(problems, STR("/value"), "must be a text of 1 to %d characters", CUSTOMER_MAX_SESSION);
	request_fail_problems(request, STR("session is not valid"), problems);
	return false;
}

static void create(struct request *request, const struct uuid *customer, const struct config_node *node)
{
	struct command command;
	struct str value;

	if (!read_value(request, &value))
		return;
	customer_command(request, &command, COMMAND_SESSION_POST, customer, node);
	command.text = value;
	customer_send(request, &command);
}

void session_create(struct request *request)
{
	customer_find_node(request, true, create);
}

static void remove_session(struct request *request, const struct uuid *customer, const struct config_node *node)
{
	struct command command;
	struct uuid session;

	if (!request_path_uuid(request, "sessionId", &session)) {
		session_not_found(request);
		return;
	}
	customer_command(request, &command, COMMAND_SESSION_DELETE, customer, node);
	command.text = request_path(request, "sessionId");
	customer_send(request, &command);
}

void session_delete(struct request *request)
{
	customer_find_node(request, true, remove_session);
}

/* Reading */

static struct json *session_of(struct arena *arena, const PGresult *rows, int row)
{
	struct json *session = json_new(arena, JSON_OBJECT);
	struct uuid id = db_uuid(rows, row, 1);
	char *text = arena_alloc(arena, UUID_TEXT_BYTES + 1);

	uuid_format(&id, text);
	json_add(session, STR("id"), json_new_str(arena, str_of(text)));
	json_add(session, STR("value"), json_new_str(arena, arena_str(arena, db_text(rows, row, 2))));
	return session;
}

/* False when it has been answered. */
static bool may_read(struct request *request, const PGresult *rows)
{
	struct uuid node;

	if (!PQntuples(rows)) {
		customer_not_found(request);
		return false;
	}
	node = db_uuid(rows, 0, 0);
	return request_check_node(request, &node, false);
}

/* Parameters for the customer of the path; NULL when it has been answered. */
static struct db_params *begin(struct request *request)
{
	struct uuid customer;

	if (!request_path_uuid(request, "customerId", &customer)) {
		customer_not_found(request);
		return NULL;
	}
	return request_params_of(request, &customer);
}

static void answer_list(struct request *request, const PGresult *rows)
{
	struct arena *arena = request_arena(request);
	struct json *list = json_new(arena, JSON_OBJECT);
	struct json *elements = json_add(list, STR("elements"), json_new(arena, JSON_ARRAY));

	if (!may_read(request, rows))
		return;
	for (int row = 0; row < PQntuples(rows); row++)
		if (!db_is_null(rows, row, 1))
			json_append(elements, session_of(arena, rows, row));
	request_answer_json(request, 200, list);
}

void session_list(struct request *request)
{
	struct db_params *params = begin(request);

	if (params)
		request_query(request, "customer_sessions", NULL, params, answer_list);
}

static void answer_one(struct request *request, const PGresult *rows)
{
	if (!may_read(request, rows))
		return;
	if (db_is_null(rows, 0, 1))
		session_not_found(request);
	else
		request_answer_json(request, 200, session_of(request_arena(request), rows, 0));
}

void session_get(struct request *request)
{
	struct db_params *params = begin(request);
	struct uuid session;

	if (!params)
		return;
	/* what is no UUID is looked for in vain, so that the customer is still judged first */
	db_param_uuid(params, request_path_uuid(request, "sessionId", &session) ? &session : NULL);
	request_query(request, "customer_session", NULL, params, answer_one);
}
