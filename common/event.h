#ifndef COMMON_EVENT_H
#define COMMON_EVENT_H

#include "common/db.h"
#include "common/err.h"
#include "common/json.h"
#include "common/uuid.h"

struct arena;
struct buf;

/* How an event without a customerId finds its customer; numbers of events.bind_kind and bindings.kind. */
enum event_bind { EVENT_BIND_NONE, EVENT_BIND_SESSION, EVENT_BIND_EXTERNAL_ID };

/* "SESSION_ID", "EXTERNAL_ID"; NULL for none. */
const char *event_bind_name(enum event_bind bind);

/*
 * Body of EVENT_POST, EVENT_PUT and EVENT_PATCH commands: what a worker looks at is a fixed binary part, the rest is
 * JSON that it stores without parsing: u8 version (1), u8 flags (1 = date given), u8 length of type, u8 length of
 * context, i64 date in us, type, context, JSON. All numbers are little-endian. Names of type and context, not numbers
 * of a table that may grow in the middle.
 *
 * The JSON is an object with the members `properties`, `contextInfo` and `tracking`: all three, in this order, in a
 * POST and a PUT (it is stored as it is); those that were sent in a PATCH.
 */
struct event_body {
	struct str type;    /* at most 255 bytes; may be empty in a PATCH */
	struct str context; /* the same */
	bool has_date;
	int64_t date_us;
	struct str json;
};

void event_body_encode(struct buf *buf, const struct event_body *body);
/* Parts point into text. ERR_INVALID when it is no such body. */
bool event_body_decode(struct str text, struct event_body *ret_body, struct err *err) must_check;

/* The stored JSON of an event. Absent or null parts: {}, {} and null. */
void event_json_write(
        struct buf *buf, const struct json *properties, const struct json *context_info, const struct json *tracking);

/*
 * The stored JSON of an event after a PATCH (RFC 7396: objects merge, null removes, lists and scalars replace; a null
 * properties or contextInfo leaves {}). Pure. Absent with err when either text is no object.
 */
struct str event_json_merge(struct arena *arena, struct str stored, struct str patch, struct err *err) must_check;

/* Whether two stored JSONs say the same (json_equal). */
bool event_json_equal(struct str a, struct str b);

/* A row of the events table; texts point into where it was read from. */
struct event_row {
	struct uuid id, node;
	bool has_customer; /* else it waits for its session or external id */
	struct uuid customer;
	bool duplicate; /* shown on an aggregate node, by a derived id; the event itself is an entry customer's */
	int64_t registered_us, updated_us, date_us;
	int64_t version;
	enum event_bind bind;
	struct str type, context, bind_value;
	struct str json;
};

/* Columns that event_row_read expects, from an events table called e. */
#define EVENT_COLUMNS                                                                                                  \
	"e.id, e.node_id, e.customer_id, e.registered_us, e.updated_us, e.date_us, e.version, e.bind_kind, e.type, "   \
	"e.context, e.bind_value, e.body"
#define EVENT_COLUMN_COUNT 12

/* Reads a row of a binary result whose column `first` is the first of EVENT_COLUMNS. */
void event_row_read(const PGresult *result, int row, int first, struct event_row *ret_event);

/* Neighbours of an event in its customer's timeline, for nav=CUSTOMER; absent = null. */
struct event_neighbours {
	struct str prev, next; /* ids as text */
};

/* The event as the API shows it. `neighbours` NULL: without prev and next. updatedAt is null until the first change. */
void event_render(struct buf *buf, const struct event_row *event, const struct event_neighbours *neighbours);

#endif
