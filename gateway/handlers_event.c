#include "common/arena.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/event_input.h"
#include "gateway/customer_cache.h"
#include "gateway/handlers.h"
#include "gateway/known_years.h"

#define MAX_USER_AGENT_BYTES 1024

/* Numbers that ids of a command's consequences are derived with. */
enum derived_id { DERIVED_ENSURE_COMMAND = 1, DERIVED_ENSURED_CUSTOMER };

/* A write in work. */
struct write {
	struct command command;
	struct event_input input;
	uint64_t epoch; /* of the customer cache, before it was asked */
	void (*found)(struct request *request, struct write *write, const struct event_row *event);
	void (*not_found)(struct request *request);
	struct problems problems;
};

static struct write *begin_write(struct request *request, enum command_type type)
{
	struct write *write = arena_zalloc(request_arena(request), sizeof(*write));

	request_command_init(request, &write->command, type);
	problems_init(&write->problems, request_arena(request));
	request_set_state(request, write);
	return write;
}

static void event_not_found(struct request *request)
{
	request_fail_not_found(request, STR("event"), request_path(request, "id"));
}

static void customer_not_found(struct request *request)
{
	const struct write *write = request_state(request);

	request_fail_not_found(request, STR("customer"), write->input.customer_id);
}

static void on_first_result(struct request *request, const PGresult *result)
{
	const struct write *write = request_state(request);

	if (PQntuples(result))
		request_answer(request, (unsigned)db_i64(result, 0, 0), db_text(result, 0, 1));
	else
		write->not_found(request);
}

/* What the write is about is gone, perhaps by this very command: a repeat gets its first result. */
static void answer_missing(struct request *request, struct write *write, void (*not_found)(struct request *request))
{
	const struct command *command = &write->command;
	struct db_params *params;

	if (!(command->flags & COMMAND_KEYED)) {
		not_found(request);
		return;
	}
	write->not_found = not_found;
	params = request_params_of(request, &command->id);
	db_param_i64(params, (int64_t)command->fingerprint);
	db_param_i64(params, command->time_us);
	request_query(request, "event_first_result", NULL, params, on_first_result);
}

/* Validation */

/* Schemas are compiled when they are first asked for: that is all that changes in the workspace. */
static struct config_workspace *workspace_of(struct request *request)
{
	return (struct config_workspace *)request_workspace(request);
}

static const struct schema *tracking_schema(void)
{
	/* live as long as the process, like the catalog that they are made from */
	static const struct schema *schema;
	static struct arena *arena;
	struct err err = {0};

	if (!schema) {
		arena = arena_new(1024 * 1024);
		const struct json *document = catalog_resolve(STR("common.json#/definitions/Tracking"));
		schema = schema_compile(arena, document, NULL, NULL, &err);
	}
	return schema;
}

static bool check_size(struct request *request, struct str type, size_t n_bytes)
{
	int64_t max = config_max_event_bytes(request_workspace(request), type);

	if (n_bytes <= (size_t)max)
		return true;
	request_fail(
	        request, ERR_TOO_LARGE, "An event of the type %.*s may have %lld bytes", STR_ARG(type), (long long)max);
	return false;
}

/* What the workspace's schemas say about the parts of an event; NULL parts are empty. */
static void check_parts(struct request *request, struct str type, struct str context, const struct json *properties,
        const struct json *context_info, const struct json *tracking, struct problems *problems)
{
	const struct json *nothing = json_new(request_arena(request), JSON_OBJECT);
	struct config_workspace *workspace = workspace_of(request);

	schema_validate(config_event_schema(workspace, type), json_is_null(properties) ? nothing : properties,
	        STR("/properties"), problems);
	schema_validate(config_context_schema(workspace, context), json_is_null(context_info) ? nothing : context_info,
	        STR("/contextInfo"), problems);
	if (!json_is_null(tracking))
		schema_validate(tracking_schema(), tracking, STR("/tracking"), problems);
}

static bool answer_problems(struct request *request, const struct write *write)
{
	if (!write->problems.n)
		return false;
	request_fail_problems(request, STR("event is not valid"), &write->problems);
	return true;
}

/* Publishing */

static void accepted(struct request *request)
{
	const struct write *write = request_state(request);

	request_answer_id(request, 202, &write->command.entity);
}

