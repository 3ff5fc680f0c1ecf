#include "gateway/http.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "gateway/admission.h"
#include "gateway/loop.h"
#include "gateway/metrics.h"
#include "gateway/request_state.h"
#include "gateway/tenants.h"
#include "gateway/upload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Memory that libmicrohttpd has for a connection: request line, headers, a part of the body. Headers that do not fit
   get an answer of its own making, so there is room for more than twice what the pipeline lets pass; not for more yet,
   since all of it is cleared for each request (64 KiB cost 4 us more than 32), and every open connection holds it. */
#define CONNECTION_MEMORY_BYTES ((size_t)32 * 1024)
#define LISTEN_BACKLOG 4096
/* Bytes of a refused body that are read so that the client sees the answer; more, and the connection is cut. */
#define SWALLOW_BYTES ((size_t)1024 * 1024)
/* All request bodies together; more, and requests with bodies are put off with 503. Of this, and of the next, one
   workspace has half at most. */
#define BODIES_BYTES ((size_t)256 * 1024 * 1024)
/* All large answers that clients have still to read, with what they were made of; more, and reads are put off. */
#define ANSWERS_BYTES ((size_t)512 * 1024 * 1024)
/* What is smaller is not counted: as much for every connection there may be is two GiB. */
#define LARGE_ANSWER_BYTES ((size_t)128 * 1024)
/* Everything of a request: the profile of an aggregate node's customer, made of 8 MB of documents and parsed, is the
   largest thing. */
#define ARENA_BYTES ((size_t)512 * 1024 * 1024)
/* Arenas of requests that are over, and what each may keep: together at most 32 MiB after any burst. */
#define SPARE_ARENAS 1024
#define SPARE_ARENA_BYTES ((size_t)32 * 1024)
#define LOOK_EVERY_US (1 * INT64_C(1000000))
#define IDLE_US (75 * INT64_C(1000000))
#define SENDING_US (60 * INT64_C(1000000))
/* So often libmicrohttpd may have something to do at once without doing it; from then on it is let wait longer and
   longer, as long as nothing comes. */
#define IDLE_TURNS 4
#define IDLE_WAIT_MAX_MS 20

enum client_state { CLIENT_IDLE, CLIENT_RECEIVING, CLIENT_PUT_OFF, CLIENT_WORKING, CLIENT_SENDING, CLIENT_STATES };

/* A connection. */
struct client {
	struct http *http;
	int fd;
	struct list link;        /* in the list of its state, in order of since_us */
	int64_t since_us;        /* CLIENT_PUT_OFF: when the refusal leaves */
	struct request *request; /* or NULL between requests */
	bool unread;             /* there was something to read of a body at the last look, and it has not been read */
};

struct http {
	struct gateway *gateway;
	int loop;
	struct MHD_Daemon *daemon;
	struct loop_source source;
	bool due;         /* a connection was resumed */
	bool worked;      /* libmicrohttpd has called us since the last turn */
	int n_idle_turns; /* in which it said that it had something to do, and did nothing */
	struct list clients[CLIENT_STATES];
	int64_t limit_us[CLIENT_STATES];
	int64_t looked_us; /* for clients that are gone */
	size_t bodies_bytes, answers_bytes;
	struct arena *spare[SPARE_ARENAS];
	size_t n_spare;
};

static void client_enter(struct client *client, enum client_state state)
{
	client->since_us = clock_monotonic_us();
	list_append(&client->http->clients[state], &client->link);
}

/* --- memory --------------------------------------------------------------------------------------------------------
 */

static struct arena *take_arena(struct http *http)
{
	return http->n_spare ? http->spare[--http->n_spare] : arena_new(ARENA_BYTES);
}

static void give_arena(struct http *http, struct arena *arena)
{
	if (http->n_spare == SPARE_ARENAS) {
		arena_free(arena);
		return;
	}
	arena_reset_keeping(arena, SPARE_ARENA_BYTES);
	http->spare[http->n_spare++] = arena;
}

