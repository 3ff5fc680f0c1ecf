#include "workers/bulk_processor/row.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/event_input.h"
#include "common/hash.h"
#include "common/password.h"

/* Faults of one row that its result names. */
#define FAULTS_TOLD 5
/* For one row: far more than the largest event takes. */
#define SCRATCH_BYTES ((size_t)1024 * 1024 * 1024)

/* One row in work. */
struct making {
	struct arena *arena;
	struct row_rules *rules;
	const struct csv_row *cells;
	struct row *row;
	struct problems problems;
	struct str id;                      /* text of the column id */
	struct str external_id, session_id; /* of an event's customer */
	bool new_event;                     /* has nothing to unset */
};

struct uuid row_id(const struct uuid *job, int64_t line, enum row_id what)
{
	struct uuid id = *job;
	uint64_t of_job = hash_bytes(job, sizeof(*job), what);
	uint64_t of_row = hash_bytes(&line, sizeof(line), of_job);

	id.b[6] = (uint8_t)(0x80 | (of_job & 0x0f));
	id.b[7] = (uint8_t)(of_job >> 8);
	/* the two highest bits of these 32 are the variant: a file has no 2^30 rows */
	for (int i = 0; i < 4; i++)
		id.b[11 - i] = (uint8_t)(line >> 8 * i);
	id.b[8] = (uint8_t)(0x80 | (id.b[8] & 0x3f));
	for (int i = 0; i < 4; i++)
		id.b[12 + i] = (uint8_t)(of_row >> 8 * i);
	return id;
}

static void fail(struct row *row, const char *why)
{
	if (!row->why.p)
		row->why = str_of(why);
}

/* "pointer: message; ..." */
static void fail_with_problems(struct making *making)
{
	const struct problems *problems = &making->problems;
	struct buf words;

	if (!problems->n || making->row->why.p || making->row->resend)
		return;
	buf_init(&words, making->arena, 256);
	for (size_t i = 0; i < problems->n && i < FAULTS_TOLD; i++) {
		const struct problem *problem = &problems->items[i];
		buf_printf(&words, "%s%.*s%s%.*s", i ? "; " : "", STR_ARG(problem->path), problem->path.n ? ": " : "",
		        STR_ARG(problem->message));
	}
	if (problems->n > FAULTS_TOLD)
		buf_printf(&words, "; and %zu more", problems->n - FAULTS_TOLD);
	making->row->why = buf_str(&words);
}

static void begin_command(struct making *making, enum command_type type)
{
	const struct row_rules *rules = making->rules;
	struct row *row = making->row;

	row->command.type = (uint8_t)type;
	row->command.flags |= COMMAND_KEYED | COMMAND_BULK;
	row->command.id = row_id(&rules->job, row->line, ROW_COMMAND);
	row->command.workspace = rules->workspace;
	row->command.node = rules->node;
	row->command.source = rules->source;
	row->command.user = rules->user;
	row->topic = rules->entity == BULK_EVENT ? TOPIC_EVENT_COMMANDS : TOPIC_CUSTOMER_COMMANDS;
	row->partition = rules->workspace_partition;
}

static void look_up(struct row *row, enum row_lookup lookup, struct str text)
{
	row->lookup = lookup;
	row->text = text;
}

static void look_up_key(struct row *row, enum row_lookup lookup, const struct uuid *key)
{
	row->lookup = lookup;
	row->key = *key;
}

/* --- cells ---------------------------------------------------------------------------------------------------------
 */

static const struct csv_cell *find_cell(const struct making *making, const char *path)
{
	const struct columns *columns = &making->rules->columns;

	for (size_t i = 0; i < columns->n; i++)
		if (str_is(columns->items[i].path, path))
			return &making->cells->cells[i];
	return NULL;
}

/* Puts the value at its path; objects on the way are made. */
static void put(struct making *making, struct json *document, const struct column *column, struct json *value)
{
	struct str name;
	struct json *parent = json_path_make(making->arena, document, column->path, &name);

	json_set(parent, name, value);
}

