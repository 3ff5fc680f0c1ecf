#include "common/arena.h"
#include "common/buf.h"
#include "common/password.h"
#include "gateway/customer_access.h"
#include "gateway/customer_cache.h"
#include "gateway/gateway.h"
#include "gateway/handlers.h"

/* Writes with a session (query parameter sessionId). Answers 400 itself and returns false. */
static bool take_session(struct request *request, struct command *command)
{
	struct str session = request_param(request, "sessionId");

	if (str_utf8_length(session) > CUSTOMER_MAX_SESSION)
		return request_fail_param(request, "sessionId", "is longer than %d characters", CUSTOMER_MAX_SESSION);
	if (session.n)
		command->text = session;
	return true;
}

static bool take_mode(struct request *request, struct command *command)
{
	struct str mode = request_param(request, "mode");

	if (mode.n == 0)
		return true;
	if (!str_eq(mode, STR("STRICT")))
		return request_fail_param(request, "mode", "must be STRICT");
	command->flags |= COMMAND_STRICT;
	return true;
}

static bool is_empty(const struct json *value, enum json_type type)
{
	return json_is(value, type) && value->count == 0;
}

/* PHP cannot tell {} from []: what it fetched with an extended that has no members it puts back with a list. */
static void read_empty_extended(struct request *request)
{
	struct json *body = request_body(request);

	if (is_empty(json_member(body, "extended"), JSON_ARRAY))
		json_set(body, STR("extended"), json_new(request_arena(request), JSON_OBJECT));
}

/* The body as it is published: the text that came, unless something of it was read as something else. */
static bool take_body(struct request *request, struct command *command)
{
	struct json *body = request_body(request);
	bool hash = password_is_given(body) && request_gateway(request)->settings->hash_passwords;
	struct buf buf;

	command->body = request_body_text(request);
	if (!hash && !is_empty(json_member(body, "extended"), JSON_OBJECT))
		return true;
	if (hash && !password_hash(request_arena(request), body)) {
		request_fail(request, ERR_UNAVAILABLE, "%s", err_sentence(ERR_UNAVAILABLE));
		return false;
	}
	buf_init(&buf, request_arena(request), command->body.n + 128);
	json_write(&buf, body);
	command->body = buf_str(&buf);
	return true;
}

static struct customer_policy policy_of(const struct config_node *node)
{
	return (struct customer_policy){.unique = node->unique,
	        .n_unique = node->n_unique,
	        .mandatory = node->mandatory,
	        .n_mandatory = node->n_mandatory,
	        .case_sensitive = node->case_sensitive};
}

/* Collects everything that is wrong with a body and answers it; true when there is nothing. node NULL: see
   customer_find_node. */
static bool check_body(struct request *request, const struct config_node *node, bool whole)
{
	struct problems *problems = arena_alloc(request_arena(request), sizeof(*problems));
	const struct json *body = request_body(request);
	const struct json *node_id = json_member(body, "nodeId");
	struct customer_policy policy;
	struct uuid id;

	if (!node)
		return true;
	policy = policy_of(node);
	problems_init(problems, request_arena(request));
	read_empty_extended(request);
	customer_validate(request, body, problems);
	if (json_is(node_id, JSON_STRING) && (!uuid_parse(node_id->text, &id) || !uuid_eq(&id, &node->id)))
		problems_add(problems, STR("/nodeId"), "the node of a customer cannot be changed");
	if (node->aggregate)
		problems_add(problems, STR("/nodeId"), "customers are written to entry nodes");
	if (whole)
		customer_check_required(&policy, body, problems);
	if (problems->n == 0)
		return true;
	request_fail_problems(request, STR(CUSTOMER_NOT_VALID), problems);
	return false;
}

/*
 * What this gateway remembers for events (customer_cache.h) ends with some writes. Whoever gives an external id up
 * forgets it when the command is sent: an event that comes after that has its customer ensured behind the command in
 * the log.
 */
static void forget_external_id(const struct json *body)
{
	if (json_member(body, "externalId"))
		customer_cache_forget_external_ids(customer_cache_of_process());
}

/* POST */

