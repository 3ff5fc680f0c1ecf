#ifndef WORKERS_EVENT_INGEST_APPLY_H
#define WORKERS_EVENT_INGEST_APPLY_H

#include "common/command.h"
#include "common/event.h"

struct arena;

/* What a command does to an event. Pure: state in, state out; tables are loaded before and written afterwards. */
enum event_state { EVENT_UNKNOWN, EVENT_LIVE, EVENT_DELETED };

struct event {
	struct uuid workspace;
	struct uuid source;
	struct event_row row; /* of a deleted event: id, node, type and registered_us at least */
	enum event_state state;
	int64_t deleted_us;
	bool stored;  /* has a row in events */
	bool changed; /* the tables must be told */
};

enum event_outcome {
	EVENT_NOTHING, /* belongs to somebody deleted */
	EVENT_CREATED,
	EVENT_UPDATED,
	EVENT_SAME, /* nothing is changed by it */
	EVENT_REMOVED,
	EVENT_NOT_FOUND,
	EVENT_BROKEN, /* *err tells */
};

/*
 * Fills an event from its POST: registered at the effective time, dated by the sender or else at that time. customer:
 * whom it belongs to by now, or NULL. deleted_us: when that customer, or everything in the node, was deleted; 0 = not.
 */
void event_begin(struct event *event, const struct command *command, const struct event_body *body,
        const struct uuid *customer, int64_t deleted_us);

/*
 * Applies EVENT_POST (after event_begin), EVENT_PUT, EVENT_PATCH or EVENT_DELETE. A PUT or PATCH without a date keeps
 * the date; one that changes nothing is EVENT_SAME, if its command says so. updatedAt grows by at least 1 ms. The time
 * of the last DELETE command is when the event was deleted, even when its customer's deletion removed it before: which
 * of the two logs was read first must not show.
 */
enum event_outcome event_apply(struct arena *arena, struct event *event, const struct command *command,
        const struct event_body *body, struct err *err);

#endif
