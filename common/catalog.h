#ifndef COMMON_CATALOG_H
#define COMMON_CATALOG_H

#include "common/str.h"

struct json;

/*
 * The built-in facts of the API, compiled into the binary from common/catalog/ at build time: event types, contexts and
 * the JSON schemas that the server validates with and serves under /docs/schema.
 */
struct event_type {
	struct str id;       /* "completedOrder" */
	struct str label;    /* "Completed order" */
	struct str category; /* "ecommerce", for analytics */
	bool active;         /* mode ACTIVE, else PASSIVE */
	bool product_aware;  /* its lines carry product extended properties */
	uint16_t retention_months;
};

struct event_context {
	struct str id; /* "WEB" */
	struct str label;
};

#define EVENT_TYPE_COUNT 48
#define EVENT_CONTEXT_COUNT 9

extern const struct event_type event_types[EVENT_TYPE_COUNT];
extern const struct event_context event_contexts[EVENT_CONTEXT_COUNT];

const struct event_type *event_type_find(struct str id);
const struct event_context *event_context_find(struct str id);

/* A built-in schema document by file name ("customer.json", "event.completedOrder.json", "common.json"): shared, read
   only, lives as long as the process. NULL when there is none. */
const struct json *catalog_document(struct str name);

/* Resolves "common.json#/definitions/Amount" within the built-in documents; NULL when it names nothing. */
const struct json *catalog_resolve(struct str reference);

/* Number of documents, and the name of one, for listing. */
size_t catalog_count(void);
struct str catalog_name(size_t index);

#endif
