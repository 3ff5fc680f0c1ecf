#include "workers/event_ingest/apply.h"

/* updatedAt is shown in milliseconds and grows with every change. */
#define UPDATE_STEP_US 1000
#define MS_US 1000

static enum event_bind bind_of(const struct command *command)
{
	if (!(command->flags & COMMAND_BRING_BACK))
		return EVENT_BIND_NONE;
	return command->flags & COMMAND_SESSION_BIND ? EVENT_BIND_SESSION : EVENT_BIND_EXTERNAL_ID;
}

void event_begin(struct event *event, const struct command *command, const struct event_body *body,
        const struct uuid *customer, int64_t deleted_us)
{
	*event = (struct event){
	        .workspace = command->workspace,
	        .source = command->source,
	        .row = {.id = command->entity,
	                .node = command->node,
	                .has_customer = customer != NULL,
	                .registered_us = command->time_us,
	                .updated_us = command->time_us,
	                .date_us = body->has_date ? body->date_us : command->time_us,
	                .version = 1,
	                .bind = bind_of(command),
	                .type = body->type,
	                .context = body->context,
	                .bind_value = command->flags & COMMAND_BRING_BACK ? command->text : STR_NONE,
	                .json = body->json},
	        .deleted_us = deleted_us,
	};
	if (customer)
		event->row.customer = *customer;
}

static enum event_outcome create(struct event *event)
{
	event->changed = true;
	event->state = event->deleted_us ? EVENT_DELETED : EVENT_LIVE;
	return event->deleted_us ? EVENT_NOTHING : EVENT_CREATED;
}

static void touch(struct event *event, int64_t now_us)
{
	int64_t least_us = event->row.updated_us + UPDATE_STEP_US;

	event->row.updated_us = now_us > least_us ? now_us : least_us;
	event->row.version++;
	event->changed = true;
}

/* Clients know dates by the millisecond: the one that they were told is the one that is there. */
static bool is_date_of(const struct event_row *row, int64_t date_us)
{
	int64_t rest_us = row->date_us % MS_US;

	return date_us == row->date_us || date_us == row->date_us - (rest_us < 0 ? rest_us + MS_US : rest_us);
}

static bool is_same(const struct event_row *row, const struct event_body *body, struct str json)
{
	return (!body->context.n || str_eq(body->context, row->context)) &&
	       (!body->has_date || is_date_of(row, body->date_us)) && event_json_equal(row->json, json);
}

static enum event_outcome update(struct arena *arena, struct event *event, const struct command *command,
        const struct event_body *body, struct err *err)
{
	struct str json = body->json;

	if (event->state == EVENT_DELETED)
		return EVENT_NOTHING;
	if (command->type == COMMAND_EVENT_PATCH) {
		json = event_json_merge(arena, event->row.json, body->json, err);
		if (!json.p)
			return EVENT_BROKEN;
	}
	if (command->flags & COMMAND_IF_DIFFERENT && is_same(&event->row, body, json))
		return EVENT_SAME;
	event->row.json = json;
	if (body->context.n)
		event->row.context = body->context;
	if (body->has_date)
		event->row.date_us = body->date_us;
	touch(event, command->time_us);
	return EVENT_UPDATED;
}

static enum event_outcome bury(struct event *event, int64_t now_us)
{
	bool was_live = event->state == EVENT_LIVE;

	event->state = EVENT_DELETED;
	event->deleted_us = now_us;
	event->changed = true;
	return was_live ? EVENT_REMOVED : EVENT_NOTHING;
}

enum event_outcome event_apply(struct arena *arena, struct event *event, const struct command *command,
        const struct event_body *body, struct err *err)
{
	if (command->type == COMMAND_EVENT_POST)
		return create(event);
	if (event->state == EVENT_UNKNOWN)
		return EVENT_NOT_FOUND;
	if (command->type == COMMAND_EVENT_DELETE)
		return bury(event, command->time_us);
	return update(arena, event, command, body, err);
}
