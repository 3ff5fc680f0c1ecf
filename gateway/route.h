#ifndef GATEWAY_ROUTE_H
#define GATEWAY_ROUTE_H

#include "common/str.h"

struct request;
struct uuid;

/*
 * Routes are rows (routes.c); the pipeline (pipeline.c) applies their facts in one fixed order before a handler runs:
 * framing 400, size of the headers 431, route 404/405, token 401, workspace 403, role 403, the workspace's status 403,
 * throttling 429, overload 503, parameters 400, declared size 413, content type 415, the route's own check; then the
 * body: real size 413, JSON 400; then the handler.
 * The served OpenAPI document is made from the same rows.
 */
enum role_bit {
	ROLE_CLAB_OPERATOR = 1 << 0,
	ROLE_ADMIN = 1 << 1,
	ROLE_USER = 1 << 2,
	ROLE_GUEST = 1 << 3,
	ROLE_DPO = 1 << 4,
	ROLE_PLATFORM_UPDATES = 1 << 5,
	ROLE_TRUSTED = 1 << 6,
	ROLE_UNTRUSTED = 1 << 7,
	ROLE_PUBLIC = 1 << 8, /* no token needed */
	ROLE_ANY = 1 << 9,    /* any valid token */
};

/* The sets that operations use. */
#define ROLES_READ_ALL (ROLE_CLAB_OPERATOR | ROLE_ADMIN | ROLE_USER | ROLE_GUEST | ROLE_TRUSTED)
#define ROLES_CONFIG_READ (ROLE_CLAB_OPERATOR | ROLE_ADMIN | ROLE_USER | ROLE_GUEST)
#define ROLES_CONFIG_WRITE (ROLE_CLAB_OPERATOR | ROLE_ADMIN)
#define ROLES_DATA_READ (ROLE_CLAB_OPERATOR | ROLE_ADMIN | ROLE_USER | ROLE_TRUSTED)
#define ROLES_UPDATES (ROLE_CLAB_OPERATOR | ROLE_ADMIN | ROLE_USER | ROLE_PLATFORM_UPDATES)
#define ROLES_DATA_WRITE (ROLES_DATA_READ | ROLE_UNTRUSTED)

enum body_kind {
	BODY_NONE,      /* a body is read and thrown away */
	BODY_JSON,      /* must be a JSON object */
	BODY_MULTIPART, /* a form whose file is streamed into Kafka, see upload.h */
};

/* A query parameter that the route understands. */
struct route_param {
	const char *name;
	const char *schema; /* OpenAPI schema as JSON text */
	bool required;
	bool of_page; /* request_page asks for it, behind the look at the node */
	bool flag;    /* true or false, nothing else */
	const char *description;
};

enum route_flag {
	ROUTE_ANY_STATUS = 1 << 0,  /* works on SUSPENDED and DISABLED workspaces, too */
	ROUTE_UNTHROTTLED = 1 << 1, /* the way out of a limit that is too low */
	ROUTE_UNLIMITED = 1 << 2,   /* answered also when the gateway has all the work that it takes */
	ROUTE_SMALL_PAGES =
	        1 << 3, /* page and size are 0 to 50 each, as the API document says of configuration lists */
	/* For the OpenAPI document: failures that do not follow from the method. */
	ROUTE_TOO_EARLY = 1 << 4, /* 409 of a read */
	ROUTE_LOCKS = 1 << 5,     /* 423 */
	ROUTE_PUBLISHES = 1 << 6, /* answered when Kafka has the record; no worker is waited for */
	ROUTE_SEARCHES = 1 << 7,  /* reads that may look at much: they are not counted with those by id */
};

typedef void route_handler_fn(struct request *request);
/* Checks that need no body; false when it has answered. */
typedef bool route_check_fn(struct request *request);
/* Reads the entity of a finished command again and answers with it. */
typedef void route_reread_fn(struct request *request, const struct uuid *entity, unsigned status);

struct route {
	int operation; /* number in the API document's order; also the operationId's suffix */
	const char *tag;
	const char *title;
	const char *description; /* for the OpenAPI document, or NULL */
	const char *method;
	const char *path; /* below /hub/v1; {name} is one segment, {name+} the rest (never empty) */
	unsigned status;  /* of success */
	int variant;      /* for handlers that serve several rows, e.g. enum item_kind */
	unsigned roles;   /* enum role_bit */
	enum body_kind body;
	const char *body_schema;          /* OpenAPI name of the request body's schema, or NULL */
	const char *response_schema;      /* OpenAPI name of the answer's schema, or NULL for an empty answer */
	const char *response_type;        /* media type of an answer that is no JSON, or NULL */
	size_t max_body_bytes;            /* 0 = 64 KiB */
	const struct route_param *params; /* ends with a row without name; or NULL */
	route_check_fn *check;            /* BODY_MULTIPART: before the body is read; or NULL */
	route_handler_fn *handler;
	/* For commands whose result row keeps no body (a late or repeated answer): NULL = the row has it. */
	route_reread_fn *reread;
	unsigned flags; /* enum route_flag */
};

extern const struct route routes[];
extern const size_t route_count;

#endif
