#include "common/aggregate.h"
#include "common/arena.h"
#include "common/buf.h"
#include "common/config_doc.h"
#include "gateway/aggregate_event.h"
#include "gateway/handlers.h"
#include "gateway/known_years.h"

/* Bytes that an event takes around its stored JSON. */
#define SHAPE_BYTES 1024

struct reading {
	struct uuid id; /* as asked for */
	struct event_row event;
	bool with_neighbours;
};

static void not_found(struct request *request)
{
	request_fail_not_found(request, STR("event"), request_path(request, "id"));
}

static void answer_event(
        struct request *request, const struct event_row *event, const struct event_neighbours *neighbours)
{
	struct buf buf;

	buf_init(&buf, request_arena(request), event->json.n + SHAPE_BYTES);
	event_render(&buf, event, neighbours);
	request_answer(request, 200, buf_str(&buf));
}

static struct str id_text(struct request *request, const PGresult *result, int column)
{
	struct uuid id = db_uuid(result, 0, column);

	return db_is_null(result, 0, column) ? STR_NONE : config_id_text(request_arena(request), &id);
}

static void on_neighbours(struct request *request, const PGresult *result)
{
	const struct reading *reading = request_state(request);
	struct event_neighbours neighbours = {.prev = id_text(request, result, 0), .next = id_text(request, result, 1)};

	answer_event(request, &reading->event, &neighbours);
}

/* The result goes away before the neighbours come. */
static void keep(struct arena *arena, struct event_row *event)
{
	event->type = arena_str(arena, event->type);
	event->context = arena_str(arena, event->context);
	event->bind_value = arena_str(arena, event->bind_value);
	event->json = arena_str(arena, event->json);
}

static void find_neighbours(struct request *request, struct event_row *event)
{
	struct db_params *params = request_params_of(request, &event->customer);

	keep(request_arena(request), event);
	db_param_i64(params, event->date_us);
	db_param_uuid(params, &event->id);
	request_years_params(request, params);
	request_query(request, "event_neighbours", NULL, params, on_neighbours);
}

/* --- on an aggregate node ----------------------------------------------------------------------------------------- */

static struct str shown_id(struct request *request, const PGresult *result, int column)
{
	const struct reading *reading = request_state(request);
	struct uuid id = db_uuid(result, 0, column), customer = db_uuid(result, 0, column + 1);

	if (db_is_null(result, 0, column))
		return STR_NONE;
	if (!uuid_eq(&customer, &reading->event.customer))
		id = aggregate_event_id(&reading->event.node, &id);
	return config_id_text(request_arena(request), &id);
}

static void on_profile_neighbours(struct request *request, const PGresult *result)
{
	const struct reading *reading = request_state(request);
	struct event_neighbours neighbours = {
	        .prev = shown_id(request, result, 0), .next = shown_id(request, result, 2)};

	answer_event(request, &reading->event, &neighbours);
}

/* The timeline of a profile is made of its members'; events of one time stand in the order of their own ids. */
static void find_profile_neighbours(struct request *request, struct event_row *event)
{
	struct db_params *params = request_params_of(request, &event->customer);
	struct uuid id = event->duplicate ? aggregate_event_id(&event->node, &event->id) : event->id;

	keep(request_arena(request), event);
	db_param_i64(params, event->date_us);
	db_param_uuid(params, &id);
	db_param_uuid(params, &event->node);
	request_years_params(request, params);
	request_query(request, "event_profile_neighbours", NULL, params, on_profile_neighbours);
}

static bool is_of_profile(struct request *request, const struct event_row *event)
{
	const struct config_node *node = config_node_find(request_workspace(request), &event->node);

	return node && node->aggregate && event->has_customer;
}

static void answer_found(struct request *request, struct event_row *event)
{
	const struct reading *reading = request_state(request);

	if (!reading->with_neighbours)
		answer_event(request, event, NULL);
	else if (!event->has_customer)
		answer_event(request, event, &(struct event_neighbours){0});
	else if (is_of_profile(request, event))
		find_profile_neighbours(request, event);
	else
		find_neighbours(request, event);
}

static void on_derived(struct request *request, const PGresult *result)
{
	struct reading *reading = request_state(request);
	struct uuid node, profile;

	if (!PQntuples(result)) {
		not_found(request);
		return;
	}
	event_row_read(result, 0, 2, &reading->event);
	node = db_uuid(result, 0, 0);
	profile = db_uuid(result, 0, 1);
	event_show_on_aggregate(&reading->event, &node, &profile);
	answer_found(request, &reading->event);
}

/* An id that is no event's may be what an aggregate node shows one by: each that the caller may read is tried. */
static void find_derived(struct request *request)
{
	const struct config_workspace *workspace = request_workspace(request);
	const struct reading *reading = request_state(request);
	struct db_array nodes, ids;

	db_array_init(&nodes, request_arena(request), DB_UUID);
	db_array_init(&ids, request_arena(request), DB_UUID);
	for (size_t i = 0; i < config_node_count(workspace); i++) {
		const struct config_node *node = config_node_at(workspace, i);
		if (!node->aggregate || !request_may_use_node(request, &node->id, false))
			continue;
		struct uuid id = aggregate_event_id(&node->id, &reading->id);
		db_array_uuid(&nodes, &node->id);
		db_array_uuid(&ids, &id);
	}
	if (!nodes.n) {
		not_found(request);
		return;
	}
	struct db_params *params = request_params(request);
	db_param_array(params, &nodes);
	db_param_array(params, &ids);
	request_years_params(request, params);
	request_query(request, "event_derived", NULL, params, on_derived);
}

static void on_profile(struct request *request, const PGresult *result)
{
	struct reading *reading = request_state(request);

	if (PQntuples(result))
		answer_found(request, &reading->event);
	else
		not_found(request);
}

/* Its own event is not shown while the profile is not there, say, because a filter excludes it: nor do lists. */
static void find_profile(struct request *request, struct event_row *event)
{
	keep(request_arena(request), event);
	request_query(request, "customer_node", NULL, request_params_of(request, &event->customer), on_profile);
}

static void on_event(struct request *request, const PGresult *result)
{
	struct reading *reading = request_state(request);
	struct event_row *event = &reading->event;

	if (!PQntuples(result)) {
		find_derived(request);
		return;
	}
	event_row_read(result, 0, 0, event);
	if (!request_check_node(request, &event->node, false))
		return;
	if (is_of_profile(request, event))
		find_profile(request, event);
	else
		answer_found(request, event);
}

void event_get(struct request *request)
{
	struct reading *reading = arena_zalloc(request_arena(request), sizeof(*reading));
	struct str nav = request_param(request, "nav");

	if (nav.n && !str_is(nav, "CUSTOMER")) {
		request_fail_param(request, "nav", "must be CUSTOMER");
		return;
	}
	if (!request_path_uuid(request, "id", &reading->id)) {
		not_found(request);
		return;
	}
	reading->with_neighbours = nav.n > 0;
	request_set_state(request, reading);
	struct db_params *params = request_params_of(request, &reading->id);
	request_years_params(request, params);
	request_query(request, "event_by_id", NULL, params, on_event);
}
