#include "workers/event_ingest/ingest.h"

#include "common/arena.h"
#include "common/bulk_job.h"
#include "common/crash.h"
#include "common/hash.h"
#include "common/locks.h"
#include "common/rows.h"
#include "workers/event_ingest/apply.h"

/* A command of the batch and the event that it is about. */
struct item {
	size_t index; /* in the batch */
	const struct command *command;
	struct event_body body;
	struct event *event;
	struct item *next; /* in the same bucket of the table */
};

struct ingest {
	struct batch *batch;
	struct arena *arena;
	struct db *db;
	struct item *items;
	size_t n, n_posts;
	size_t n_new; /* POSTs whose event cannot be there */
	struct event *events;
	size_t n_events;
	/* The first command on each event, by its id. Only made when there is more than new events. */
	struct item **buckets;
	size_t n_buckets;
};

static bool is_post(const struct item *item)
{
	return item->command->type == COMMAND_EVENT_POST;
}

/* A gateway's event is named after its POST, and a row of a bulk job counts once by its key; an operator sends an event
   again under another command, a key may have been forgotten, and a late one may be there already. */
static bool is_new(const struct ingest *ingest, const struct item *item)
{
	const struct command *command = item->command;

	if (!is_post(item))
		return false;
	if (command->flags & COMMAND_BULK)
		return command->flags & COMMAND_KEYED;
	return !(command->flags & COMMAND_KEYED) && uuid_eq(&command->id, &command->entity) &&
	       !batch_is_late(ingest->batch, item->index);
}

static const char *check(const struct command *command, struct event_body *body, struct err *err)
{
	switch (command->type) {
	case COMMAND_EVENT_DELETE:
		return NULL;
	case COMMAND_EVENT_POST:
		if (!(command->flags & COMMAND_BRING_BACK) && uuid_is_nil(&command->subject))
			return "the event names neither a customer nor a bring-back value";
		if (command->flags & COMMAND_BRING_BACK && !command->text.p)
			return "the event's bring-back value is missing";
		/* fallthrough */
	case COMMAND_EVENT_PUT:
	case COMMAND_EVENT_PATCH:
		return event_body_decode(command->body, body, err) ? NULL : err->message;
	default:
		return "not a command of this topic";
	}
}

static void set_aside(struct ingest *ingest, size_t index, const char *reason)
{
	struct str words = arena_str(ingest->arena, str_of(reason));

	batch_dead_letter(ingest->batch, index, words);
	if (batch_command(ingest->batch, index)->reply.boot ||
	        batch_command(ingest->batch, index)->flags & COMMAND_BULK)
		batch_refuse(ingest->batch, index, ERR_INVALID, words, STR_NONE);
}

static void read_commands(struct ingest *ingest)
{
	size_t n = batch_size(ingest->batch);

	ingest->items = arena_alloc(ingest->arena, (n + 1) * sizeof(*ingest->items));
	ingest->events = arena_zalloc(ingest->arena, (n + 1) * sizeof(*ingest->events));
	for (size_t i = 0; i < n; i++) {
		struct item *item = &ingest->items[ingest->n];
		struct err err = {0};
		if (batch_skip(ingest->batch, i))
			continue;
		*item = (struct item){.index = i, .command = batch_command(ingest->batch, i)};
		const char *fault = check(item->command, &item->body, &err);
		if (fault) {
			set_aside(ingest, i, fault);
			continue;
		}
		ingest->n++;
		ingest->n_posts += is_post(item);
		ingest->n_new += is_new(ingest, item);
	}
}

/* All shared: events do not exclude each other, only what is decided about them. */
static bool send_locks(struct ingest *ingest, struct err *err)
{
	struct lock_set locks;

	lock_set_init(&locks, ingest->arena);
	for (size_t i = 0; i < ingest->n; i++) {
		const struct command *command = ingest->items[i].command;
		lock_set_node(&locks, &command->node, false);
		if (command->flags & COMMAND_BRING_BACK)
			lock_set_binding(&locks, &command->node,
			        command->flags & COMMAND_SESSION_BIND ? EVENT_BIND_SESSION : EVENT_BIND_EXTERNAL_ID,
			        command->text, false);
		else
			lock_set_customer(&locks, &command->subject, false);
	}
	return lock_set_send(&locks, ingest->db, err);
}