static void publish(struct request *request, struct write *write)
{
	const struct command *command = &write->command;
	struct str bring_back = command->flags & COMMAND_BRING_BACK ? command->text : STR_NONE;
	uint32_t partition = event_partition(
	        &command->node, bring_back, &command->subject, request_partitions(request, TOPIC_EVENT_COMMANDS));

	if (command->flags & COMMAND_KEYED || command->type == COMMAND_EVENT_DELETE)
		request_send_command(request, TOPIC_EVENT_COMMANDS, partition, command, NULL);
	else
		request_publish(request, TOPIC_EVENT_COMMANDS, partition, command, accepted);
}

/* The customer with the external id stands in the log now: the event may follow. */
static void ensured(struct request *request)
{
	struct write *write = request_state(request);

	/* a repeat ensures nothing: its customer was there once */
	if (!(write->command.flags & COMMAND_KEYED))
		customer_cache_put_external_id(customer_cache_of_process(), &write->command.node, write->command.text,
		        write->epoch, clock_monotonic_us());
	publish(request, write);
}

static void ensure(struct request *request, struct write *write)
{
	struct command command = write->command;

	write->epoch = customer_cache_epoch(customer_cache_of_process());
	command.type = COMMAND_CUSTOMER_ENSURE;
	command.flags = 0;
	command.fingerprint = 0;
	command.id = uuid_derive(&write->command.id, DERIVED_ENSURE_COMMAND);
	command.entity = uuid_derive(&write->command.id, DERIVED_ENSURED_CUSTOMER);
	command.subject = (struct uuid){{0}};
	command.body = STR_NONE;
	request_publish(request, TOPIC_CUSTOMER_COMMANDS, config_workspace_partition(request_workspace(request)),
	        &command, ensured);
}

/* POST */

static void publish_for_customer(struct request *request, struct write *write)
{
	if (request_check_node(request, &write->command.node, true))
		publish(request, write);
}

static void on_customer_node(struct request *request, const PGresult *result)
{
	struct write *write = request_state(request);

	if (!PQntuples(result)) {
		answer_missing(request, write, customer_not_found);
		return;
	}
	write->command.node = db_uuid(result, 0, 0);
	const struct config_node *node = config_node_find(request_workspace(request), &write->command.node);
	/* profiles come and go without a command that would make the cache forget them */
	if (node && !node->aggregate)
		customer_cache_put(customer_cache_of_process(), &write->command.workspace, &write->command.subject,
		        &write->command.node, write->epoch, clock_monotonic_us());
	publish_for_customer(request, write);
}

static void find_customer(struct request *request, struct write *write)
{
	struct customer_cache *cache = customer_cache_of_process();
	struct command *command = &write->command;

	if (!uuid_parse(write->input.customer_id, &command->subject)) {
		customer_not_found(request);
		return;
	}
	if (customer_cache_find(cache, &command->workspace, &command->subject, clock_monotonic_us(), &command->node)) {
		publish_for_customer(request, write);
		return;
	}
	write->epoch = customer_cache_epoch(cache);
	request_query(request, "customer_node", NULL, request_params_of(request, &command->subject), on_customer_node);
}

static void bring_back(struct request *request, struct write *write)
{
	struct command *command = &write->command;

	command->text = write->input.bind_value;
	command->flags |= COMMAND_BRING_BACK;
	if (write->input.bind == EVENT_BIND_SESSION)
		command->flags |= COMMAND_SESSION_BIND;
	if (write->input.bind == EVENT_BIND_SESSION || customer_cache_has_external_id(customer_cache_of_process(),
	                                                       &command->node, command->text, clock_monotonic_us()))
		publish(request, write);
	else
		ensure(request, write);
}

/* Bytes that a command's body takes around what was sent. */
#define BODY_BYTES 256

static void set_body(struct request *request, struct write *write)
{
	const struct event_input *input = &write->input;
	struct event_body body = {.type = input->type->id,
	        .context = input->context->id,
	        .has_date = input->has_date,
	        .date_us = input->date_us};
	struct buf buf;

	buf_init(&buf, request_arena(request), request_body_text(request).n + BODY_BYTES);
	event_body_encode(&buf, &body);
	event_json_write(&buf, input->properties, input->context_info, input->tracking);
	write->command.body = buf_str(&buf);
}

