#include "workers/customer_merge/apply.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/bulk_job.h"
#include "common/consent_times.h"
#include "workers/customer_merge/merge.h"

#define NOT_VALID "source customer is not valid"

/* Numbers of the ids that follow from a command (uuid_derive). */
enum { DERIVE_SESSION = 1 };

/* One command in work. */
struct step {
	struct work *work;
	size_t index;
	const struct command *command;
	const struct node_rules *rules; /* of the command's node */
	struct unit_customer *target;   /* or NULL while there is none */
};

static struct json *external_id_alone(struct arena *arena, struct str external_id)
{
	struct json *body = json_new(arena, JSON_OBJECT);

	json_add(body, STR("externalId"), json_new_str(arena, external_id));
	return body;
}

bool apply_parse(struct work *work, struct err *err)
{
	for (size_t i = work->first; i < work->end; i++) {
		const struct command *command = batch_command(work->batch, i);

		work->bodies[i] = NULL;
		if (batch_skip(work->batch, i))
			continue;
		if (command->type == COMMAND_CUSTOMER_ENSURE) {
			work->bodies[i] = external_id_alone(work->arena, command->text);
		} else if (command->body.n) {
			work->bodies[i] = json_parse(work->arena, command->body, err);
			if (!work->bodies[i])
				return false;
		}
		bool needs_object = command->type == COMMAND_CUSTOMER_POST || command->type == COMMAND_CUSTOMER_PATCH ||
		                    command->type == COMMAND_CUSTOMER_PUT || command->type == COMMAND_ITEM_POST ||
		                    command->type == COMMAND_ITEM_PUT;
		if (needs_object && !json_is(work->bodies[i], JSON_OBJECT))
			return err_set(err, ERR_INVALID, "the body of the command is not an object");
	}
	return true;
}

/* Answers */

static char *id_text(struct arena *arena, const struct uuid *id)
{
	char *text = arena_alloc(arena, UUID_TEXT_BYTES + 1);

	uuid_format(id, text);
	return text;
}

static void refuse(const struct step *step, enum err_code code, const char *message)
{
	batch_refuse(step->work->batch, step->index, code, str_of(message), STR_NONE);
}

static bool not_found(const struct step *step, const char *what, const struct uuid *id)
{
	struct arena *arena = step->work->arena;

	refuse(step, ERR_NOT_FOUND, arena_printf(arena, "%s not found %s", what, id_text(arena, id)));
	return true;
}

/* The address is completed by the gateway, which knows under which name clients reach it. */
static bool conflict(const struct step *step, const struct uuid *other)
{
	struct arena *arena = step->work->arena;
	const char *id = id_text(arena, other);
	const char *workspace = id_text(arena, &step->command->workspace);
	const char *data = arena_printf(arena,
	        "{\"customer\":{\"id\":\"%s\",\"href\":\"/hub/v1/workspaces/%s/customers/%s\"}}", id, workspace, id);

	batch_refuse(step->work->batch, step->index, ERR_CONFLICT,
	        str_of(arena_printf(arena, "Conflict with exiting customer %s", id)), str_of(data));
	return true;
}

static bool is_bulk(const struct step *step)
{
	return step->command->flags & COMMAND_BULK;
}

/* A row of a bulk job is told what became of it, not how the customer looks. */
static void answer_row(const struct step *step, uint16_t http_status, enum bulk_row_status status)
{
	batch_reply(step->work->batch, step->index, http_status,
	        bulk_outcome_write(step->work->arena, status, &step->target->now.id));
}

static void answer_customer(const struct step *step, uint16_t status)
{
	struct buf body;

	buf_init(&body, step->work->arena, 1536);
	customer_render(&body, &step->target->now, NULL, step->work->hide_password);
	batch_reply_entity(step->work->batch, step->index, status, &step->target->now.id, buf_str(&body));
}

static void add_change(const struct step *step, enum change_operation operation)
{
	const struct unit_customer *target = step->target;

	batch_change(step->work->batch, &target->workspace, &target->now.node, ENTITY_CUSTOMER, &target->now.id,
	        operation, target->now.version);
}

