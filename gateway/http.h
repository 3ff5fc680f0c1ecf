#ifndef GATEWAY_HTTP_H
#define GATEWAY_HTTP_H

#include "gateway/gateway.h"

#include <stdbool.h>

struct request;

/*
 * The HTTP side: one libmicrohttpd daemon in external mode inside our event loop, and the life of connections and
 * requests. libmicrohttpd's own time limit counts silence only and does not see suspended connections, so every
 * connection is in one of five lists with a limit of its own: idle, receiving, put off (until its refusal leaves),
 * working, sending.
 */
struct http;

/* Does not listen yet. */
struct http *http_new(struct gateway *gateway, int loop);
/* Dies with a clear message when the port is taken. */
void http_listen(struct http *http);
/* Serves everything that is ready; call once per turn of the loop. */
void http_run(struct http *http);
/* How long the loop may wait, most_ms at most; 0 when http_run has something to do at once. */
int http_wait_ms(struct http *http, int most_ms);
/* libmicrohttpd gets on. */
void http_worked(struct http *http);
/* Ends what has passed its time limit; at least ten times a second. */
void http_tick(struct http *http, int64_t now_us);
/* Bytes of request bodies in memory. */
bool http_count_body(struct http *http, struct request *request, size_t n_bytes);

/* Memory of an answer that the client has still to read, which may take it a minute; small ones do not count. False
   when all together take too much, unless it has to be sent in any case. */
bool http_count_answer(struct http *http, struct request *request, bool in_any_case);

/* The request has its answer: sends it, now or when the handler returns. */
void http_answered(struct http *http, struct request *request);

/* Reads the body of a paused upload again. */
void http_go_on(struct http *http, struct request *request);
/* The next piece of the answer, or its failure, is there. */
void http_stream_ready(struct http *http, struct request *request);

/* True while connections wait to be accepted. */
bool http_has_callers(const struct http *http);
/* No new connections; idle ones are closed. True when nothing is in work or on its way any more. */
void http_stop_listening(struct http *http);
bool http_is_quiet(const struct http *http);
/* Of clients, idle ones included. */
size_t http_connections(const struct http *http);
/* What is in work or waits for a place is answered as at its deadline. */
void http_give_up(struct http *http);

#endif