bool http_count_body(struct http *http, struct request *request, size_t n_bytes)
{
	struct tenant *tenant = request->ticket.tenant;

	if (!tenant_fits(BODIES_BYTES, http->bodies_bytes, tenant ? tenant->body_bytes : 0, n_bytes))
		return false;
	http->bodies_bytes += n_bytes;
	request->counted_bytes += n_bytes;
	if (tenant)
		tenant->body_bytes += n_bytes;
	return true;
}

bool http_count_answer(struct http *http, struct request *request, bool in_any_case)
{
	struct tenant *tenant = request->ticket.tenant;
	size_t n_bytes = arena_held_bytes(request->arena);

	if (n_bytes < LARGE_ANSWER_BYTES)
		return true;
	if (!in_any_case &&
	        !tenant_fits(ANSWERS_BYTES, http->answers_bytes, tenant ? tenant->answer_bytes : 0, n_bytes))
		return false;
	http->answers_bytes += n_bytes;
	request->answer_bytes = n_bytes;
	if (tenant)
		tenant->answer_bytes += n_bytes;
	return true;
}

static void give_memory_back(struct http *http, const struct request *request)
{
	struct tenant *tenant = request->ticket.tenant;

	http->bodies_bytes -= request->counted_bytes;
	http->answers_bytes -= request->answer_bytes;
	if (tenant) {
		tenant->body_bytes -= request->counted_bytes;
		tenant->answer_bytes -= request->answer_bytes;
		tenant->config_bytes -= request->config_bytes;
	}
}

void http_worked(struct http *http)
{
	http->worked = true;
}

/* --- life of a request -----------------------------------------------------------------------------------------------
 */