/* Bindings */

static struct unit_value *value_of(const struct step *step, enum binding_kind kind, struct str text)
{
	return unit_value(&step->work->unit, &step->command->workspace, &step->command->node, kind, text);
}

static void bind_external_id(const struct step *step, struct str text)
{
	static const struct uuid no_session;
	struct unit_value *value;

	if (!text.n)
		return;
	value = value_of(step, BINDING_EXTERNAL_ID, text);
	if (!unit_binding_of(value, &step->target->now.id))
		unit_bind(&step->work->unit, value, step->target, &no_session, step->command->time_us);
}

/* An event that names this text would have its customer ensured (see ensure_customer): would it be the target? */
static bool still_names(const struct step *step, struct str text)
{
	struct arena *arena = step->work->arena;
	struct uuid key;

	return step->target->has_key &&
	       customer_key(arena, &step->rules->policy, external_id_alone(arena, text), &key) &&
	       uuid_eq(&key, &step->target->key);
}

/* The session that comes with a write (query parameter sessionId): false when it belongs to another customer. */
static bool session_is_free(const struct step *step)
{
	const struct unit_binding *binding;

	if (!step->command->text.n)
		return true;
	binding = unit_open_binding(value_of(step, BINDING_SESSION, step->command->text));
	return !binding || (step->target && uuid_eq(&binding->customer, &step->target->now.id));
}

static const struct unit_binding *bind_session(const struct step *step, const struct uuid *session)
{
	struct unit_value *value = value_of(step, BINDING_SESSION, step->command->text);
	const struct unit_binding *binding = unit_open_binding(value);

	return binding ? binding : unit_bind(&step->work->unit, value, step->target, session, step->command->time_us);
}

static void bind_session_of_write(const struct step *step)
{
	struct uuid session = uuid_derive(&step->command->id, DERIVE_SESSION);

	if (step->command->text.n)
		bind_session(step, &session);
}

/* Changes of customers */

/* A key that was forgotten may come again, with an id that somebody has, or had. */
static struct uuid id_of_new(const struct step *step)
{
	const struct command *command = step->command;

	return unit_is_used(&step->work->unit, &command->workspace, &command->entity)
	               ? uuid_derive(&command->entity, (uint64_t)command->time_us)
	               : command->entity;
}

static void create(struct step *step, struct json *doc, const struct uuid *key)
{
	const struct command *command = step->command;
	struct unit *unit = &step->work->unit;
	struct unit_head *head = unit_head(unit, &command->workspace);
	struct customer customer = {.id = id_of_new(step),
	        .node = command->node,
	        .int_id = ++head->last_int_id,
	        .version = 1,
	        .registered_us = command->time_us,
	        .updated_us = command->time_us,
	        .registered_by = command->source,
	        .updated_by = command->source,
	        .doc = doc,
	        .consent_times = consent_times_next(step->work->arena, NULL, doc, command->time_us)};

	head->changed = true;
	step->target = unit_add(unit, &command->workspace, &customer, false);
	if (key)
		unit_set_key(unit, step->target, key);
	bind_external_id(step, customer_external_id(&customer));
	add_change(step, CHANGE_CREATE);
}

/*
 * Another customer may take what this one gives up, so no spelling of it may stay bound: events would go to whoever had
 * it first. Other letters that still mean this customer stay, like the new ones where it has them already.
 */
static bool move_external_id(const struct step *step, struct str after, struct err *err)
{
	struct unit_customer *target = step->target;

	if (!store_load_external_ids(step->work, target, err))
		return false;
	for (struct unit_binding *binding = target->bindings; binding; binding = binding->next_of_customer) {
		const struct unit_value *value = binding->value;

		if (value->kind == BINDING_EXTERNAL_ID && binding->unbound_us == BINDING_OPEN &&
		        !str_eq(value->text, after) && !still_names(step, value->text))
			unit_unbind(binding, step->command->time_us);
	}
	bind_external_id(step, after);
	return true;
}