static bool send_facts(struct ingest *ingest, struct err *err)
{
	struct rows rows;

	if (!ingest->n_posts)
		return true;
	rows_init(&rows, ingest->arena, "iuuustl");
	for (size_t i = 0; i < ingest->n; i++) {
		const struct command *command = ingest->items[i].command;
		bool bring_back = command->flags & COMMAND_BRING_BACK;
		if (!is_post(&ingest->items[i]))
			continue;
		db_array_i64(&rows.columns[0], (int64_t)i);
		db_array_uuid(&rows.columns[1], &command->workspace);
		db_array_uuid(&rows.columns[2], &command->node);
		db_array_uuid(&rows.columns[3], bring_back ? NULL : &command->subject);
		if (bring_back)
			db_array_i64(&rows.columns[4],
			        command->flags & COMMAND_SESSION_BIND ? EVENT_BIND_SESSION : EVENT_BIND_EXTERNAL_ID);
		else
			db_array_null(&rows.columns[4]);
		db_array_text(&rows.columns[5], bring_back ? command->text : STR_NONE);
		db_array_i64(&rows.columns[6], command->time_us);
	}
	return rows_send(&rows, ingest->db, "ingest_facts", err);
}

static struct item **bucket(struct ingest *ingest, const struct uuid *id)
{
	return &ingest->buckets[hash_bytes(id, sizeof(*id), 0) & (ingest->n_buckets - 1)];
}

/* Gives commands on the same event the same state. */
static void join_events(struct ingest *ingest)
{
	ingest->n_buckets = 16;
	while (ingest->n_buckets < 2 * ingest->n)
		ingest->n_buckets *= 2;
	ingest->buckets = arena_zalloc(ingest->arena, ingest->n_buckets * sizeof(struct item *));
	for (size_t i = 0; i < ingest->n; i++) {
		struct item *item = &ingest->items[i];
		struct item **at = bucket(ingest, &item->command->entity);
		struct item *first = *at;
		while (first && !(uuid_eq(&first->command->entity, &item->command->entity) &&
		                        uuid_eq(&first->command->workspace, &item->command->workspace)))
			first = first->next;
		if (first) {
			item->event = first->event;
			continue;
		}
		item->event = &ingest->events[ingest->n_events++];
		*item->event = (struct event){.workspace = item->command->workspace, .row.id = item->command->entity};
		item->next = *at;
		*at = item;
	}
}

static void give_each_an_event(struct ingest *ingest)
{
	ingest->n_events = ingest->n;
	for (size_t i = 0; i < ingest->n; i++)
		ingest->items[i].event = &ingest->events[i];
}

/* What is not new was made before, or may have been: read it. Events stand in the order of the first commands on them.
 */
static bool send_find(struct ingest *ingest, struct err *err)
{
	struct rows rows;
	size_t n_seen = 0;

	if (ingest->n == ingest->n_new) {
		give_each_an_event(ingest);
		return true;
	}
	join_events(ingest);
	rows_init(&rows, ingest->arena, "iuu");
	for (size_t i = 0; i < ingest->n; i++) {
		const struct event *event = ingest->items[i].event;
		bool is_first = event == &ingest->events[n_seen];
		n_seen += is_first;
		if (!is_first || is_new(ingest, &ingest->items[i]))
			continue;
		db_array_i64(&rows.columns[0], event - ingest->events);
		db_array_uuid(&rows.columns[1], &event->workspace);
		db_array_uuid(&rows.columns[2], &event->row.id);
	}
	return rows_send(&rows, ingest->db, "ingest_find", err);
}

