#ifndef COMMON_EVENT_INPUT_H
#define COMMON_EVENT_INPUT_H

#include "common/catalog.h"
#include "common/event.h"
#include "common/problems.h"

struct arena;

/* What clients send as an event, taken apart. No I/O; the schemas of properties and contextInfo are the caller's to
 * apply. */
enum event_write { EVENT_CREATE, EVENT_REPLACE, EVENT_CHANGE };

struct event_input {
	/* CREATE: exactly one of the two. Ids as sent: text that is no UUID names nothing, which is no fault of form.
	 */
	struct str customer_id; /* absent = not sent */
	enum event_bind bind;
	struct str bind_value, bind_node;

	/* NULL only in a CHANGE that does not name it */
	const struct event_type *type;
	const struct event_context *context;

	bool has_date;
	int64_t date_us;

	/* Objects (tracking: or null); NULL = not sent. In a CHANGE also JSON null. [] is read as {}: PHP cannot tell
	   them apart. */
	struct json *properties, *context_info, *tracking;
};

/* Longest session value or external id that an event may carry, in characters. */
#define EVENT_BIND_VALUE_MAX 255

/*
 * Reads a body. One problem per fault: wrong types, unknown names, missing parts, keys that no event has. Keys that
 * only a GET answers with are passed over in a REPLACE and a CHANGE, and `mode` everywhere (the Python library sends
 * it). True when there was no fault; what could be read is filled in even so. Parts are of the body; new ones are made
 * in the arena.
 */
bool event_input_read(struct arena *arena, const struct json *body, enum event_write write,
        struct event_input *ret_input, struct problems *problems);

/*
 * The members of a REPLACE or CHANGE that an event keeps for ever (id, customerId, bringBackProperties, type,
 * registeredAt; context in a CHANGE) may be sent with the value that they have, or null; one problem for each other
 * value.
 */
bool event_input_keeps(
        const struct event_row *event, const struct json *body, enum event_write write, struct problems *problems);

/*
 * A patch answers for what it says: takes those faults off `problems` that the event had `before` it and that lie where
 * the patch says nothing, say, a property that was disabled since.
 */
void event_input_forgive(struct problems *problems, const struct problems *before, const struct json *patch);

/* Puts {"ip", "userAgent"} into contextInfo.client when the sender gave no client; absent parts are left out. */
void event_input_fill_client(struct arena *arena, struct event_input *input, struct str ip, struct str user_agent);

#endif