static bool update(struct step *step, struct json *doc, const struct uuid *key, struct err *err)
{
	struct unit_customer *target = step->target;
	struct str before = customer_external_id(&target->now), after;
	int64_t now_us = merge_updated_us(target->now.updated_us, step->command->time_us);

	target->now.consent_times = consent_times_next(step->work->arena, &target->now, doc, now_us);
	target->now.doc = doc;
	target->now.version++;
	target->now.updated_us = now_us;
	target->now.updated_by = step->command->source;
	target->changed = true;
	unit_set_key(&step->work->unit, target, key);
	add_change(step, CHANGE_UPDATE);
	after = customer_external_id(&target->now);
	return str_eq(before, after) || move_external_id(step, after, err);
}

/* The customer, other than the target, that has this key. */
static bool find_rival(
        const struct step *step, const struct uuid *key, struct unit_customer **ret_rival, struct err *err)
{
	const struct command *command = step->command;
	struct unit *unit = &step->work->unit;

	*ret_rival = NULL;
	if (step->target && step->target->has_key && uuid_eq(&step->target->key, key))
		return true;
	if (!unit_key_is_known(unit, &command->workspace, &command->node, key) &&
	        !store_load_key(step->work, &command->workspace, &command->node, key, err))
		return false;
	*ret_rival = unit_find_by_key(unit, &command->workspace, &command->node, key);
	return true;
}

/* Lets a decided document become the customer; *ret_done false when the command had to be refused instead. */
static bool take_document(struct step *step, const struct merge_result *result, bool *ret_done, struct err *err)
{
	struct unit_customer *rival = NULL;
	struct uuid key;
	bool has_key;

	*ret_done = false;
	if (result->refused != ERR_NONE) {
		batch_refuse_problems(
		        step->work->batch, step->index, result->refused, STR(NOT_VALID), result->problems);
		return true;
	}
	has_key = customer_key(step->work->arena, &step->rules->policy, result->doc, &key);
	if (result->changed && has_key && !find_rival(step, &key, &rival, err))
		return false;
	if (rival)
		return conflict(step, &rival->now.id);
	if (!step->target)
		create(step, result->doc, has_key ? &key : NULL);
	else if (result->changed && !update(step, result->doc, has_key ? &key : NULL, err))
		return false;
	*ret_done = true;
	return true;
}

static bool session_conflict(const struct step *step)
{
	refuse(step, ERR_CONFLICT, "the session belongs to another customer");
	return true;
}

static bool write_customer(struct step *step, enum merge_mode mode, uint16_t status, struct err *err)
{
	const struct json *current = step->target ? step->target->now.doc : NULL;
	bool is_new = !step->target, done;
	struct merge_result result;

	if (!session_is_free(step))
		return session_conflict(step);
	result = merge_customer(step->work->arena, current, step->work->bodies[step->index], mode,
	        step->command->flags & COMMAND_STRICT, &step->rules->policy);
	if (!take_document(step, &result, &done, err))
		return false;
	if (!done)
		return true;
	bind_session_of_write(step);
	if (is_bulk(step))
		answer_row(step, status,
		        is_new           ? BULK_ROW_CREATED
		        : result.changed ? BULK_ROW_UPDATED
		                         : BULK_ROW_UNCHANGED);
	else
		answer_customer(step, status);
	return true;
}

/* Commands */

static void find_by_key(struct step *step)
{
	const struct command *command = step->command;
	struct uuid key;

	if (customer_key(step->work->arena, &step->rules->policy, step->work->bodies[step->index], &key))
		step->target = unit_find_by_key(&step->work->unit, &command->workspace, &command->node, &key);
}

/* A row of a bulk job changes a customer that is there like a PATCH: its nulls remove, however it was found. */
static bool post_customer(struct step *step, struct err *err)
{
	if (step->rules->seq == RULES_UNKNOWN)
		return not_found(step, "node", &step->command->node);
	find_by_key(step);
	if (step->target && step->command->flags & COMMAND_INSERT_ONLY)
		return conflict(step, &step->target->now.id);
	return write_customer(step, step->target && is_bulk(step) ? MERGE_PATCH : MERGE_POST, 201, err);
}