static bool has_node_id(struct request *request, struct str *ret_node_id)
{
	struct problems *problems = arena_alloc(request_arena(request), sizeof(*problems));
	const struct json *node_id = json_member(request_body(request), "nodeId");

	*ret_node_id = json_text(node_id);
	if (ret_node_id->p)
		return true;
	problems_init(problems, request_arena(request));
	if (json_is_null(node_id))
		problems_add(problems, STR("/nodeId"), "is required");
	customer_validate(request, request_body(request), problems);
	request_fail_problems(request, STR(CUSTOMER_NOT_VALID), problems);
	return false;
}

/* True when the POST may free an external id that a customer has: the customer is found by something else, or by other
   letters together with something else. Letters that mean it by themselves stay its own. */
static bool may_move_external_id(const struct config_node *node, const struct json *body)
{
	for (size_t i = 0; i < node->n_unique; i++)
		if (str_is(node->unique[i], "externalId") && (node->case_sensitive || node->n_unique == 1))
			return false;
	return node->n_unique && json_is(json_member(body, "externalId"), JSON_STRING);
}

/* A new customer took nobody's external id away, one that was merged may have lost its own. */
static void forget_then_answer(struct request *request, const struct reply *reply)
{
	struct err err = {0};
	struct json *customer = reply->body.p ? json_parse(request_arena(request), reply->body, &err) : NULL;
	int64_t version;

	if (!json_to_i64(json_member(customer, "version"), &version) || version > 1)
		customer_cache_forget_external_ids(customer_cache_of_process());
	customer_answer_reply(request, reply);
}

void customer_create(struct request *request)
{
	const struct config_node *node;
	struct command command;
	struct str node_id;
	struct uuid id;

	if (!has_node_id(request, &node_id) || !request_node_access(request, node_id, true, &node) ||
	        !check_body(request, node, true))
		return;
	request_writes_node(request, &node->id);
	customer_command(request, &command, COMMAND_CUSTOMER_POST, &node->id, node);
	id = uuid_v7(command.time_us);
	command.entity = id;
	if (!take_session(request, &command) || !take_body(request, &command))
		return;
	customer_send_then(request, &command,
	        may_move_external_id(node, request_body(request)) ? forget_then_answer : customer_answer_reply);
}

/* PATCH, PUT, DELETE */

static void send_write(struct request *request, struct command *command)
{
	if (!take_session(request, command) || !take_mode(request, command) || !take_body(request, command))
		return;
	forget_external_id(request_body(request));
	customer_send(request, command);
}

static void patch(struct request *request, const struct uuid *customer, const struct config_node *node)
{
	struct command command;

	if (!check_body(request, node, false))
		return;
	customer_command(request, &command, COMMAND_CUSTOMER_PATCH, customer, node);
	send_write(request, &command);
}

void customer_patch(struct request *request)
{
	customer_find_node(request, true, patch);
}

static void put(struct request *request, const struct uuid *customer, const struct config_node *node)
{
	struct command command;

	if (!check_body(request, node, true))
		return;
	customer_command(request, &command, COMMAND_CUSTOMER_PUT, customer, node);
	send_write(request, &command);
}

void customer_put(struct request *request)
{
	customer_find_node(request, true, put);
}

static void forget_customer(struct request *request)
{
	struct uuid customer;

	if (request_path_uuid(request, "customerId", &customer))
		customer_cache_forget(
		        customer_cache_of_process(), config_workspace_id(request_workspace(request)), &customer);
}

/* Between the command and its reply an event may have found the customer still there. */
static void forget_again(struct request *request, const struct reply *reply)
{
	forget_customer(request);
	customer_answer_reply(request, reply);
}

static void remove_customer(struct request *request, const struct uuid *customer, const struct config_node *node)
{
	struct command command;

	customer_command(request, &command, COMMAND_CUSTOMER_DELETE, customer, node);
	forget_customer(request);
	customer_send_then(request, &command, forget_again);
}

void customer_delete(struct request *request)
{
	customer_find_node(request, true, remove_customer);
}

/* GET */

static void answer_found(struct request *request, const struct customer *customer)
{
	customer_answer(request, 200, customer);
}

void customer_get(struct request *request)
{
	customer_find(request, answer_found);
}