static void take_cell(struct making *making, struct json *document, size_t index, unsigned types)
{
	const struct column *column = &making->rules->columns.items[index];
	const struct csv_cell *cell = &making->cells->cells[index];
	struct json *value = column_value(making->arena, cell, types, column->pointer, &making->problems);
	struct str text = value && value->type == JSON_STRING ? value->text : STR_NONE;

	if (!value)
		return;
	switch (column->part) {
	case COLUMN_ID:
		making->id = text;
		break;
	case COLUMN_EXTERNAL_ID:
		making->external_id = text;
		break;
	case COLUMN_SESSION_ID:
		making->session_id = text;
		break;
	case COLUMN_PROPERTIES:
	case COLUMN_CONTEXT_INFO:
	case COLUMN_TRACKING:
		if (!(making->new_event && json_is_null(value)))
			put(making, document, column, value);
		break;
	case COLUMN_CUSTOMER:
	case COLUMN_EVENT:
		put(making, document, column, value);
		break;
	}
}

static struct json *take_cells(
        struct making *making, const struct event_type *type, const struct event_context *context)
{
	struct json *document = json_new(making->arena, JSON_OBJECT);

	for (size_t i = 0; i < making->rules->columns.n; i++)
		take_cell(making, document, i, column_types(&making->rules->columns, i, type, context));
	/* the path of a column and the JSON of its cell count together */
	if (json_depth(document) > JSON_MAX_SENT_DEPTH)
		problems_add(&making->problems, STR(""), "nesting that is too deep");
	return document;
}

/* False, and the row fails, when the text of column id is no UUID. */
static bool read_id(struct making *making, const char *what, struct uuid *ret_id)
{
	if (uuid_parse(making->id, ret_id))
		return true;
	fail(making->row,
	        arena_printf(making->arena, "%s not found %.*s", what, STR_ARG(str_utf8_cut(making->id, 255))));
	return false;
}

/* --- customers -----------------------------------------------------------------------------------------------------
 */

/* The node of a customer is the job's. */
static void take_node(struct making *making, struct json *document)
{
	const struct json *node = json_member(document, "nodeId");
	struct uuid id;

	if (json_is(node, JSON_STRING) && !(uuid_parse(node->text, &id) && uuid_eq(&id, &making->rules->node)))
		problems_add(&making->problems, STR("/nodeId"), "is not the node of the job");
	json_remove(document, STR("nodeId"));
}

/* A place has both coordinates or none: they are unset together. */
static void unset_place(struct making *making, struct json *document)
{
	struct json *address = json_path(document, STR("base.address"));
	const struct json *place = json_member(address, "geo");
	const struct json *lat = json_member(place, "lat"), *lon = json_member(place, "lon");

	if (lat && lon && json_is_null(lat) && json_is_null(lon))
		json_set(address, STR("geo"), json_new(making->arena, JSON_NULL));
}

static void set_customer_body(struct making *making, struct json *document)
{
	struct row *row = making->row;
	struct buf text;

	if (row->why.p)
		return;
	if (making->rules->hash_passwords && !password_hash(making->arena, document))
		fail(row, err_sentence(ERR_UNAVAILABLE));
	buf_init(&text, making->arena, 512);
	json_write(&text, document);
	row->command.body = buf_str(&text);
	if (text.n > CUSTOMER_MAX_BYTES)
		fail(row, arena_printf(making->arena, "the customer is larger than %d bytes", CUSTOMER_MAX_BYTES));
}

static void write_customer(struct making *making, struct json *document)
{
	struct row *row = making->row;
	bool insert = making->rules->operation == BULK_INSERT;

	if (insert && making->id.n)
		fail(row, "an INSERT takes no id: the customer gets one");
	begin_command(making, making->id.n ? COMMAND_CUSTOMER_PATCH : COMMAND_CUSTOMER_POST);
	row->command.entity = row_id(&making->rules->job, row->line, ROW_ENTITY);
	if (insert)
		row->command.flags |= COMMAND_INSERT_ONLY;
	else if (making->id.n)
		read_id(making, "customer", &row->command.entity);
	take_node(making, document);
	unset_place(making, document);
	/* what the node's policy asks for is checked by customer-merge, which knows whether the customer is there */
	schema_validate(schema_set_customer(making->rules->schemas), document, STR_NONE, &making->problems);
	fail_with_problems(making);
	set_customer_body(making, document);
}