static bool patch_customer(struct step *step, struct err *err)
{
	return write_customer(step, MERGE_PATCH, 200, err);
}

static bool put_customer(struct step *step, struct err *err)
{
	return write_customer(step, MERGE_PUT, 200, err);
}

static bool delete_customer(struct step *step, struct err *err)
{
	(void)err;
	unit_delete(&step->work->unit, step->target, step->command->time_us);
	step->target->now.version++;
	add_change(step, CHANGE_DELETE);
	if (is_bulk(step))
		answer_row(step, 200, BULK_ROW_DELETED);
	else
		batch_reply(step->work->batch, step->index, 200, STR_NONE);
	return true;
}

/* Mostly nobody waits: the event that needs the customer is published behind the command. */
static bool answer_ensured(const struct step *step, const struct uuid *customer)
{
	struct arena *arena = step->work->arena;

	if (step->command->reply.boot)
		batch_reply(step->work->batch, step->index, 200,
		        str_of(arena_printf(arena, "{\"id\":\"%s\"}", id_text(arena, customer))));
	return true;
}

/* It holds nothing but the external id, whatever else customers of the node must hold. */
static bool create_ensured(struct step *step, struct err *err)
{
	static const struct customer_policy demands_nothing;
	struct merge_result result = merge_customer(
	        step->work->arena, NULL, step->work->bodies[step->index], MERGE_PATCH, false, &demands_nothing);
	bool done;

	if (!take_document(step, &result, &done, err))
		return false;
	return !done || answer_ensured(step, &step->target->now.id);
}

/*
 * An event is about to name this external id: somebody must have it. A repeat (of an event with an Idempotency-Key, of
 * a row of a bulk job) comes with the same id again: its customer was there, whatever has become of it.
 */
static bool ensure_customer(struct step *step, struct err *err)
{
	const struct unit_binding *binding =
	        unit_open_binding(value_of(step, BINDING_EXTERNAL_ID, step->command->text));

	if (step->rules->seq == RULES_UNKNOWN) {
		batch_dead_letter(step->work->batch, step->index, STR("the node is not known"));
		return true;
	}
	if (binding)
		return answer_ensured(step, &binding->customer);
	find_by_key(step);
	if (!step->target)
		return unit_is_used(&step->work->unit, &step->command->workspace, &step->command->entity)
		               ? answer_ensured(step, &step->command->entity)
		               : create_ensured(step, err);
	/* the same customer in other letters: events find it under this spelling, too */
	bind_external_id(step, step->command->text);
	return answer_ensured(step, &step->target->now.id);
}

static bool no_item(const struct step *step)
{
	struct str kind = customer_item_name(step->command->item);

	refuse(step, ERR_NOT_FOUND,
	        arena_printf(step->work->arena, "%.*s not found %.*s", STR_ARG(kind), STR_ARG(step->command->text)));
	return true;
}

static bool has_item(const struct step *step)
{
	return customer_item_find(step->target->now.doc, step->command->item, step->command->text);
}

static void answer_item(const struct step *step, uint16_t status)
{
	const struct command *command = step->command;
	struct buf body;

	buf_init(&body, step->work->arena, 512);
	customer_item_render(
	        &body, command->item, customer_item_find(step->target->now.doc, command->item, command->text));
	batch_reply(step->work->batch, step->index, status, buf_str(&body));
}

static bool write_item(struct step *step, enum merge_mode mode, uint16_t status, struct err *err)
{
	const struct command *command = step->command;
	struct merge_result result = merge_item(step->work->arena, step->target->now.doc, command->item, command->text,
	        step->work->bodies[step->index], mode);
	bool done;

	if (!take_document(step, &result, &done, err))
		return false;
	if (done)
		answer_item(step, status);
	return true;
}

