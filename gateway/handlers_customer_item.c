#include "common/arena.h"
#include "common/buf.h"
#include "gateway/customer_access.h"
#include "gateway/handlers.h"

/* Educations, jobs, likes and subscriptions of a customer: one set of handlers, the route's variant says which list. */

static enum item_kind kind_of(struct request *request)
{
	return (enum item_kind)request_route(request)->variant;
}

static struct str path_id(struct request *request)
{
	return request_path(request, kind_of(request) == ITEM_SUBSCRIPTION ? "propertyId" : "id");
}

static void item_not_found(struct request *request)
{
	request_fail_not_found(request, customer_item_name(kind_of(request)), path_id(request));
}

/* A customer that holds nothing but the item: its schema knows what an item may be. */
static struct json *wrap(struct arena *arena, enum item_kind kind, const struct json *item)
{
	struct json *customer = json_new(arena, JSON_OBJECT);
	struct json *base = json_add(customer, STR("base"), json_new(arena, JSON_OBJECT));
	struct json *list = json_add(base, customer_item_list(kind), json_new(arena, JSON_ARRAY));

	json_append(list, json_copy(arena, item, false));
	return customer;
}

/* Pointers into the wrapping become pointers into the item. */
static void unwrap_pointers(struct arena *arena, enum item_kind kind, struct problems *problems)
{
	struct str list = customer_item_list(kind);
	struct str prefix = str_of(arena_printf(arena, "/base/%.*s/0", STR_ARG(list)));

	for (size_t i = 0; i < problems->n; i++) {
		struct str *path = &problems->items[i].path;

		if (str_starts(*path, prefix))
			*path = (struct str){path->p + prefix.n, path->n - prefix.n};
	}
}

/* Answers 400 itself and returns false. */
static bool check_item(struct request *request, const struct json *item)
{
	struct arena *arena = request_arena(request);
	struct problems *problems = arena_alloc(arena, sizeof(*problems));
	enum item_kind kind = kind_of(request);
	struct str name = customer_item_name(kind);
	struct json *customer = wrap(arena, kind, item);

	problems_init(problems, arena);
	customer_validate(request, customer, problems);
	unwrap_pointers(arena, kind, problems);
	/* so that the customer can be sent as it was read */
	if (json_depth(customer) > JSON_MAX_SENT_DEPTH)
		problems_add(problems, STR(""), "nesting that is too deep");
	if (kind == ITEM_SUBSCRIPTION && json_is_null(json_member(item, "subscribed")))
		problems_add(problems, STR("/subscribed"), "is required");
	if (problems->n == 0)
		return true;
	request_fail_problems(request, str_of(arena_printf(arena, "%.*s is not valid", STR_ARG(name))), problems);
	return false;
}

static void send_item(struct request *request, enum command_type type, const struct uuid *customer,
        const struct config_node *node, struct str id)
{
	struct command command;

	customer_command(request, &command, type, customer, node);
	command.item = (uint8_t)kind_of(request);
	command.text = id;
	if (type != COMMAND_ITEM_DELETE)
		command.body = request_body_text(request);
	customer_send(request, &command);
}

static void create(struct request *request, const struct uuid *customer, const struct config_node *node)
{
	const struct json *item = request_body(request);

	if (!node || check_item(request, item))
		send_item(request, COMMAND_ITEM_POST, customer, node, json_text(json_member(item, "id")));
}

void item_create(struct request *request)
{
	customer_find_node(request, true, create);
}

/* The id is the one of the path; the body may lack it or hold another. */
static void put(struct request *request, const struct uuid *customer, const struct config_node *node)
{
	struct arena *arena = request_arena(request);
	struct json *item = json_copy(arena, request_body(request), false);
	struct str id = path_id(request);

	if (id.n == 0 || str_utf8_length(id) > CUSTOMER_MAX_ITEM_ID) {
		item_not_found(request);
		return;
	}
	json_set(item, STR("id"), json_new_str(arena, STR("id")));
	if (!node || check_item(request, item))
		send_item(request, COMMAND_ITEM_PUT, customer, node, id);
}

void item_put(struct request *request)
{
	customer_find_node(request, true, put);
}

static void remove_item(struct request *request, const struct uuid *customer, const struct config_node *node)
{
	if (path_id(request).n > COMMAND_MAX_TEXT_BYTES)
		item_not_found(request);
	else
		send_item(request, COMMAND_ITEM_DELETE, customer, node, path_id(request));
}

void item_delete(struct request *request)
{
	customer_find_node(request, true, remove_item);
}

static void answer_item(struct request *request, const struct customer *customer)
{
	const struct json *item = customer_item_find(customer->doc, kind_of(request), path_id(request));
	struct buf body;

	if (!item) {
		item_not_found(request);
		return;
	}
	buf_init(&body, request_arena(request), 512);
	customer_item_render(&body, kind_of(request), item);
	request_answer(request, 200, buf_str(&body));
}

void item_get(struct request *request)
{
	customer_find(request, answer_item);
}