static void delete_customer(struct making *making, struct json *document)
{
	struct row *row = making->row;
	struct str external_id = json_text(json_member(document, "externalId"));
	struct uuid key;

	begin_command(making, COMMAND_CUSTOMER_DELETE);
	take_node(making, document);
	fail_with_problems(making);
	if (making->id.n)
		read_id(making, "customer", &row->command.entity);
	else if (customer_key(making->arena, &making->rules->policy, document, &key))
		look_up_key(row, LOOKUP_KEY, &key);
	else if (external_id.n)
		look_up(row, LOOKUP_EXTERNAL_ID, external_id);
	else
		fail(row, "the row names no customer by id, the unique properties of the node, or externalId");
}

/* A row that may have been sent named a customer then, whoever has the name now: it is sent again, to nobody, and
   answered with what became of it. */
static void found_customer(struct arena *arena, struct row *row)
{
	if (row->n_found == 1)
		row->command.entity = row->found;
	else if (row->resend)
		return;
	else if (row->n_found)
		fail(row, arena_printf(arena, "more than one customer has the externalId %.*s",
		                  STR_ARG(str_utf8_cut(row->text, 255))));
	else
		fail(row, "customer not found");
}

/* --- events --------------------------------------------------------------------------------------------------------
 */

static struct json *bring_back(struct making *making, struct json *document)
{
	struct json *member = json_member(document, "bringBackProperties");

	return member ? member : json_set(document, STR("bringBackProperties"), json_new(making->arena, JSON_OBJECT));
}

static void set_text(struct making *making, struct json *object, struct str name, struct str text)
{
	json_set(object, name, json_new_str(making->arena, text));
}

static void add_bring_back(struct making *making, struct json *document, enum event_bind bind, struct str value)
{
	struct json *member;

	if (!value.n)
		return;
	if (json_member(document, "bringBackProperties"))
		fail(making->row, "externalId, sessionId and bringBackProperties exclude each other");
	member = bring_back(making, document);
	set_text(making, member, STR("type"), str_of(event_bind_name(bind)));
	set_text(making, member, STR("value"), value);
}

static const char *node_text(struct making *making)
{
	char *text = arena_alloc(making->arena, UUID_TEXT_BYTES + 1);

	uuid_format(&making->rules->node, text);
	return text;
}

/* The row as a client would send it. */
static void complete_event(struct making *making, struct json *document)
{
	struct json *member;

	add_bring_back(making, document, EVENT_BIND_EXTERNAL_ID, making->external_id);
	add_bring_back(making, document, EVENT_BIND_SESSION, making->session_id);
	member = json_member(document, "bringBackProperties");
	if (json_is(member, JSON_OBJECT) && !json_member(member, "nodeId"))
		set_text(making, member, STR("nodeId"), str_of(node_text(making)));
	if (making->rules->event_type && !json_member(document, "type"))
		set_text(making, document, STR("type"), making->rules->event_type->id);
}

static void check_parts(struct making *making, const struct event_type *type, const struct event_context *context,
        const struct json *properties, const struct json *context_info, const struct json *tracking,
        struct problems *problems)
{
	const struct json *nothing = json_new(making->arena, JSON_OBJECT);
	struct schema_set *schemas = making->rules->schemas;

	schema_validate(schema_set_event(schemas, (size_t)(type - event_types)),
	        json_is_null(properties) ? nothing : properties, STR("/properties"), problems);
	schema_validate(schema_set_context(schemas, (size_t)(context - event_contexts)),
	        json_is_null(context_info) ? nothing : context_info, STR("/contextInfo"), problems);
	if (!json_is_null(tracking))
		schema_validate(making->rules->tracking, tracking, STR("/tracking"), problems);
}

