#include "common/arena.h"
#include "common/customer_row.h"
#include "gateway/aggregate_node.h"
#include "gateway/config_checks.h"
#include "gateway/config_write.h"
#include "gateway/handlers.h"

/* A page of the entry customers of a profile; the left join gives one row with the total when the page is empty. */
#define ENTRIES(join, condition)                                                                                       \
	"WITH members AS (SELECT m.customer_id FROM aggregate_members m " join "WHERE m.workspace_id = $1::uuid "      \
	"AND m.profile_id = $2::uuid AND m.node_id = $3::uuid" condition ") SELECT t.n, " CUSTOMER_ROW_COLUMNS         \
	" FROM (SELECT count(*) AS n FROM members) t "                                                                 \
	"LEFT JOIN (SELECT m.customer_id FROM members m ORDER BY m.customer_id LIMIT $4::bigint OFFSET $5::bigint) p " \
	"ON true LEFT JOIN customers c ON c.workspace_id = $1 AND c.id = p.customer_id ORDER BY c.id"

const struct statement aggregate_statements[] = {
        {.name = "aggregate_ready",
                .sql = "SELECT node_id FROM aggregate_nodes WHERE workspace_id = $1::uuid AND active AND NOT building",
                .n_params = 1},
        {.name = "aggregate_entries", .sql = ENTRIES("", ""), .n_params = 5},
        /* of some nodes: those that the caller may read */
        {.name = "aggregate_entries_of_nodes",
                .sql = ENTRIES("JOIN customers c ON c.workspace_id = m.workspace_id AND c.id = m.customer_id ",
                        " AND c.node_id = ANY ($6::uuid[])"),
                .n_params = 6},
};
const size_t aggregate_statement_count = ARRAY_LEN(aggregate_statements);

/* --- states ------------------------------------------------------------------------------------------------------- */

struct aggregate_states {
	aggregate_states_fn *then;
	struct uuid *ready;
	size_t n_ready;
};

static bool is_ready(const struct aggregate_states *states, const struct uuid *node)
{
	for (size_t i = 0; i < states->n_ready; i++)
		if (uuid_eq(&states->ready[i], node))
			return true;
	return false;
}

struct str aggregate_state(const struct aggregate_states *states, const struct config_node *node)
{
	struct str stored = json_text(json_member(node->doc, "state"));

	return str_is(stored, "ACTIVE") && !is_ready(states, &node->id) ? STR("LOCKED") : stored;
}

static void on_ready(struct request *request, const PGresult *rows)
{
	struct aggregate_states *states = request_state(request);
	int n = PQntuples(rows);

	states->ready = arena_alloc(request_arena(request), (size_t)(n + 1) * sizeof(*states->ready));
	for (int row = 0; row < n; row++)
		states->ready[states->n_ready++] = db_uuid(rows, row, 0);
	states->then(request, states);
}

void aggregate_states_find(struct request *request, aggregate_states_fn *then)
{
	struct arena *arena = request_arena(request);
	struct aggregate_states *states = arena_zalloc(arena, sizeof(*states));

	states->then = then;
	request_set_state(request, states);
	if (!config_has_aggregates(request_workspace(request))) {
		then(request, states);
		return;
	}
	struct db_params *params = request_params(request);
	request_query(request, "aggregate_ready", NULL, params, on_ready);
}

/* --- what the API shows ------------------------------------------------------------------------------------------- */

static void add_members(
        struct arena *arena, struct json *view, const struct json *doc, const char *const *members, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct json *value = json_get(doc, str_of(members[i]));
		json_add(view, str_of(members[i]), value ? json_copy(arena, value, false) : json_new(arena, JSON_NULL));
	}
}

struct json *aggregate_node_properties(struct arena *arena, const struct json *doc, struct str state)
{
	static const char *const members[] = {"entryNodes", "exclusionFilters", "matchingProperties"};
	struct json *properties = json_new(arena, JSON_OBJECT);

	json_add(properties, STR("state"), json_new_str(arena, state));
	add_members(arena, properties, doc, members, ARRAY_LEN(members));
	return properties;
}

static struct json *view_of(struct arena *arena, const struct json *doc, struct str state)
{
	static const char *const members[] = {
	        "id", "name", "description", "imageUrl", "entryNodes", "matchingProperties", "exclusionFilters"};
	struct json *view = json_new(arena, JSON_OBJECT);

	add_members(arena, view, doc, members, ARRAY_LEN(members));
	json_add(view, STR("state"), json_new_str(arena, state));
	return view;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static bool list_wanted(struct request *request, size_t index)
{
	const struct config_node *node = config_node_at(request_workspace(request), index);

	return node->aggregate && request_may_use_node(request, &node->id, false);
}

static struct json *list_element(struct request *request, size_t index)
{
	const struct config_node *node = config_node_at(request_workspace(request), index);

