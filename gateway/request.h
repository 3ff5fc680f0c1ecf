#ifndef GATEWAY_REQUEST_H
#define GATEWAY_REQUEST_H

#include "common/command.h"
#include "common/json.h"
#include "common/kafka.h"
#include "common/problems.h"
#include "gateway/config.h"
#include "gateway/route.h"

#include <libpq-fe.h>

struct arena;
struct buf;
struct db_params;
struct gateway;
struct request;

/*
 * One HTTP request in work. It lives from the first call of libmicrohttpd to its completion callback; everything that
 * belongs to it is in its arena. Handlers are called with route, caller, workspace, role, size and body checked by the
 * pipeline (pipeline.c). A handler answers at once (request_answer*, request_fail*), or starts one asynchronous step
 * (request_send_command, request_query) whose callback goes on; exactly one answer ends it. A callback is never called
 * after the answer.
 */

/* Who calls: a source or a person. */
struct caller {
	enum role_bit roles;                /* bits of every role that the caller has in this workspace */
	const struct config_source *source; /* or NULL */
	const struct config_user *user;     /* or NULL */
};

/* What the pipeline found out. The caller's user is a copy of its own: it stays valid while the configuration changes.
 */
struct arena *request_arena(struct request *request);
struct gateway *request_gateway(struct request *request);
const struct route *request_route(struct request *request);
const struct caller *request_caller(struct request *request);
const struct config_workspace *request_workspace(struct request *request); /* NULL for routes without one */
bool request_is_untrusted(struct request *request);                        /* its answers hold at most {"id": ...} */

/* Path parameter by its name in the route's path, percent-decoded; absent when the route has none. */
struct str request_path(struct request *request, const char *name);
/* The same as a UUID. False when it is not one: the caller answers 404, never 400 (client libraries send "123"). */
bool request_path_uuid(struct request *request, const char *name, struct uuid *ret_id);
/* Query parameter, decoded; absent when not sent. Only names that the route declares get here (others are ignored:
   client libraries add nodeId everywhere). */
struct str request_param(struct request *request, const char *name);
/* The same for parameters that may be repeated (sort): the n-th value, from 0. */
struct str request_param_at(struct request *request, const char *name, size_t n);
/* Header value; absent when not sent or no well-formed UTF-8. Valid until the answer. */
struct str request_header(struct request *request, const char *name);
/* Client address as text; absent when a proxy told none. X-Forwarded-For counts where a trusted proxy sent it. */
struct str request_client_ip(struct request *request);

/* Scheme, host and port under which the client reaches the API, for links: the setting, or else the Host header. */
struct str request_public_url(struct request *request);
/* Partitions of a topic, for event_partition(). */
uint32_t request_partitions(struct request *request, enum topic topic);

/*
 * The node of a body, parameter or path, with the caller's permission on it. Answers 404 "node not found <id>" (also
 * for text that is no UUID) or 403 itself and returns false. A source must have the node; a person needs W (need_write)
 * or R.
 */
bool request_node_access(
        struct request *request, struct str node_id, bool need_write, const struct config_node **ret_node) must_check;
/* The same question about a node that the data names (an event's, a customer's), without an answer. */
bool request_may_use_node(struct request *request, const struct uuid *node, bool need_write);
/* The same, answered with 403 where it may not. */
bool request_check_node(struct request *request, const struct uuid *node, bool need_write) must_check;

/* What is written belongs to this node: a caller who may not read it is told as little as an untrusted one. */
void request_writes_node(struct request *request, const struct uuid *node);

/* The parsed body: an object. Only for routes with a JSON body; never NULL there. */
struct json *request_body(struct request *request);
struct str request_body_text(struct request *request);

/* page and size, checked: size 1..max_size, default default_size. Answers 400 itself and returns false when wrong. */
struct page {
	int64_t number;
	int64_t size;
};
bool request_page(struct request *request, int64_t default_size, int64_t max_size, struct page *ret_page) must_check;