static void check_size(struct making *making, const struct event_type *type, size_t n_bytes)
{
	int64_t most = making->rules->event_bytes[type - event_types];

	if ((int64_t)n_bytes > most && !making->row->resend)
		fail(making->row, arena_printf(making->arena, "an event of the type %.*s may have %lld bytes",
		                          STR_ARG(type->id), (long long)most));
}

static void set_event_body(struct making *making, const struct event_input *input)
{
	struct event_body body = {.type = input->type->id,
	        .context = input->context->id,
	        .has_date = input->has_date,
	        .date_us = input->date_us};
	struct buf text;

	buf_init(&text, making->arena, 1024);
	event_body_encode(&text, &body);
	event_json_write(&text, input->properties, input->context_info, input->tracking);
	making->row->command.body = buf_str(&text);
	check_size(making, input->type, text.n);
}

static void check_event_node(struct making *making, const struct event_input *input)
{
	struct uuid node;

	if (input->bind_node.p && !(uuid_parse(input->bind_node, &node) && uuid_eq(&node, &making->rules->node)))
		problems_add(&making->problems, STR("/bringBackProperties/nodeId"), "is not the node of the job");
}

static void address_event(struct making *making, const struct event_input *input)
{
	struct row *row = making->row;
	struct command *command = &row->command;

	if (input->bind == EVENT_BIND_NONE && !uuid_parse(input->customer_id, &command->subject)) {
		fail(row, arena_printf(making->arena, "customer not found %.*s",
		                  STR_ARG(str_utf8_cut(input->customer_id, 255))));
		return;
	}
	if (input->bind == EVENT_BIND_NONE) {
		look_up_key(row, LOOKUP_CUSTOMER, &command->subject);
	} else {
		command->text = input->bind_value;
		command->flags |= COMMAND_BRING_BACK;
		if (input->bind == EVENT_BIND_SESSION)
			command->flags |= COMMAND_SESSION_BIND;
		else
			look_up(row, LOOKUP_BINDING, input->bind_value);
	}
	row->partition =
	        event_partition(&command->node, command->text, &command->subject, making->rules->event_partitions);
}

static bool is_given(const struct csv_cell *cell)
{
	return cell && cell->text.n && (cell->quoted || !str_is(cell->text, "null"));
}

/* The types of a new event's cells depend on what the row says to be its type and context. */
static struct json *take_new_event(struct making *making)
{
	const struct csv_cell *type = find_cell(making, "type"), *context = find_cell(making, "context");

	making->new_event = true;
	return take_cells(making, type && type->text.n ? event_type_find(type->text) : making->rules->event_type,
	        context ? event_context_find(context->text) : NULL);
}

static void create_event(struct making *making)
{
	struct row *row = making->row;
	struct json *document = take_new_event(making);
	struct event_input input;

	complete_event(making, document);
	begin_command(making, COMMAND_EVENT_POST);
	row->command.entity = row_id(&making->rules->job, row->line, ROW_ENTITY);
	event_input_read(making->arena, document, EVENT_CREATE, &input, &making->problems);
	check_event_node(making, &input);
	if (input.type && input.context) {
		if (making->rules->event_disabled[input.type - event_types])
			problems_add(&making->problems, STR("/type"), "this event type is disabled");
		check_parts(making, input.type, input.context, input.properties, input.context_info, input.tracking,
		        &making->problems);
	}
	fail_with_problems(making);
	if (!input.type || !input.context)
		fail(row, "the type or the context of the event is not known");
	if (row->why.p)
		return;
	set_event_body(making, &input);
	address_event(making, &input);
}

/* What else the row says is read when the event is known, by whose type and context it goes. */
static void change_event(struct making *making, enum command_type type)
{
	const struct csv_cell *id = find_cell(making, "id");
	struct row *row = making->row;

	begin_command(making, type);
	if (type == COMMAND_EVENT_PATCH)
		row->command.flags |= COMMAND_IF_DIFFERENT;
	row->cells = *making->cells;
	if (!is_given(id)) {
		fail(row, "the row names no event by id");
		return;
	}
	making->id = id->text;
	if (read_id(making, "event", &row->command.entity))
		look_up_key(row, LOOKUP_EVENT, &row->command.entity);
}