static struct client *client_of(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* The request line is there. */
static void *on_request_line(void *context, const char *target, struct MHD_Connection *connection)
{
	struct http *http = context;
	struct client *client = client_of(connection);
	struct arena *arena = take_arena(http);
	struct request *request = arena_zalloc(arena, sizeof(*request));

	http_worked(http);
	request->gateway = http->gateway;
	request->arena = arena;
	request->connection = connection;
	request->client = client;
	request->target = arena_str(arena, str_of(target));
	list_init(&request->late);
	client->request = request;
	client->unread = false;
	client_enter(client, CLIENT_RECEIVING);
	request->began_us = client->since_us;
	return request;
}

/* Its place is free again. What has not waited tells nothing about waiting. */
static void leave(struct request *request)
{
	bool timed = request->phase == REQUEST_SUSPENDED && request->answer.status;

	admission_leave(request->gateway->admission, &request->ticket, timed, clock_monotonic_us());
	if (admission_waiting(request->gateway->admission))
		request->client->http->due = true;
}

static void on_completed(
        void *context, struct MHD_Connection *connection, void **request_slot, enum MHD_RequestTerminationCode how)
{
	struct http *http = context;
	struct request *request = *request_slot;

	(void)connection;
	(void)how;
	http_worked(http);
	if (!request)
		return;
	*request_slot = NULL;
	step_end(request);
	upload_end(request);
	leave(request);
	give_memory_back(http, request);
	config_workspace_unref(request->workspace);
	request->client->request = NULL;
	client_enter(request->client, CLIENT_IDLE);
	give_arena(http, request->arena);
}

static void count_answer(const struct request *request)
{
	const struct route *route = request->match.route;
	size_t row = route ? (size_t)(route - routes) : route_count;

	metrics_count(request->gateway->metrics, row, request->answer.status, clock_monotonic_us() - request->began_us);
}

static enum MHD_Result send_answer(struct request *request)
{
	count_answer(request);
	request->phase = REQUEST_ANSWERED;
	if (request->gateway->stopping)
		request->answer.close = true;
	client_enter(request->client, CLIENT_SENDING);
	return respond_queue(request);
}

/* The same while the connection is suspended. */
static void send_suspended(struct http *http, struct request *request)
{
	send_answer(request);
	MHD_resume_connection(request->connection);
	http->due = true;
}

void http_answered(struct http *http, struct request *request)
{
	if (request->phase != REQUEST_SUSPENDED && request->phase != REQUEST_WAITING)
		return; /* who called the handler will see it */
	leave(request);
	send_suspended(http, request);
}

void http_go_on(struct http *http, struct request *request)
{
	if (!request->paused)
		return;
	request->paused = false;
	client_enter(request->client, CLIENT_RECEIVING);
	MHD_resume_connection(request->connection);
	http->due = true;
}

void http_stream_ready(struct http *http, struct request *request)
{
	if (!request->answer.stream_waits)
		return; /* the reader is on the stack and will see it */
	request->answer.stream_waits = false;
	client_enter(request->client, CLIENT_SENDING);
	MHD_resume_connection(request->connection);
	http->due = true;
}

/* An answer past libmicrohttpd, which takes none while a body is on its way: the one that is made already, or one of
 * `code`. Nothing else has been sent on this connection. */
static void cut(struct client *client, enum err_code code)
{
	struct request *request = client->request;
	const struct answer *made = &request->answer;
	struct buf text;

	if (!made->status)
		request_fail(request, code, "%s", err_sentence(code));
	count_answer(request);
	buf_init(&text, request->arena, made->body.n + 512);
	buf_printf(&text,
	        "HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Type: application/json\r\n"
	        "Access-Control-Allow-Origin: *\r\nContent-Length: %zu\r\n",
	        made->status, MHD_get_reason_phrase_for(made->status), made->body.n);
	if (made->retry_after_s)
		buf_printf(&text, "Retry-After: %u\r\n", made->retry_after_s);
	buf_add_literal(&text, "\r\n");
	buf_add_str(&text, made->body);
	if (send(client->fd, text.p, text.n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_event(LOG_DEBUG, "http", "a client is gone: %s", strerror(errno));
	request->phase = REQUEST_ANSWERED;
	shutdown(client->fd, SHUT_RDWR);
	client_enter(client, CLIENT_SENDING);
	if (request->paused) {
		request->paused = false;
		MHD_resume_connection(request->connection);
		client->http->due = true;
	}
}

/* --- libmicrohttpd's calls with a request --- */

static bool expects_continue(struct request *request)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "Expect") != NULL;
}

/* The headers are there. A request that is refused gets its answer when its body has been read, because libmicrohttpd
   closes the connection after an earlier one; only who waits for "100 Continue" or wants to send too much gets it at
   once. */
static enum MHD_Result begin(struct request *request, const char *method, const char *version)
{
	request->version = str_of(version);
	request->phase = REQUEST_RECEIVING;
	if (pipeline_begin(request, str_of(method)))
		return MHD_YES;
	request->phase = REQUEST_DISCARDING;
	if (!request->answer.close && !expects_continue(request))
		return MHD_YES;
	request->answer.close = true;
	return send_answer(request);
}

/* Room for n more bytes; false when bodies take too much memory. All that the client has announced is counted at once:
   of many that grow side by side, none might come to its end. */
static bool grow_body(struct request *request, size_t n)
{
	size_t limit = pipeline_body_limit(request);
	size_t first = request->announced_bytes ? (size_t)request->announced_bytes : 1024;
	size_t capacity = request->body_capacity ? request->body_capacity * 2 : first;

	if (request->body_bytes + n <= request->body_capacity)
		return true;
	if (capacity < request->body_bytes + n)
		capacity = request->body_bytes + n;
	if (capacity > limit)
		capacity = limit;
	if (!http_count_body(request->gateway->http, request, capacity))
		return false;
	char *body = arena_alloc(request->arena, capacity);
	if (request->body_bytes)
		memcpy(body, request->body, request->body_bytes);
	request->body = body;
	request->body_capacity = capacity;
	return true;
}

static void keep_body(struct request *request, const char *data, size_t n)
{
	if (request->phase != REQUEST_RECEIVING || request->match.route->body == BODY_NONE || request->too_large)
		return;
	if (n > pipeline_body_limit(request) - request->body_bytes) {
		request->too_large = true;
	} else if (grow_body(request, n)) {
		memcpy(request->body + request->body_bytes, data, n);
		request->body_bytes += n;
	} else {
		request->phase = REQUEST_DISCARDING;
		request_fail(request, ERR_UNAVAILABLE, "%s", err_sentence(ERR_UNAVAILABLE));
	}
}

/* Bytes of a form go on at once. Each of them is progress, so the time limit begins again; all together have one, too.
 */
static void stream_body(struct request *request, const char *data, size_t n)
{
	struct client *client = request->client;

	client_enter(client, CLIENT_RECEIVING);
	upload_take(request, (struct str){data, n});
	if (request->phase == REQUEST_RECEIVING &&
	        client->since_us - request->began_us > request->gateway->settings->upload_deadline_ms * 1000) {
		request->phase = REQUEST_DISCARDING;
		request_fail(request, ERR_TIMEOUT, "%s", err_sentence(ERR_TIMEOUT));
	}
	if (!request->paused && upload_must_wait(request)) {
		request->paused = true;
		MHD_suspend_connection(request->connection);
	}
}

static enum MHD_Result take_body(struct request *request, const char *data, size_t *n)
{
	request->client->unread = false;
	if (request->phase == REQUEST_RECEIVING && request->match.route->body == BODY_MULTIPART)
		stream_body(request, data, *n);
	else
		keep_body(request, data, *n);
	if (request->phase == REQUEST_DISCARDING || request->too_large || request->match.route->body == BODY_NONE)
		request->discarded_bytes += *n;
	*n = 0;
	if (request->discarded_bytes <= SWALLOW_BYTES)
		return MHD_YES;
	cut(request->client, ERR_TOO_LARGE);
	return MHD_NO;
}

static enum MHD_Result send_refusal(struct request *request)
{
	int64_t now_us = clock_monotonic_us();
	int64_t at_us = request->put_off ? refusals_next(&request->gateway->refusals, now_us) : now_us;

	if (at_us <= now_us)
		return send_answer(request);
	request->phase = REQUEST_PUT_OFF;
	client_enter(request->client, CLIENT_PUT_OFF);
	request->client->since_us = at_us;
	MHD_suspend_connection(request->connection);
	return MHD_YES;
}

/* The body is complete. */
static enum MHD_Result finish(struct request *request)
{
	if (request->phase == REQUEST_DISCARDING)
		return send_refusal(request);
	client_enter(request->client, CLIENT_WORKING);
	switch (pipeline_enter(request, request->client->since_us)) {
	case ADMISSION_REFUSED:
		return send_refusal(request);
	case ADMISSION_WAITS:
		request->phase = REQUEST_WAITING;
		MHD_suspend_connection(request->connection);
		return MHD_YES;
	case ADMISSION_TAKEN:
		break;
	}
	request->phase = REQUEST_WORKING;
	pipeline_run(request);
	if (request->answer.status) {
		leave(request);
		return send_answer(request);
	}
	request->phase = REQUEST_SUSPENDED;
	MHD_suspend_connection(request->connection);
	return MHD_YES;
}

static enum MHD_Result on_call(void *context, struct MHD_Connection *connection, const char *url, const char *method,
        const char *version, const char *data, size_t *n_data, void **request_slot)
{
	struct request *request = *request_slot;

	(void)connection;
	(void)url;
	http_worked(context);
	switch (request ? request->phase : REQUEST_ANSWERED) {
	case REQUEST_HEADERS:
		return begin(request, method, version);
	case REQUEST_RECEIVING:
	case REQUEST_DISCARDING:
		return *n_data ? take_body(request, data, n_data) : finish(request);
	default:
		return MHD_NO;
	}
}

/* --- connections --- */

static void client_open(struct http *http, struct MHD_Connection *connection, void **slot)
{
	struct client *client = calloc(1, sizeof(*client));
	int one = 1;

	if (!client)
		log_die("memory", "out of memory");
	client->http = http;
	client->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	list_init(&client->link);
	client_enter(client, CLIENT_IDLE);
	setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	*slot = client;
}

static void on_connection(
        void *context, struct MHD_Connection *connection, void **slot, enum MHD_ConnectionNotificationCode what)
{
	struct client *client = *slot;

	http_worked(context);
	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		client_open(context, connection, slot);
	} else if (client) {
		list_remove(&client->link);
		free(client);
		*slot = NULL;
	}
}