static void check_new(struct request *request, struct write *write, const struct config_node *node)
{
	const struct event_input *input = &write->input;

	if (node && node->aggregate)
		problems_add(&write->problems, STR("/bringBackProperties/nodeId"),
		        "bringBackProperties are not allowed for aggregate nodes");
	if (!input->type || !input->context)
		return;
	if (!config_event_type_enabled(request_workspace(request), input->type->id))
		problems_add(&write->problems, STR("/type"), "this event type is disabled");
	check_parts(request, input->type->id, input->context->id, input->properties, input->context_info,
	        input->tracking, &write->problems);
}

/*
 * The partition of whom an event is of remembers its key, so a key counts among the events of one customer, external id
 * or session: for another one it means another event.
 */
static void scope_key(struct request *request, struct write *write, const struct config_node *node)
{
	const struct event_input *input = &write->input;
	struct buf whom;
	struct uuid customer;

	if (!(write->command.flags & COMMAND_KEYED))
		return;
	buf_init(&whom, request_arena(request), sizeof(struct uuid) + 1 + input->bind_value.n);
	if (node) {
		buf_add(&whom, &node->id, sizeof(node->id));
		buf_add_char(&whom, input->bind == EVENT_BIND_SESSION ? 's' : 'e');
		buf_add_str(&whom, input->bind_value);
	} else if (uuid_parse(input->customer_id, &customer)) {
		buf_add(&whom, &customer, sizeof(customer));
	}
	write->command.id = uuid_v5(&write->command.id, buf_str(&whom));
}

void event_create(struct request *request)
{
	struct write *write = begin_write(request, COMMAND_EVENT_POST);
	struct event_input *input = &write->input;
	struct arena *arena = request_arena(request);
	const struct config_node *node = NULL;

	event_input_read(arena, request_body(request), EVENT_CREATE, input, &write->problems);
	if (input->type && !check_size(request, input->type->id, request_body_text(request).n))
		return;
	if (input->bind_node.p && !request_node_access(request, input->bind_node, true, &node))
		return;
	check_new(request, write, node);
	if (answer_problems(request, write))
		return;
	event_input_fill_client(arena, input, request_client_ip(request),
	        str_utf8_cut(request_header(request, "User-Agent"), MAX_USER_AGENT_BYTES));
	scope_key(request, write, node);
	write->command.entity = write->command.id;
	set_body(request, write);
	if (node) {
		write->command.node = node->id;
		bring_back(request, write);
	} else {
		find_customer(request, write);
	}
}

/* PUT, PATCH, DELETE: the event is read first. Its command goes where its POST went. */

static void address(struct command *command, const struct event_row *event)
{
	command->entity = event->id;
	command->node = event->node;
	if (event->has_customer)
		command->subject = event->customer;
	if (event->bind == EVENT_BIND_NONE)
		return;
	command->text = event->bind_value;
	command->flags |= COMMAND_BRING_BACK;
	if (event->bind == EVENT_BIND_SESSION)
		command->flags |= COMMAND_SESSION_BIND;
}

static void on_event_to_write(struct request *request, const PGresult *result)
{
	struct write *write = request_state(request);
	struct event_row event;

	if (!PQntuples(result)) {
		answer_missing(request, write, event_not_found);
		return;
	}
	event_row_read(result, 0, 0, &event);
	if (!request_check_node(request, &event.node, true))
		return;
	address(&write->command, &event);
	write->found(request, write, &event);
}

static void find_event(struct request *request, enum command_type type,
        void (*found)(struct request *request, struct write *write, const struct event_row *event))
{
	struct write *write = begin_write(request, type);
	struct uuid id;

	write->found = found;
	if (type != COMMAND_EVENT_DELETE)
		write->command.flags |= COMMAND_IF_DIFFERENT;
	if (!request_path_uuid(request, "id", &id)) {
		event_not_found(request);
		return;
	}
	/* as for a POST, except that whom the event is of cannot be asked any more once it is deleted */
	if (write->command.flags & COMMAND_KEYED)
		write->command.id = uuid_v5(&write->command.id, (struct str){(const char *)id.b, sizeof(id.b)});
	struct db_params *params = request_params_of(request, &id);
	request_years_params(request, params);
	request_query(request, "event_by_id", NULL, params, on_event_to_write);
}