/* The parts that were given, as event-ingest merges them. */
static struct str patch_json(struct arena *arena, const struct event_input *input)
{
	const struct {
		const char *name;
		const struct json *value;
	} parts[] = {
	        {"properties", input->properties}, {"contextInfo", input->context_info}, {"tracking", input->tracking}};
	struct json *patch = json_new(arena, JSON_OBJECT);
	struct buf text;

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (parts[i].value)
			json_add(patch, str_of(parts[i].name), json_copy(arena, parts[i].value, false));
	buf_init(&text, arena, 512);
	json_write(&text, patch);
	return buf_str(&text);
}

static void check_all_parts(struct making *making, const struct json *parts, struct problems *problems)
{
	const struct event_row *event = making->row->event;

	check_parts(making, event_type_find(event->type), event_context_find(event->context),
	        json_member(parts, "properties"), json_member(parts, "contextInfo"), json_member(parts, "tracking"),
	        problems);
}

/* Faults that the event had before are not the row's. */
static void forgive(struct making *making, struct arena *scratch, struct str patch)
{
	struct problems *before = arena_alloc(scratch, sizeof(*before));
	struct err err = {0};
	const struct json *stored = json_parse(scratch, making->row->event->json, &err);
	const struct json *said = json_parse(scratch, patch, &err);

	problems_init(before, scratch);
	if (!stored || !said)
		return;
	check_all_parts(making, stored, before);
	event_input_forgive(&making->problems, before, said);
}

/* The event as it will be has to be valid, as far as the row goes. */
static void check_merged(struct making *making, struct arena *scratch, struct str patch)
{
	const struct event_row *event = making->row->event;
	const struct event_type *type = event_type_find(event->type);
	const struct event_context *context = event_context_find(event->context);
	struct err err = {0};
	struct str merged = event_json_merge(scratch, event->json, patch, &err);
	const struct json *parts = merged.p ? json_parse(scratch, merged, &err) : NULL;

	if (!parts) {
		fail(making->row, arena_printf(making->arena, "%s", err.message));
	} else if (type && context) {
		check_size(making, type, merged.n);
		check_all_parts(making, parts, &making->problems);
		if (making->problems.n)
			forgive(making, scratch, patch);
	}
}

/* What is made of the stored event is many times as large as the row: it must not add up. */
static void check_patch(struct making *making, struct str patch)
{
	struct arena *scratch = arena_new(SCRATCH_BYTES);

	check_merged(making, scratch, patch);
	arena_free(scratch);
}

/* What an event was brought back by stays: a row may repeat it, as a body may its bringBackProperties. */
static void check_bind(struct making *making, enum event_bind bind, const char *column, struct str sent)
{
	const struct event_row *event = making->row->event;

	if (sent.n && !(event->bind == bind && str_eq(event->bind_value, sent)))
		problems_add(&making->problems, str_of(arena_printf(making->arena, "/%s", column)),
		        "%s cannot be changed", column);
}

static void finish_patch(struct making *making)
{
	struct row *row = making->row;
	const struct event_row *event = row->event;
	struct json *document = take_cells(making, event_type_find(event->type), event_context_find(event->context));
	struct event_input input;
	struct buf text;

	event_input_read(making->arena, document, EVENT_CHANGE, &input, &making->problems);
	event_input_keeps(event, document, EVENT_CHANGE, &making->problems);
	check_bind(making, EVENT_BIND_EXTERNAL_ID, "externalId", making->external_id);
	check_bind(making, EVENT_BIND_SESSION, "sessionId", making->session_id);
	struct str patch = patch_json(making->arena, &input);
	check_patch(making, patch);
	fail_with_problems(making);
	buf_init(&text, making->arena, 512 + patch.n);
	event_body_encode(
	        &text, &(struct event_body){.has_date = input.has_date, .date_us = input.date_us, .json = patch});
	row->command.body = buf_str(&text);
}