static struct str keep(struct ingest *ingest, struct str s)
{
	return arena_str(ingest->arena, s);
}

/* One that its node was emptied of may have its row still: who buries it takes the row away, or it would be counted as
 * there and as gone. */
static void take_found(struct ingest *ingest, const PGresult *rows, int row)
{
	struct event *event = &ingest->events[db_i64(rows, row, 0)];

	event->stored = !db_is_null(rows, row, 6);
	if (event->stored)
		event_row_read(rows, row, 6, &event->row);
	if (event->stored && db_is_null(rows, row, 1)) {
		event->row.type = keep(ingest, event->row.type);
		event->row.context = keep(ingest, event->row.context);
		event->row.bind_value = keep(ingest, event->row.bind_value);
		event->row.json = keep(ingest, event->row.json);
		event->source = db_uuid(rows, row, 5);
		event->state = EVENT_LIVE;
	} else if (!db_is_null(rows, row, 1)) {
		event->state = EVENT_DELETED;
		event->deleted_us = db_i64(rows, row, 1);
		event->row.node = db_uuid(rows, row, 2);
		event->row.type = keep(ingest, db_text(rows, row, 3));
		event->row.context = event->row.bind_value = event->row.json = STR_NONE;
		event->row.registered_us = db_i64(rows, row, 4);
	}
}

static bool read_found(struct ingest *ingest, struct err *err)
{
	PGresult *rows;

	if (ingest->n == ingest->n_new)
		return true;
	rows = db_result(ingest->db, err);
	if (!rows)
		return false;
	for (int row = 0; row < PQntuples(rows); row++)
		take_found(ingest, rows, row);
	PQclear(rows);
	return true;
}

/* Begins every POST's event with its facts; POSTs without a row belong to the customer they name. */
static void begin_posts(struct ingest *ingest, const PGresult *facts)
{
	int n_facts = facts ? PQntuples(facts) : 0;
	int *row_of = arena_alloc(ingest->arena, (ingest->n + 1) * sizeof(*row_of));

	for (size_t i = 0; i < ingest->n; i++)
		row_of[i] = -1;
	for (int row = 0; row < n_facts; row++)
		row_of[db_i64(facts, row, 0)] = row;
	for (size_t i = 0; i < ingest->n; i++) {
		struct item *item = &ingest->items[i];
		int row = row_of[i];
		struct uuid customer = item->command->subject;
		bool has_customer = !(item->command->flags & COMMAND_BRING_BACK);
		/* a POST comes first; one of an event that is there, or that an earlier one in the batch makes, is a
		 * repeat */
		if (!is_post(item) || item->event->state != EVENT_UNKNOWN || item->event->row.version)
			continue;
		if (row >= 0) {
			has_customer = !db_is_null(facts, row, 1);
			customer = db_uuid(facts, row, 1);
		}
		event_begin(item->event, item->command, &item->body, has_customer ? &customer : NULL,
		        row >= 0 && !db_is_null(facts, row, 2) ? db_i64(facts, row, 2) : 0);
	}
}

static bool look_up(struct ingest *ingest, struct err *err)
{
	PGresult *facts = NULL;

	if (!send_locks(ingest, err) || !send_facts(ingest, err) || !send_find(ingest, err) ||
	        !db_flush(ingest->db, err) || !db_done(ingest->db, err))
		return false;
	CRASH_POINT("event-ingest-locked");
	if (ingest->n_posts) {
		facts = db_result(ingest->db, err);
		if (!facts)
			return false;
	}
	bool good = read_found(ingest, err);
	if (good)
		begin_posts(ingest, facts);
	PQclear(facts);
	return good;
}

static struct str id_body(struct ingest *ingest, const struct uuid *id)
{
	char text[UUID_TEXT_BYTES + 1];

	uuid_format(id, text);
	return str_of(arena_printf(ingest->arena, "{\"id\":\"%s\"}", text));
}