static void put_found(struct request *request, struct write *write, const struct event_row *event)
{
	struct event_input *input = &write->input;
	const struct json *body = request_body(request);

	if (!check_size(request, event->type, request_body_text(request).n))
		return;
	event_input_read(request_arena(request), body, EVENT_REPLACE, input, &write->problems);
	event_input_keeps(event, body, EVENT_REPLACE, &write->problems);
	if (input->type && input->context)
		check_parts(request, event->type, input->context->id, input->properties, input->context_info,
		        input->tracking, &write->problems);
	if (answer_problems(request, write))
		return;
	set_body(request, write);
	publish(request, write);
}

void event_put(struct request *request)
{
	find_event(request, COMMAND_EVENT_PUT, put_found);
}

/* The parts that were sent, as the worker merges them. */
static struct str patch_json(struct request *request, const struct event_input *input)
{
	const struct {
		struct str name;
		const struct json *value;
	} parts[] = {
	        {.name = STR("properties"), .value = input->properties},
	        {.name = STR("contextInfo"), .value = input->context_info},
	        {.name = STR("tracking"), .value = input->tracking},
	};
	struct buf buf;

	buf_init(&buf, request_arena(request), request_body_text(request).n + BODY_BYTES);
	buf_add_char(&buf, '{');
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (!parts[i].value)
			continue;
		if (buf.n > 1)
			buf_add_char(&buf, ',');
		json_write_string(&buf, parts[i].name);
		buf_add_char(&buf, ':');
		json_write(&buf, parts[i].value);
	}
	buf_add_char(&buf, '}');
	return buf_str(&buf);
}

static void check_all_parts(
        struct request *request, const struct event_row *event, const struct json *parts, struct problems *problems)
{
	check_parts(request, event->type, event->context, json_member(parts, "properties"),
	        json_member(parts, "contextInfo"), json_member(parts, "tracking"), problems);
}

/* Faults that the event had before are not the patch's. */
static void forgive(struct request *request, struct write *write, const struct event_row *event, struct str patch)
{
	struct arena *arena = request_arena(request);
	struct problems *before = arena_alloc(arena, sizeof(*before));
	struct err err = {0};
	const struct json *stored = json_parse(arena, event->json, &err);
	const struct json *said = json_parse(arena, patch, &err);

	problems_init(before, arena);
	if (!stored || !said)
		return;
	check_all_parts(request, event, stored, before);
	event_input_forgive(&write->problems, before, said);
}

/* The event as it will be has to be valid, as far as the patch goes. False when that has been answered. */
static bool check_merged(struct request *request, struct write *write, const struct event_row *event, struct str patch)
{
	struct arena *arena = request_arena(request);
	struct err err = {0};
	struct str merged = event_json_merge(arena, event->json, patch, &err);
	const struct json *parts = merged.p ? json_parse(arena, merged, &err) : NULL;

	if (!parts) {
		request_fail_err(request, &err);
		return false;
	}
	if (!check_size(request, event->type, merged.n))
		return false;
	check_all_parts(request, event, parts, &write->problems);
	if (write->problems.n)
		forgive(request, write, event, patch);
	return !answer_problems(request, write);
}

static void patch_found(struct request *request, struct write *write, const struct event_row *event)
{
	struct event_input *input = &write->input;
	const struct json *body = request_body(request);
	struct str patch;
	struct buf buf;

	if (!check_size(request, event->type, request_body_text(request).n))
		return;
	event_input_read(request_arena(request), body, EVENT_CHANGE, input, &write->problems);
	event_input_keeps(event, body, EVENT_CHANGE, &write->problems);
	if (answer_problems(request, write))
		return;
	patch = patch_json(request, input);
	if (!check_merged(request, write, event, patch))
		return;
	buf_init(&buf, request_arena(request), patch.n + BODY_BYTES);
	event_body_encode(
	        &buf, &(struct event_body){.has_date = input->has_date, .date_us = input->date_us, .json = patch});
	write->command.body = buf_str(&buf);
	publish(request, write);
}

void event_patch(struct request *request)
{
	find_event(request, COMMAND_EVENT_PATCH, patch_found);
}

static void delete_found(struct request *request, struct write *write, const struct event_row *event)
{
	(void)event;
	publish(request, write);
}

void event_delete(struct request *request)
{
	find_event(request, COMMAND_EVENT_DELETE, delete_found);
}