/* A command on an event goes where its POST went. */
static void found_event(struct making *making)
{
	struct row *row = making->row;
	const struct event_row *event = row->event;
	struct command *command = &row->command;

	if (!row->n_found || !uuid_eq(&event->node, &making->rules->node)) {
		fail(row, "event not found");
		return;
	}
	if (event->has_customer)
		command->subject = event->customer;
	if (event->bind != EVENT_BIND_NONE) {
		command->text = event->bind_value;
		command->flags |= COMMAND_BRING_BACK;
		if (event->bind == EVENT_BIND_SESSION)
			command->flags |= COMMAND_SESSION_BIND;
	}
	row->partition =
	        event_partition(&command->node, command->text, &command->subject, making->rules->event_partitions);
	if (command->type == COMMAND_EVENT_PATCH)
		finish_patch(making);
}

static void make_event(struct making *making)
{
	bool named = is_given(find_cell(making, "id"));

	if (making->rules->operation == BULK_DELETE)
		change_event(making, COMMAND_EVENT_DELETE);
	else if (!named)
		create_event(making);
	else if (making->rules->operation == BULK_INSERT)
		fail(making->row, "an INSERT takes no id: the event gets one");
	else
		change_event(making, COMMAND_EVENT_PATCH);
}

/* --- rows ----------------------------------------------------------------------------------------------------------
 */

static void make_customer(struct making *making)
{
	struct json *document = take_cells(making, NULL, NULL);

	if (making->rules->operation == BULK_DELETE)
		delete_customer(making, document);
	else
		write_customer(making, document);
}

static void begin_making(struct arena *arena, struct row_rules *rules, const struct csv_row *cells, struct row *row,
        struct making *making)
{
	making->arena = arena;
	making->rules = rules;
	making->cells = cells;
	making->row = row;
	making->id = making->external_id = making->session_id = STR_NONE;
	making->new_event = false;
	problems_init(&making->problems, arena);
}

void row_make(
        struct arena *arena, struct row_rules *rules, const struct csv_row *cells, struct str raw, struct row *row)
{
	struct making making;

	begin_making(arena, rules, cells, row, &making);
	row->command.id = row_id(&rules->job, row->line, ROW_COMMAND);
	row->command.fingerprint = hash_str(raw, 0);
	if (cells->fault)
		fail(row, cells->fault);
	else if (!str_is_utf8(raw) || memchr(raw.p, '\0', raw.n))
		fail(row, "the row is not UTF-8 text");
	else if (cells->n_cells != rules->columns.n)
		fail(row,
		        arena_printf(arena, "the row has %zu cells, the header %zu", cells->n_cells, rules->columns.n));
	else if (rules->entity == BULK_EVENT)
		make_event(&making);
	else
		make_customer(&making);
	if (row->why.p)
		row->lookup = LOOKUP_NONE;
}

void row_finish(struct arena *arena, struct row_rules *rules, struct row *row)
{
	struct making making;

	switch (row->lookup) {
	case LOOKUP_KEY:
	case LOOKUP_EXTERNAL_ID:
		found_customer(arena, row);
		break;
	case LOOKUP_CUSTOMER:
		if (!row->n_found && !row->resend)
			fail(row, "customer not found");
		break;
	case LOOKUP_BINDING:
		row->ensure = !row->n_found;
		break;
	case LOOKUP_EVENT:
		begin_making(arena, rules, &row->cells, row, &making);
		found_event(&making);
		break;
	case LOOKUP_NONE:
	case LOOKUPS:
		break;
	}
}

struct command row_ensure_command(const struct row_rules *rules, const struct row *row)
{
	return (struct command){.type = COMMAND_CUSTOMER_ENSURE,
	        .time_us = row->command.time_us,
	        .id = row_id(&rules->job, row->line, ROW_ENSURE),
	        .workspace = rules->workspace,
	        .node = rules->node,
	        .entity = row_id(&rules->job, row->line, ROW_ENSURED),
	        .source = rules->source,
	        .user = rules->user,
	        .text = row->command.text};
}