/* Targets are decoded in uri.c. */
static size_t leave_escaped(void *context, struct MHD_Connection *connection, char *text)
{
	(void)context;
	(void)connection;
	return strlen(text);
}

/* --- time limits --- */

/* What becomes of a command that has left is not known: the answer says so and names it. Without one nothing was done.
 */
static void expire_work(struct request *request)
{
	enum err_code code = uuid_is_nil(&request->command) ? ERR_UNAVAILABLE : ERR_UNKNOWN_OUTCOME;

	request_fail(request, code, "%s", err_sentence(code));
}

static void expire(struct client *client, enum client_state state)
{
	if (state == CLIENT_RECEIVING) {
		/* who is not read at the moment is not late */
		cut(client, client->request->paused ? ERR_UNAVAILABLE : ERR_TIMEOUT);
	} else if (state == CLIENT_PUT_OFF) {
		send_suspended(client->http, client->request);
	} else if (state == CLIENT_WORKING) {
		expire_work(client->request);
	} else {
		client_enter(client, state);
		shutdown(client->fd, SHUT_RDWR);
	}
}

static void expire_all(struct http *http, enum client_state state, int64_t now_us)
{
	struct list *list = &http->clients[state];

	while (!list_is_empty(list)) {
		struct client *client = list_owner(list->next, struct client, link);
		if (now_us - client->since_us < http->limit_us[state])
			break;
		expire(client, state);
	}
}