/* A row of a bulk job is told what became of it. */
static void answer_row(struct ingest *ingest, const struct item *item, enum event_outcome outcome)
{
	static const enum bulk_row_status statuses[] = {[EVENT_CREATED] = BULK_ROW_CREATED,
	        [EVENT_UPDATED] = BULK_ROW_UPDATED,
	        [EVENT_SAME] = BULK_ROW_UNCHANGED,
	        [EVENT_REMOVED] = BULK_ROW_DELETED};

	if (outcome == EVENT_NOTHING)
		batch_refuse(ingest->batch, item->index, ERR_NOT_FOUND,
		        is_post(item) ? STR("the event's customer was deleted") : STR("event not found"), STR_NONE);
	else
		batch_reply(ingest->batch, item->index, 200,
		        bulk_outcome_write(ingest->arena, statuses[outcome], &item->command->entity));
}

static void answer(struct ingest *ingest, const struct item *item, enum event_outcome outcome)
{
	if (item->command->flags & COMMAND_BULK && outcome != EVENT_NOT_FOUND) {
		answer_row(ingest, item, outcome);
		return;
	}
	if (!item->command->reply.boot && !(item->command->flags & COMMAND_KEYED))
		return;
	if (outcome == EVENT_NOT_FOUND || (outcome == EVENT_NOTHING && !is_post(item)))
		batch_refuse(ingest->batch, item->index, ERR_NOT_FOUND, STR("event not found"), STR_NONE);
	else if (item->command->type == COMMAND_EVENT_DELETE)
		batch_reply(ingest->batch, item->index, 204, STR_NONE);
	else
		batch_reply(ingest->batch, item->index, 202, id_body(ingest, &item->command->entity));
}

static void add_change(struct ingest *ingest, const struct event *event, enum change_operation operation)
{
	batch_change(ingest->batch, &event->workspace, &event->row.node, ENTITY_EVENT, &event->row.id, operation,
	        event->row.version);
}

static void apply(struct ingest *ingest, struct item *item)
{
	struct err err = {0};
	enum event_outcome outcome = EVENT_NOTHING;

	/* a POST of an event that is there already was sent again by an operator */
	bool applied = !is_post(item) || item->event->state == EVENT_UNKNOWN;

	if (applied)
		outcome = event_apply(ingest->arena, item->event, item->command, &item->body, &err);
	switch (outcome) {
	case EVENT_CREATED:
		add_change(ingest, item->event, CHANGE_CREATE);
		break;
	case EVENT_UPDATED:
		add_change(ingest, item->event, CHANGE_UPDATE);
		break;
	case EVENT_REMOVED:
		add_change(ingest, item->event, CHANGE_DELETE);
		break;
	case EVENT_SAME:
		break;
	case EVENT_BROKEN:
		set_aside(ingest, item->index, err.message);
		return;
	case EVENT_NOT_FOUND:
		if (!item->command->reply.boot && !(item->command->flags & COMMAND_BULK))
			batch_dead_letter(ingest->batch, item->index, STR("the event is not known"));
		break;
	case EVENT_NOTHING:
		/* a tombstone that is new, or has another time: who counts deletions hears of it */
		if (applied && (is_post(item) || item->command->type == COMMAND_EVENT_DELETE))
			add_change(ingest, item->event, CHANGE_DELETE);
		break;
	}
	answer(ingest, item, outcome);
}

