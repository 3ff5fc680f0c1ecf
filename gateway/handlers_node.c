#include "common/arena.h"
#include "common/emptied.h"
#include "gateway/aggregate_node.h"
#include "gateway/config_checks.h"
#include "gateway/config_write.h"
#include "gateway/customer_cache.h"
#include "gateway/handlers.h"

const struct statement node_statements[] = {
        /* those that are still to be removed, since the node was emptied, have no keys any more */
        {.name = "node_has_customers",
                .sql = "SELECT 1 FROM customers c WHERE c.workspace_id = $1::uuid AND c.node_id = $2::uuid "
                       "AND c.updated_us >= " EMPTIED_US("$1::uuid", "$2::uuid", "") " LIMIT 1",
                .n_params = 2},
};
const size_t node_statement_count = ARRAY_LEN(node_statements);

/* --- what the API shows ------------------------------------------------------------------------------------------ */

static void copy_member(struct arena *arena, struct json *to, const struct json *from, struct str name)
{
	const struct json *value = json_get(from, name);

	json_add(to, name, value ? json_copy(arena, value, false) : json_new(arena, JSON_NULL));
}

static struct json *entry_node_view(struct arena *arena, const struct json *doc)
{
	static const char *const members[] = {
	        "id", "name", "description", "imageUrl", "uniqueCustomer", "sourcePriority", "mandatoryProperties"};
	struct json *view = json_new(arena, JSON_OBJECT);

	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		copy_member(arena, view, doc, str_of(members[i]));
	return view;
}

/* In the list of all nodes, what belongs to the type stands apart. */
static struct json *node_view(struct request *request, const struct config_node *node)
{
	struct arena *arena = request_arena(request);
	const struct json *doc = node->doc;
	static const char *const members[] = {"id", "name", "description", "nodeType"};
	struct json *view = json_new(arena, JSON_OBJECT);

	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		copy_member(arena, view, doc, str_of(members[i]));
	json_add(view, STR("retentionState"), json_new_bool(arena, true));
	if (node->aggregate) {
		struct str state = aggregate_state(request_state(request), node);
		json_add(view, STR("properties"), aggregate_node_properties(arena, doc, state));
		return view;
	}
	struct json *properties = json_add(view, STR("properties"), json_new(arena, JSON_OBJECT));
	copy_member(arena, properties, doc, STR("uniqueCustomer"));
	copy_member(arena, properties, doc, STR("mandatoryProperties"));
	return view;
}

/* --- lists ---------------------------------------------------------------------------------------------------------
 */

static const struct config_node *node_at(struct request *request, size_t index)
{
	return config_node_at(request_workspace(request), index);
}

static bool node_wanted(struct request *request, size_t index)
{
	const struct config_node *node = node_at(request, index);
	struct str type = request_param(request, "nodeType");

	return (!type.n || str_is(type, "AGGREGATE") == node->aggregate) &&
	       request_may_use_node(request, &node->id, false);
}

static struct json *node_element(struct request *request, size_t index)
{
	return node_view(request, node_at(request, index));
}

static void list_nodes(struct request *request, const struct aggregate_states *states)
{
	(void)states; /* the elements take them from the request */
	config_answer_list(request, config_node_count(request_workspace(request)), node_wanted, node_element);
}

void node_list(struct request *request)
{
	struct str type = request_param(request, "nodeType");

	if (type.n && !str_is(type, "ENTRY") && !str_is(type, "AGGREGATE")) {
		request_fail_param(request, "nodeType", "must be ENTRY or AGGREGATE");
		return;
	}
	aggregate_states_find(request, list_nodes);
}

static bool entry_node_wanted(struct request *request, size_t index)
{
	const struct config_node *node = node_at(request, index);

	return !node->aggregate && request_may_use_node(request, &node->id, false);
}

static struct json *entry_node_element(struct request *request, size_t index)
{
	return entry_node_view(request_arena(request), node_at(request, index)->doc);
}

void entry_node_list(struct request *request)
{
	config_answer_list(
	        request, config_node_count(request_workspace(request)), entry_node_wanted, entry_node_element);
}

/* --- one node -------------------------------------------------------------------------------------------------------
 */

/* The entry node of the path; answers itself when there is none. */
static const struct config_node *path_node(struct request *request, bool need_write)
{
	struct str text = request_path(request, "nodeId");
	const struct config_node *node;

	if (!request_node_access(request, text, need_write, &node))
		return NULL;
	if (!node->aggregate)
		return node;
	request_fail_not_found(request, STR("node"), text);
	return NULL;
}

void entry_node_get(struct request *request)
{
	const struct config_node *node = path_node(request, false);

	if (node)
		request_answer_json(request, 200, entry_node_view(request_arena(request), node->doc));
}

static void answer_entry_node(struct request *request, const struct reply *reply)
{
	const struct json *doc = config_reply_document(request, reply);

	if (doc)
		request_answer_json(
		        request, request_route(request)->status, entry_node_view(request_arena(request), doc));
}

void entry_node_create(struct request *request)
{
	struct arena *arena = request_arena(request);
	struct problems problems;
	struct config_write write;

	config_write_init(request, &write, CONFIG_NODE, STR_NONE);
	/* derived, so that a repeat with the same Idempotency-Key means the same node */
	struct uuid id = uuid_derive(&write.command.id, 1);
	problems_init(&problems, arena);
	write.doc = check_entry_node(arena, request_body(request), &id, NULL, request_workspace(request), &problems);
	if (!write.doc) {
		request_fail_problems(request, STR("The node is not valid"), &problems);
		return;
	}
	write.key.id = config_id_text(arena, &id);
	write.key.version = CONFIG_NEW;
	config_write_send(request, &write, &id, answer_entry_node);
}