	return view_of(request_arena(request), node->doc, aggregate_state(request_state(request), node));
}

static void list_known(struct request *request, const struct aggregate_states *states)
{
	(void)states; /* the elements take them from the request */
	config_answer_list(request, config_node_count(request_workspace(request)), list_wanted, list_element);
}

void aggregate_node_list(struct request *request)
{
	aggregate_states_find(request, list_known);
}

/* The aggregate node of the path; answers itself when there is none. */
static const struct config_node *path_node(struct request *request, bool need_write)
{
	struct str text = request_path(request, "aggregateNodeId");
	const struct config_node *node;

	if (!request_node_access(request, text, need_write, &node))
		return NULL;
	if (node->aggregate)
		return node;
	request_fail_not_found(request, STR("node"), text);
	return NULL;
}

static void get_known(struct request *request, const struct aggregate_states *states)
{
	const struct config_node *node = path_node(request, false);

	if (node)
		request_answer_json(
		        request, 200, view_of(request_arena(request), node->doc, aggregate_state(states, node)));
}

void aggregate_node_get(struct request *request)
{
	aggregate_states_find(request, get_known);
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static void answer_node(struct request *request, const struct reply *reply)
{
	const struct json *doc = config_reply_document(request, reply);

	if (doc)
		request_answer_json(request, request_route(request)->status,
		        view_of(request_arena(request), doc, json_text(json_member(doc, "state"))));
}

static void answer_state(struct request *request, const struct reply *reply)
{
	const struct json *doc = config_reply_document(request, reply);

	if (doc)
		config_answer_member(
		        request, STR("state"), json_copy(request_arena(request), json_member(doc, "state"), false));
}

void aggregate_node_create(struct request *request)
{
	struct arena *arena = request_arena(request);
	struct problems problems;
	struct config_write write;
	struct err err = {0};
	struct str state;

	config_write_init(request, &write, CONFIG_NODE, STR_NONE);
	/* derived, so that a repeat with the same Idempotency-Key means the same node */
	struct uuid id = uuid_derive(&write.command.id, 1);
	problems_init(&problems, arena);
	struct json *doc =
	        check_aggregate_node(arena, request_body(request), &id, NULL, request_workspace(request), &problems);
	if (!doc) {
		request_fail_problems(request, STR("The node is not valid"), &problems);
		return;
	}
	if (!aggregate_state_next(STR("NEW"), false, json_member(request_body(request), "state"), &state, &err)) {
		request_fail_err(request, &err);
		return;
	}
	json_add(doc, STR("state"), json_new_str(arena, state));
	write.doc = doc;
	write.key.id = config_id_text(arena, &id);
	write.key.version = CONFIG_NEW;
	config_write_send(request, &write, &id, answer_node);
}

static void send_change(struct request *request, const struct config_node *node, struct json *doc, struct str state,
        request_reply_fn *on_reply)
{
	struct arena *arena = request_arena(request);

	json_set(doc, STR("state"), json_new_str(arena, state));
	config_write_document(request, CONFIG_NODE, config_id_text(arena, &node->id), doc, &node->id, on_reply);
}

/* The next state of the node, which is or was shown as LOCKED; answers itself when there is none. */
static bool next_state(struct request *request, const struct config_node *node, bool locked, struct str *ret_next)
{
	const struct json *wanted = json_member(request_body(request), "state");
	struct err err = {0};

	if (aggregate_state_next(json_text(json_member(node->doc, "state")), locked, wanted, ret_next, &err))
		return true;
	request_fail_err(request, &err);
	return false;
}

/* While profiles are made by the present filters, these stay. */
static bool is_locked_change(const struct config_node *node, const struct json *doc, struct str shown)
{
	return str_is(shown, "LOCKED") &&
	       !json_equal(json_member(doc, "exclusionFilters"), json_member(node->doc, "exclusionFilters"));
}

/* The document may have been read before the profiles were all there. */
static void put_known(struct request *request, const struct aggregate_states *states)
{
	const struct config_node *node = path_node(request, true);
	struct arena *arena = request_arena(request);
	struct problems problems;
	struct str next;

	if (!node)
		return;
	struct str shown = aggregate_state(states, node);
	problems_init(&problems, arena);
	struct json *doc = check_aggregate_node(
	        arena, request_body(request), &node->id, node->doc, request_workspace(request), &problems);
	if (!doc)
		request_fail_problems(request, STR("The node is not valid"), &problems);
	else if (is_locked_change(node, doc, shown))
		request_fail(request, ERR_LOCKED, "the profiles of the node are being made: try again later");
	else if (next_state(request, node, true, &next))
		send_change(request, node, doc, next, answer_node);
}

void aggregate_node_put(struct request *request)
{
	aggregate_states_find(request, put_known);
}

static void state_known(struct request *request, const struct aggregate_states *states)
{
	const struct config_node *node = path_node(request, true);
	struct problems problems;
	struct str next;

	if (!node)
		return;
	if (json_is_null(json_member(request_body(request), "state"))) {
		problems_init(&problems, request_arena(request));
		problems_add(&problems, STR("/state"), "state is required");
		request_fail_problems(request, STR("The state is not valid"), &problems);
	} else if (next_state(request, node, str_is(aggregate_state(states, node), "LOCKED"), &next)) {
		send_change(request, node, json_copy(request_arena(request), node->doc, false), next, answer_state);
	}
}

void aggregate_node_state_put(struct request *request)
{
	aggregate_states_find(request, state_known);
}