static bool send_inserts(struct ingest *ingest, struct err *err)
{
	struct rows rows;

	rows_init(&rows, ingest->arena, "uuuulllistttuj");
	for (size_t i = 0; i < ingest->n_events; i++) {
		const struct event *event = &ingest->events[i];
		const struct event_row *row = &event->row;
		if (!event->changed || event->stored || event->state != EVENT_LIVE)
			continue;
		db_array_uuid(&rows.columns[0], &event->workspace);
		db_array_uuid(&rows.columns[1], &row->id);
		db_array_uuid(&rows.columns[2], &row->node);
		db_array_uuid(&rows.columns[3], row->has_customer ? &row->customer : NULL);
		db_array_i64(&rows.columns[4], row->registered_us);
		db_array_i64(&rows.columns[5], row->updated_us);
		db_array_i64(&rows.columns[6], row->date_us);
		db_array_i64(&rows.columns[7], row->version);
		if (row->bind)
			db_array_i64(&rows.columns[8], row->bind);
		else
			db_array_null(&rows.columns[8]);
		db_array_text(&rows.columns[9], row->type);
		db_array_text(&rows.columns[10], row->context);
		db_array_text(&rows.columns[11], row->bind_value);
		db_array_uuid(&rows.columns[12], uuid_is_nil(&event->source) ? NULL : &event->source);
		db_array_text(&rows.columns[13], row->json);
	}
	return rows_write(&rows, ingest->db, "ingest_insert", rows_count(&rows), err);
}

static bool send_updates(struct ingest *ingest, struct err *err)
{
	struct rows rows;

	rows_init(&rows, ingest->arena, "uulllitj");
	for (size_t i = 0; i < ingest->n_events; i++) {
		const struct event *event = &ingest->events[i];
		if (!event->changed || !event->stored || event->state != EVENT_LIVE)
			continue;
		db_array_uuid(&rows.columns[0], &event->workspace);
		db_array_uuid(&rows.columns[1], &event->row.id);
		db_array_i64(&rows.columns[2], event->row.registered_us);
		db_array_i64(&rows.columns[3], event->row.updated_us);
		db_array_i64(&rows.columns[4], event->row.date_us);
		db_array_i64(&rows.columns[5], event->row.version);
		db_array_text(&rows.columns[6], event->row.context);
		db_array_text(&rows.columns[7], event->row.json);
	}
	return rows_write(&rows, ingest->db, "ingest_update", rows_count(&rows), err);
}

static bool send_deletes(struct ingest *ingest, struct err *err)
{
	struct rows rows;

	rows_init(&rows, ingest->arena, "uul");
	for (size_t i = 0; i < ingest->n_events; i++) {
		const struct event *event = &ingest->events[i];
		if (!event->changed || !event->stored || event->state != EVENT_DELETED)
			continue;
		db_array_uuid(&rows.columns[0], &event->workspace);
		db_array_uuid(&rows.columns[1], &event->row.id);
		db_array_i64(&rows.columns[2], event->row.registered_us);
	}
	return rows_write(&rows, ingest->db, "ingest_delete", rows_count(&rows), err);
}

static bool send_burials(struct ingest *ingest, struct err *err)
{
	struct rows rows;

	rows_init(&rows, ingest->arena, "uuutll");
	for (size_t i = 0; i < ingest->n_events; i++) {
		const struct event *event = &ingest->events[i];
		if (!event->changed || event->state != EVENT_DELETED)
			continue;
		db_array_uuid(&rows.columns[0], &event->workspace);
		db_array_uuid(&rows.columns[1], &event->row.id);
		db_array_uuid(&rows.columns[2], &event->row.node);
		db_array_text(&rows.columns[3], event->row.type);
		db_array_i64(&rows.columns[4], event->row.registered_us);
		db_array_i64(&rows.columns[5], event->deleted_us);
	}
	return rows_write(&rows, ingest->db, "ingest_bury", rows_count(&rows), err);
}

bool event_ingest_handle(struct batch *batch, struct err *err)
{
	struct ingest ingest = {.batch = batch, .arena = batch_arena(batch), .db = batch_db(batch)};

	read_commands(&ingest);
	if (!ingest.n)
		return true;
	if (!look_up(&ingest, err))
		return false;
	for (size_t i = 0; i < ingest.n; i++)
		apply(&ingest, &ingest.items[i]);
	return send_inserts(&ingest, err) && send_updates(&ingest, err) && send_deletes(&ingest, err) &&
	       send_burials(&ingest, err);
}