/* The contract answers a new subscription with 201, the others with 200. */
static bool post_item(struct step *step, struct err *err)
{
	return write_item(step, MERGE_POST, step->command->item == ITEM_SUBSCRIPTION ? 201 : 200, err);
}

static bool put_item(struct step *step, struct err *err)
{
	return has_item(step) ? write_item(step, MERGE_PUT, 200, err) : no_item(step);
}

static bool delete_item(struct step *step, struct err *err)
{
	struct merge_result result;
	bool done;

	if (!has_item(step))
		return no_item(step);
	result = merge_item_removed(step->work->arena, step->target->now.doc, step->command->item, step->command->text);
	if (!take_document(step, &result, &done, err))
		return false;
	if (done)
		batch_reply(step->work->batch, step->index, 200, STR_NONE);
	return true;
}

static bool post_session(struct step *step, struct err *err)
{
	struct uuid session = uuid_derive(&step->command->id, DERIVE_SESSION);
	const struct unit_binding *binding;
	struct buf body;

	(void)err;
	if (!session_is_free(step))
		return session_conflict(step);
	binding = bind_session(step, &session);
	buf_init(&body, step->work->arena, 128);
	buf_printf(&body, "{\"id\":\"%s\",\"value\":", id_text(step->work->arena, &binding->session));
	json_write_string(&body, step->command->text);
	buf_add_char(&body, '}');
	batch_reply(step->work->batch, step->index, 201, buf_str(&body));
	return true;
}

static bool delete_session(struct step *step, struct err *err)
{
	struct uuid session;

	(void)err;
	if (uuid_parse(step->command->text, &session))
		for (struct unit_binding *binding = step->target->bindings; binding;
		        binding = binding->next_of_customer) {
			if (binding->unbound_us != BINDING_OPEN || !uuid_eq(&binding->session, &session))
				continue;
			unit_unbind(binding, step->command->time_us);
			batch_reply(step->work->batch, step->index, 200, STR_NONE);
			return true;
		}
	refuse(step, ERR_NOT_FOUND,
	        arena_printf(step->work->arena, "session not found %.*s", STR_ARG(step->command->text)));
	return true;
}

static const struct {
	bool (*apply)(struct step *step, struct err *err);
	bool on_customer; /* the command names a customer that must be there */
} commands[] = {
        [COMMAND_CUSTOMER_POST] = {.apply = post_customer},
        [COMMAND_CUSTOMER_PATCH] = {.apply = patch_customer, .on_customer = true},
        [COMMAND_CUSTOMER_PUT] = {.apply = put_customer, .on_customer = true},
        [COMMAND_CUSTOMER_DELETE] = {.apply = delete_customer, .on_customer = true},
        [COMMAND_CUSTOMER_ENSURE] = {.apply = ensure_customer},
        [COMMAND_ITEM_POST] = {.apply = post_item, .on_customer = true},
        [COMMAND_ITEM_PUT] = {.apply = put_item, .on_customer = true},
        [COMMAND_ITEM_DELETE] = {.apply = delete_item, .on_customer = true},
        [COMMAND_SESSION_POST] = {.apply = post_session, .on_customer = true},
        [COMMAND_SESSION_DELETE] = {.apply = delete_session, .on_customer = true},
};

bool apply_command(struct work *work, size_t index, struct err *err)
{
	const struct command *command = batch_command(work->batch, index);
	struct step step = {.work = work,
	        .index = index,
	        .command = command,
	        .rules = rules_find(work->rules, &command->workspace, &command->node)};

	if (command->type >= ARRAY_LEN(commands) || !commands[command->type].apply) {
		batch_dead_letter(work->batch, index, STR("this worker does not know the command"));
		return true;
	}
	if (commands[command->type].on_customer) {
		step.target = unit_find(&work->unit, &command->workspace, &command->entity);
		if (!step.target || !uuid_eq(&step.target->now.node, &command->node))
			return not_found(&step, "customer", &command->entity);
	}
	return commands[command->type].apply(&step, err);
}