/* Of a body for which libmicrohttpd has no room, because a chunk has no end of its head, nothing more is read. */
static bool is_stuck(struct client *client, bool more_to_read)
{
	const struct request *request = client->request;
	bool was_unread = client->unread;

	client->unread = more_to_read && request && !request->paused &&
	                 (request->phase == REQUEST_RECEIVING || request->phase == REQUEST_DISCARDING);
	return was_unread && client->unread;
}

/* libmicrohttpd is told once of bytes and of the end of the line behind them, and after the bytes waits to be told
   again. Looks at those that have been in the state since then. Half a request is closed without an answer, which
   libmicrohttpd does by itself where it sees the end (RFC 9112, 8: an answer is optional). Those that are stuck end,
   too. */
static void end_gone(struct http *http, enum client_state state, int64_t since_us)
{
	struct list *list = &http->clients[state];
	struct list *link = list->prev, *prev;
	char byte;

	for (; link != list; link = prev) {
		struct client *client = list_owner(link, struct client, link);
		prev = link->prev;
		if (client->since_us < since_us)
			break;
		ssize_t n = recv(client->fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT);
		if (is_stuck(client, n > 0))
			cut(client, ERR_INVALID);
		if (n)
			continue;
		shutdown(client->fd, SHUT_RDWR);
		if (client->request)
			http_go_on(http, client->request);
	}
}

static void look_for_gone(struct http *http, int64_t now_us)
{
	if (now_us - http->looked_us < LOOK_EVERY_US)
		return;
	http->looked_us = now_us;
	end_gone(http, CLIENT_RECEIVING, 0);
	/* there may be many, and it came with what the last answer was to */
	end_gone(http, CLIENT_IDLE, now_us - 2 * LOOK_EVERY_US);
}

void http_tick(struct http *http, int64_t now_us)
{
	look_for_gone(http, now_us);
	upload_tick(now_us);
	for (int state = 0; state < CLIENT_STATES; state++)
		expire_all(http, (enum client_state)state, now_us);
}

/* --- daemon --- */

static void on_ready(void *context, uint32_t events)
{
	(void)context;
	(void)events; /* http_run comes in every turn of the loop */
}

struct http *http_new(struct gateway *gateway, int loop)
{
	struct http *http = calloc(1, sizeof(*http));
	int64_t deadline_us = gateway->settings->request_deadline_ms * 1000;

	if (!http)
		log_die("memory", "out of memory");
	http->gateway = gateway;
	http->loop = loop;
	http->source = (struct loop_source){.ready = on_ready, .fd = -1};
	for (int state = 0; state < CLIENT_STATES; state++)
		list_init(&http->clients[state]);
	http->limit_us[CLIENT_IDLE] = IDLE_US;
	http->limit_us[CLIENT_RECEIVING] = deadline_us;
	http->limit_us[CLIENT_WORKING] = deadline_us;
	http->limit_us[CLIENT_SENDING] = SENDING_US;
	return http;
}

