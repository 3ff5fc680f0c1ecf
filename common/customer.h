#ifndef COMMON_CUSTOMER_H
#define COMMON_CUSTOMER_H

#include "common/command.h"
#include "common/json.h"
#include "common/problems.h"
#include "common/uuid.h"

struct arena;
struct buf;

/*
 * What a customer looks like: shared by customer-merge, which answers writes, and the gateway, which answers reads, so
 * that both write the same bytes.
 *
 * The normal form of a customer's document is an object with the members externalId, base, consents, extended, extra,
 * tags and enabled as far as they were given. It holds no null (absent and null mean the same) and no empty list where
 * the shape has a list anyway; an object that was given stays an object, because it is answered as one; date-times of
 * the contract have the form that time_format writes.
 */
struct customer {
	struct uuid id;
	struct uuid node;
	int64_t int_id;
	int64_t version;
	int64_t registered_us;
	int64_t updated_us;
	struct uuid registered_by; /* source; nil when a person did it */
	struct uuid updated_by;
	struct json *doc;           /* normal form, with externalId and enabled */
	struct json *consent_times; /* see consent_times.h; NULL where nobody asks for them */
};

/* Limits of the contract; lengths in characters. */
#define CUSTOMER_MAX_BYTES 65536
#define CUSTOMER_MAX_SESSION 255
#define CUSTOMER_MAX_ITEM_ID 255
#define CUSTOMER_MAX_TAGS 1000 /* sum over the tags of one list */

/* How a member of the shape is merged and answered. */
enum customer_kind {
	CUSTOMER_VALUE,         /* string, number, boolean: null when absent */
	CUSTOMER_TIME,          /* date-time: kept and answered in the form that every client reads */
	CUSTOMER_OBJECT,        /* null when absent unless `always` */
	CUSTOMER_FREE,          /* object with members of the workspace's choice: extended */
	CUSTOMER_LIST,          /* list without ids: [] when absent */
	CUSTOMER_ITEMS,         /* list whose items have ids */
	CUSTOMER_SUBSCRIPTIONS, /* the same, merged field by field */
};

struct customer_shape {
	struct str name;
	struct str quoted; /* ,"name": */
	enum customer_kind kind;
	bool always;                          /* an object even when nothing of it was given */
	bool only_if_set;                     /* left out when absent, instead of null */
	const struct customer_shape *members; /* OBJECT: of the object; ITEMS, SUBSCRIPTIONS: of an item */
	size_t n_members;
};

/* The document: externalId, base, consents, extended, extra, tags, enabled. */
extern const struct customer_shape customer_shape;

/* NULL when the shape has no such member, or shape is NULL. */
const struct customer_shape *customer_shape_member(const struct customer_shape *shape, struct str name);

/*
 * Document as stored: the columns external_id (or absent), enabled and doc. The text is not copied and must live as
 * long as the tree. Fails only when the text is no JSON object.
 */
struct json *customer_doc_read(
        struct arena *arena, struct str doc, struct str external_id, bool enabled, struct err *err) must_check;
/* The text for column doc: everything but externalId and enabled. */
struct str customer_doc_write(struct arena *arena, const struct json *doc);
struct str customer_external_id(const struct customer *customer); /* or absent */
bool customer_enabled(const struct customer *customer);

/* Size in bytes of a document as JSON text, with numbers written out as PostgreSQL does (1e3 counts as 1000). */
size_t customer_doc_bytes(const struct json *doc);

/* Selection of fields (query parameter `fields`): comma separated dotted paths; through a list a path means all of its
   elements. Blanks around a path mean nothing. Absent text selects everything: NULL. */
struct customer_fields;
const struct customer_fields *customer_fields_parse(struct arena *arena, struct str text);

/*
 * Adds the customer as JSON in the fixed order of the contract: absent values null, absent lists []. Fields that are
 * not selected look as if they were absent; id, registeredAt and updatedAt are always there. hide_password: deployments
 * that store a hash answer null instead of it.
 */
void customer_render(
        struct buf *buf, const struct customer *customer, const struct customer_fields *fields, bool hide_password);

/* Items: educations, jobs, likes, subscriptions. */
struct str customer_item_name(enum item_kind kind); /* "education" */
struct str customer_item_list(enum item_kind kind); /* "educations", member of base */
struct json *customer_item_find(const struct json *doc, enum item_kind kind, struct str id);
void customer_item_render(struct buf *buf, enum item_kind kind, const struct json *item);

/* The part of a node's document that governs writes to its customers. Strings belong to the document. */
struct customer_policy {
	const struct str *unique; /* dotted paths; all of them together make two customers the same */
	size_t n_unique;
	const struct str *mandatory; /* dotted paths */
	size_t n_mandatory;
	bool case_sensitive;
};

/* Reads uniqueCustomer.properties, uniqueCustomer.caseSensitive and mandatoryProperties; missing ones mean none. */
struct customer_policy customer_policy_read(struct arena *arena, const struct json *node_document);
bool customer_policy_same_key(const struct customer_policy *a, const struct customer_policy *b);

/* One problem per unique or mandatory property that the body lacks. An empty text identifies nobody: it counts as
   lacking for unique properties. True when none is missing. */
bool customer_check_required(const struct customer_policy *policy, const struct json *body, struct problems *problems);

/*
 * The key that stands for the unique properties of a document: a hash over the policy and the values, 128 bits of
 * BLAKE2b. False when the policy has no properties or the document lacks one of them: such a customer equals nobody.
 * Unless the policy is case sensitive, text is compared by the simple lower case of Latin (ASCII, Latin-1, Latin
 * Extended-A), Greek and Cyrillic letters; other letters by themselves. Numbers are compared by value.
 */
bool customer_key(
        struct arena *arena, const struct customer_policy *policy, const struct json *doc, struct uuid *ret_key);

#endif
