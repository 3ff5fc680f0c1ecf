#ifndef COMMON_COMMAND_H
#define COMMON_COMMAND_H

#include "common/err.h"
#include "common/uuid.h"

struct buf;

/*
 * What travels through Kafka: commands (gateway, configuration worker -> workers) and replies (workers -> gateway). A
 * record is a fixed binary header, a short text and the JSON body as bytes, so that nobody parses JSON that it does not
 * look at. All numbers are little-endian. A reader refuses versions that it does not know.
 *
 * Rows: name, topic, what `entity`, `text` and `body` hold.
 * The numbers are part of the log: a row is never removed or renumbered.
 */
#define COMMAND_TYPES(X)                                                                                               \
	/* customer-commands; entity = customer id */                                                                  \
	X(CUSTOMER_POST, 1)   /* entity = id if it is created; text = sessionId or absent; body = customer */          \
	X(CUSTOMER_PATCH, 2)  /* text = sessionId or absent; body = partial customer */                                \
	X(CUSTOMER_PUT, 3)    /* text = sessionId or absent; body = customer */                                        \
	X(CUSTOMER_DELETE, 4) /* no body */                                                                            \
	X(CUSTOMER_ENSURE, 5) /* text = external id of a bring-back; entity = id if it is created; node set */         \
	X(ITEM_POST, 6)       /* item = kind; text = item id; body = item */                                           \
	X(ITEM_PUT, 7)        /* item = kind; text = item id; body = item */                                           \
	X(ITEM_DELETE, 8)     /* item = kind; text = item id */                                                        \
	X(SESSION_POST, 9)    /* text = session value; the session's id follows from the command's */                  \
	X(SESSION_DELETE, 10) /* text = session id (uuid) */                                                           \
	X(NODE_RULES, 11)     /* from configuration: node set; text = seq in decimal; body = node document */          \
	X(NODE_EMPTY, 12)     /* from configuration: node set; text = seq in decimal; body = {"eventsOnly": bool} */   \
	/* event-commands; entity = event id */                                                                        \
	X(EVENT_POST, 32)   /* body = see event.h; customer or bring-back in `subject` and `text` */                   \
	X(EVENT_PUT, 33)    /* body = see event.h */                                                                   \
	X(EVENT_PATCH, 34)  /* body = see event.h, only what changes */                                                \
	X(EVENT_DELETE, 35) /* no body */                                                                              \
	/* config-commands; text = kind/id#version of the document, see config_doc.h */                                \
	X(CONFIG_PUT, 64)   /* body = whole document; made or replaced */                                              \
	X(CONFIG_EMPTY, 65) /* node set; body = {"eventsOnly": bool} */                                                \
	/* changes; entity = what changed */                                                                           \
	X(CHANGE, 80) /* item = enum entity_kind; user = enum change_operation; fingerprint = version; node */         \
	X(AGGREGATE_RULES, 81) /* from configuration: node set; text = seq in decimal; body = node document */         \
	/* bulk-jobs; entity = job id; node set */                                                                     \
	X(BULK_CHUNK, 96)  /* text = number of the chunk in decimal, from 0; body = bytes of the file */               \
	X(BULK_CREATE, 97) /* body = {"filename","name","operation","entity","eventType","bytes","chunks"} */          \
	X(BULK_DROP, 98)   /* the upload failed: forget its chunks */                                                  \
	X(BULK_STOP, 99)   /* from an operator */                                                                      \
	/* every topic */                                                                                              \
	X(WARM_UP, 127) /* does nothing */

enum command_type {
#define X(name, number) COMMAND_##name = number,
	COMMAND_TYPES(X)
#undef X
};

/* Lists inside a customer whose items have calls of their own. */
enum item_kind { ITEM_NONE, ITEM_EDUCATION, ITEM_JOB, ITEM_LIKE, ITEM_SUBSCRIPTION };

enum command_flag {
	COMMAND_KEYED = 1 << 0,        /* carries an Idempotency-Key: id is derived from it, fingerprint is checked */
	COMMAND_STRICT = 1 << 1,       /* mode=STRICT: the sent subscriptions are the list */
	COMMAND_SESSION_BIND = 1 << 2, /* bring-back is by session (else by external id); EVENT_* only */
	COMMAND_BRING_BACK = 1 << 3,   /* EVENT_*: text holds the bring-back value */
	COMMAND_BULK = 1 << 4,         /* row of a bulk job: the outcome's body is {"status","id"}, see workers */
	COMMAND_INSERT_ONLY = 1 << 5,  /* CUSTOMER_POST: an existing customer is a conflict */
	COMMAND_SAME_MEMBERS = 1 << 6, /* CHANGE of a profile: it has the members that it had; absent = who knows */
	/* EVENT_PUT, EVENT_PATCH: what changes nothing raises no version. Older records have it not, and did. */
	COMMAND_IF_DIFFERENT = 1 << 7,
};

struct reply_address {
	uint32_t partition; /* of the replies topic */
	uint64_t boot;      /* 0 = nobody waits */
	uint64_t request;
};

/* Decoded: text and body point into the record. */
struct command {
	uint8_t type; /* enum command_type */
	uint8_t item; /* enum item_kind */
	uint16_t flags;
	uint16_t key_days; /* COMMAND_KEYED: how long the key is remembered, from this use on; 0 = for ever */
	int64_t time_us;   /* stamped by the sender; the worker runtime replaces it by the effective time */
	struct uuid id;
	struct uuid workspace;
	struct uuid node;     /* nil when the command does not name one */
	struct uuid entity;   /* see the rows above */
	struct uuid subject;  /* EVENT_*: the customer when known, else nil */
	struct uuid source;   /* who wrote: source id, or nil for a person */
	int64_t user;         /* who wrote: user number, or 0 */
	uint64_t fingerprint; /* hash of method, path and body of a keyed request */
	struct reply_address reply;
	struct str text;
	struct str body;
};

/* Effective time of the last record that finds the key used; INT64_MAX = for ever. Follows from the log alone. */
int64_t command_key_kept_until(const struct command *command);

/* Limits of a record: larger ones are refused by both sides. */
#define COMMAND_MAX_TEXT_BYTES 4096
#define COMMAND_MAX_BODY_BYTES (1024 * 1024)

void command_encode(struct buf *buf, const struct command *command);
bool command_decode(struct str record, struct command *ret_command, struct err *err) must_check;
const char *command_type_name(uint8_t type);

struct reply {
	uint64_t boot;
	uint64_t request;
	struct uuid command;
	uint16_t status; /* HTTP status */
	int64_t seq;     /* configuration writes: the configuration is visible from this seq on; else 0 */
	struct str body; /* JSON body of the answer, or absent */
};

void reply_encode(struct buf *buf, const struct reply *reply);
bool reply_decode(struct str record, struct reply *ret_reply, struct err *err) must_check;

/* Partition of an event command: by bring-back value where there is one, else by customer, so that all commands on one
   event share a partition for ever. */
uint32_t event_partition(
        const struct uuid *node, struct str bring_back_value, const struct uuid *customer, uint32_t n_partitions);

#endif