/* Answers. Bodies are copied or live in the request's arena. */
void request_answer(struct request *request, unsigned status, struct str json_body); /* absent body = empty */
void request_answer_json(struct request *request, unsigned status, const struct json *value);
/* {"id": id} */
void request_answer_id(struct request *request, unsigned status, const struct uuid *id);
/* Text of another type, in the request's arena; `type` is a constant. */
void request_answer_text(struct request *request, unsigned status, const char *type, struct str body);
/*
 * {"elements": [...], "page": {all seven fields}}, written element by element: begun with about as many bytes as the
 * elements take (false: it would be too large, and has been answered), each element written behind request_page_next.
 */
bool request_page_begin(struct request *request, struct buf *body, size_t bytes) must_check;
void request_page_next(struct buf *body);
void request_page_answer(struct request *request, struct buf *body, const struct page *page, int64_t total);
/* The same of an array. */
void request_answer_page(struct request *request, const struct page *page, int64_t total, const struct json *elements);
/* Error body {message, logref, data: null, errors: []}. */
void request_fail(struct request *request, enum err_code code, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
/* 404 "<kind> not found <id>", the id as the client sent it. */
void request_fail_not_found(struct request *request, struct str kind, struct str id);
/* 400 "The query parameter <name> <what it must be>", with a pointer to it; false. */
bool request_fail_param(struct request *request, const char *name, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
/* 400 with the collected problems. */
void request_fail_problems(struct request *request, struct str message, const struct problems *problems);
void request_fail_err(struct request *request, const struct err *err);

/*
 * Fills a command with what the pipeline knows: id (v7, or v5 of the Idempotency-Key), time, workspace, source, user,
 * fingerprint, reply address. The handler sets type, entity, node, text, body and sends it.
 */
void request_command_init(struct request *request, struct command *command, enum command_type type);

/*
 * Publishes and waits for the worker's reply (or, when it is late, for the row in command_results); on_reply then
 * answers. reply->status 2xx has the worker's body; an error reply has the error body. NULL on_reply: the reply is the
 * answer as it is (an untrusted caller gets only {"id": entity}). Every failure (503, 504 with the command's id in
 * data) is answered here.
 */
typedef void request_reply_fn(struct request *request, const struct reply *reply);
void request_send_command(struct request *request, enum topic topic, uint32_t partition, const struct command *command,
        request_reply_fn *on_reply);

/* Publishes and calls on_delivered when every replica has the record; nobody replies. */
typedef void request_delivered_fn(struct request *request);
void request_publish(struct request *request, enum topic topic, uint32_t partition, const struct command *command,
        request_delivered_fn *on_delivered);

/*
 * Reads from PostgreSQL. `statement` names a row of a statement table, or is NULL for dynamic `sql`. on_result gets a
 * result with rows, valid during the call (failures are answered here with 503). Results are binary.
 */
typedef void request_result_fn(struct request *request, const PGresult *result);
/* Parameters for a query, in the arena: the workspace's id, for others to be added behind it. */
struct db_params *request_params(struct request *request);
/* The same with another id behind it. */
struct db_params *request_params_of(struct request *request, const struct uuid *id);
void request_query(struct request *request, const char *statement, const char *sql, const struct db_params *params,
        request_result_fn *on_result);
/*
 * The same beside queries that the request may be waiting for: they run on several connections at once, and on_result,
 * the same for all of them, is called for each in whatever order they come. One that fails ends the request.
 */
void request_query_beside(
        struct request *request, const char *statement, const struct db_params *params, request_result_fn *on_result);

/*
 * A body that comes piece by piece: `first` now, and whenever the client has read all, `next` is called; it answers
 * with request_stream_piece or request_stream_fail, at once or after a query. A failure cuts the connection.
 */
typedef void request_stream_fn(struct request *request);
void request_answer_stream(
        struct request *request, const char *type, const char *disposition, struct str first, request_stream_fn *next);
/* The piece must live until the next call of `next`; an empty one is the end. */
void request_stream_piece(struct request *request, struct str piece);
void request_stream_fail(struct request *request);
/* Like request_query, for `next`: a failure cuts the connection. */
void request_stream_query(
        struct request *request, const char *statement, const struct db_params *params, request_result_fn *on_result);

/* State that a handler keeps between its steps, in the arena. */
void request_set_state(struct request *request, void *state);
void *request_state(struct request *request);

#endif