void http_listen(struct http *http)
{
	const struct settings *settings = http->gateway->settings;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)settings->listen_port)};

	if (inet_pton(AF_INET, settings->listen_host, &address.sin_addr) != 1)
		log_die("http", "CONTACTHUB_LISTEN_HOST is no IPv4 address: %s", settings->listen_host);
	errno = 0;
	http->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, (uint16_t)settings->listen_port, NULL,
	        NULL, on_call, http, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u,
	        MHD_OPTION_LISTEN_BACKLOG_SIZE, (unsigned)LISTEN_BACKLOG, MHD_OPTION_CONNECTION_LIMIT,
	        (unsigned)settings->max_connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY_BYTES,
	        MHD_OPTION_STRICT_FOR_CLIENT, 0, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_UNESCAPE_CALLBACK,
	        leave_escaped, NULL, MHD_OPTION_URI_LOG_CALLBACK, on_request_line, http, MHD_OPTION_NOTIFY_COMPLETED,
	        on_completed, http, MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_END);
	if (!http->daemon)
		log_die("http", "cannot listen on %s port %lld: %s", settings->listen_host,
		        (long long)settings->listen_port, strerror(errno));
	int fd = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	loop_watch(http->loop, &http->source, fd, EPOLLIN);
}

/* Places have become free. */
static void take_waiting(struct http *http)
{
	struct admission *admission = http->gateway->admission;
	struct admission_ticket *ticket;

	while ((ticket = admission_next(admission, clock_monotonic_us()))) {
		struct request *request = list_owner(ticket, struct request, ticket);
		request->phase = REQUEST_WORKING;
		pipeline_run(request);
		if (request->answer.status) {
			leave(request);
			send_suspended(http, request);
		} else {
			request->phase = REQUEST_SUSPENDED;
		}
	}
}

void http_run(struct http *http)
{
	http->due = false;
	expire_all(http, CLIENT_PUT_OFF, clock_monotonic_us());
	take_waiting(http);
	if (http->daemon)
		MHD_run(http->daemon);
}

/* A chunk whose head does not fit into the memory of its connection cannot be read any further: libmicrohttpd tries to,
   in every turn, until the connection's time is over. */
static int wait_of_idle_turns(struct http *http)
{
	http->n_idle_turns = http->worked ? 0 : http->n_idle_turns + 1;
	http->worked = false;
	if (http->n_idle_turns > IDLE_TURNS + IDLE_WAIT_MAX_MS)
		http->n_idle_turns = IDLE_TURNS + IDLE_WAIT_MAX_MS;
	return http->n_idle_turns <= IDLE_TURNS ? 0 : http->n_idle_turns - IDLE_TURNS;
}

int http_wait_ms(struct http *http, int most_ms)
{
	MHD_UNSIGNED_LONG_LONG wait_ms;

	if (!http->daemon)
		return most_ms;
	if (http->due)
		return 0;
	if (MHD_get_timeout(http->daemon, &wait_ms) != MHD_YES || wait_ms) {
		http->n_idle_turns = 0;
		return most_ms;
	}
	int idle_ms = wait_of_idle_turns(http);
	return idle_ms < most_ms ? idle_ms : most_ms;
}

bool http_has_callers(const struct http *http)
{
	struct pollfd listening = {.events = POLLIN};

	if (!http->daemon)
		return false;
	listening.fd = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_LISTEN_FD)->listen_fd;
	return poll(&listening, 1, 0) > 0;
}

void http_stop_listening(struct http *http)
{
	if (!http->daemon)
		return;
	int fd = MHD_quiesce_daemon(http->daemon);
	if (fd >= 0)
		close(fd);
	for (struct list *link = http->clients[CLIENT_IDLE].next; link != &http->clients[CLIENT_IDLE];
	        link = link->next)
		shutdown(list_owner(link, struct client, link)->fd, SHUT_RD);
}

void http_give_up(struct http *http)
{
	while (!list_is_empty(&http->clients[CLIENT_WORKING]))
		expire(list_owner(http->clients[CLIENT_WORKING].next, struct client, link), CLIENT_WORKING);
}

size_t http_connections(const struct http *http)
{
	return http->daemon ? MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections
	                    : 0;
}

bool http_is_quiet(const struct http *http)
{
	for (int state = CLIENT_RECEIVING; state < CLIENT_STATES; state++) {
		if (!list_is_empty(&http->clients[state]))
			return false;
	}
	return true;
}