/* --- changing a node, which may have to wait for a look at its customers --- */

struct node_change {
	struct config_write write;
	struct uuid node;
	request_reply_fn *on_reply;
};

static void send_change(struct request *request)
{
	struct node_change *change = request_state(request);

	config_write_send(request, &change->write, &change->node, change->on_reply);
}

static void when_customers_known(struct request *request, const PGresult *rows)
{
	if (PQntuples(rows))
		request_fail(request, ERR_CONFLICT,
		        "the matching policy of a node can be changed only while the node has no customers");
	else
		send_change(request);
}

/* What a PUT does not speak of (and later parts of the API keep in a node) stays. */
static struct json *merge_over(struct arena *arena, const struct json *stored, const struct json *fresh)
{
	struct json *doc = json_copy(arena, stored, false);

	for
		json_each(member, fresh) json_set(doc, member->key, json_copy(arena, member, false));
	return doc;
}

static void change_node(
        struct request *request, const struct config_node *node, const struct json *fresh, request_reply_fn *on_reply)
{
	struct arena *arena = request_arena(request);
	struct node_change *change = arena_zalloc(arena, sizeof(*change));
	struct db_params params;

	*change = (struct node_change){.node = node->id, .on_reply = on_reply};
	config_write_init(request, &change->write, CONFIG_NODE, config_id_text(arena, &node->id));
	change->write.doc = merge_over(arena, node->doc, fresh);
	request_set_state(request, change);
	if (policy_equal(json_member(change->write.doc, "uniqueCustomer"), json_member(node->doc, "uniqueCustomer"))) {
		send_change(request);
		return;
	}
	db_params_init(&params, arena);
	db_param_uuid(&params, config_workspace_id(request_workspace(request)));
	db_param_uuid(&params, &node->id);
	request_query(request, "node_has_customers", NULL, &params, when_customers_known);
}

void entry_node_put(struct request *request)
{
	const struct config_node *node = path_node(request, true);
	struct arena *arena = request_arena(request);
	struct problems problems;

	if (!node)
		return;
	problems_init(&problems, arena);
	const struct json *fresh = check_entry_node(
	        arena, request_body(request), &node->id, node->doc, request_workspace(request), &problems);
	if (fresh)
		change_node(request, node, fresh, answer_entry_node);
	else
		request_fail_problems(request, STR("The node is not valid"), &problems);
}

/* --- matching policies ----------------------------------------------------------------------------------------------
 */

void default_matching_policy_get(struct request *request)
{
	request_answer_json(request, 200, default_policy(request_arena(request)));
}

void matching_policy_get(struct request *request)
{
	const struct config_node *node = path_node(request, false);

	if (node)
		request_answer_json(request, 200, json_member(node->doc, "uniqueCustomer"));
}

static void answer_policy(struct request *request, const struct reply *reply)
{
	const struct json *doc = config_reply_document(request, reply);

	if (doc)
		request_answer_json(request, 200, json_member(doc, "uniqueCustomer"));
}

void matching_policy_put(struct request *request)
{
	const struct config_node *node = path_node(request, true);
	const struct json *body = request_body(request);
	struct arena *arena = request_arena(request);
	struct problems problems;

	if (!node)
		return;
	problems_init(&problems, arena);
	struct json *policy = check_policy(
	        arena, body, STR(""), config_extended(request_workspace(request), STR("customer")), &problems);
	if (!problems.n && !json_member(policy, "properties")->count)
		problems_add(&problems, STR("/properties"), "properties must name at least one property");
	if (problems.n) {
		request_fail_problems(request, STR("The matching policy is not valid"), &problems);
		return;
	}
	struct json *fresh = json_new(arena, JSON_OBJECT);
	json_add(fresh, STR("uniqueCustomer"), policy);
	change_node(request, node, fresh, answer_policy);
}

/* --- emptying -------------------------------------------------------------------------------------------------------
 */

/* customer-merge answers; its body, if any, is its own affair. */
static void answer_emptied(struct request *request, const struct reply *reply)
{
	struct arena *arena = request_arena(request);

	if (reply->status >= 300) {
		request_answer(request, reply->status, reply->body);
		return;
	}
	customer_cache_clear(customer_cache_of_process());
	struct json *answer = json_new(arena, JSON_OBJECT);
	json_add(answer, STR("id"), json_new_str(arena, request_path(request, "nodeId")));
	json_add(answer, STR("eventsOnly"), json_new_bool(arena, config_flag(request, "eventsOnly")));
	request_answer_json(request, 200, answer);
}

void entry_node_empty(struct request *request)
{
	const struct config_node *node = path_node(request, true);
	struct command command;

	if (!node)
		return;
	request_command_init(request, &command, COMMAND_CONFIG_EMPTY);
	command.node = node->id;
	command.entity = node->id;
	command.body =
	        config_flag(request, "eventsOnly") ? STR("{\"eventsOnly\":true}") : STR("{\"eventsOnly\":false}");
	request_send_command(request, TOPIC_CONFIG_COMMANDS, config_workspace_partition(request_workspace(request)),
	        &command, answer_emptied);
}
