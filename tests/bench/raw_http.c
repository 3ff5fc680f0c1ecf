#include "common/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

/*
 * What libmicrohttpd costs by itself, run as the gateway runs it: an external epoll, every POST suspended until the
 * next turn of the loop, then answered and resumed. Usage: raw_http PORT ANSWER_BYTES; runs until it is killed.
 */
#define BODY_BYTES 4096
#define CONNECTIONS 4096u
#define CONNECTION_MEMORY_BYTES ((size_t)64 * 1024)

struct call {
	struct MHD_Connection *connection;
	struct call *next;
	size_t n;
	char body[BODY_BYTES];
};

struct server {
	struct MHD_Daemon *daemon;
	struct call *waiting;
	char *answer;
	size_t answer_bytes;
};

static enum MHD_Result take(struct call *call, const char *data, size_t *n)
{
	if (*n > sizeof(call->body) - call->n)
		return MHD_NO;
	memcpy(call->body + call->n, data, *n);
	call->n += *n;
	*n = 0;
	return MHD_YES;
}

static enum MHD_Result on_call(void *context, struct MHD_Connection *connection, const char *url, const char *method,
        const char *version, const char *data, size_t *n_data, void **slot)
{
	struct server *server = context;
	struct call *call = *slot;

	(void)url;
	(void)method;
	(void)version;
	if (!call) {
		*slot = call = calloc(1, sizeof(*call));
		return call ? MHD_YES : MHD_NO;
	}
	if (*n_data)
		return take(call, data, n_data);
	call->connection = connection;
	MHD_suspend_connection(connection);
	call->next = server->waiting;
	server->waiting = call;
	return MHD_YES;
}

static void on_completed(
        void *context, struct MHD_Connection *connection, void **slot, enum MHD_RequestTerminationCode how)
{
	(void)context;
	(void)connection;
	(void)how;
	free(*slot);
}

static void answer(struct server *server, struct call *call)
{
	struct MHD_Response *response =
	        MHD_create_response_from_buffer(server->answer_bytes, server->answer, MHD_RESPMEM_PERSISTENT);

	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
	MHD_queue_response(call->connection, MHD_HTTP_ACCEPTED, response);
	MHD_destroy_response(response);
	MHD_resume_connection(call->connection);
}

/* A turn: what was suspended in the last one is answered, then libmicrohttpd reads and writes. */
static void turn(struct server *server, int loop)
{
	struct call *call = server->waiting;
	struct epoll_event events[1];
	MHD_UNSIGNED_LONG_LONG wait_ms;
	bool due = call || (MHD_get_timeout(server->daemon, &wait_ms) == MHD_YES && wait_ms == 0);

	if (epoll_wait(loop, events, 1, due ? 0 : 1000) < 0 && errno != EINTR)
		log_die("raw", "epoll_wait: %s", strerror(errno));
	server->waiting = NULL;
	while (call) {
		struct call *next = call->next;
		answer(server, call);
		call = next;
	}
	MHD_run(server->daemon);
}

static void listen_on(struct server *server, uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, port, NULL, NULL, on_call, server,
	        MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS,
	        MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY_BYTES, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
	        NULL, MHD_OPTION_END);
	if (!server->daemon)
		log_die("raw", "cannot listen on port %u: %s", port, strerror(errno));
}

int main(int argc, char **argv)
{
	struct server server = {0};
	struct epoll_event event = {.events = EPOLLIN};
	int loop = epoll_create1(EPOLL_CLOEXEC);

	if (argc != 3)
		log_die("raw", "usage: raw_http PORT ANSWER_BYTES");
	server.answer_bytes = strtoul(argv[2], NULL, 10);
	server.answer = malloc(server.answer_bytes + 1);
	if (!server.answer || loop < 0)
		log_die("raw", "cannot start: %s", strerror(errno));
	memset(server.answer, 'x', server.answer_bytes);
	listen_on(&server, (uint16_t)strtoul(argv[1], NULL, 10));
	if (epoll_ctl(loop, EPOLL_CTL_ADD, MHD_get_daemon_info(server.daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd,
	            &event))
		log_die("raw", "epoll_ctl: %s", strerror(errno));
	for (;;)
		turn(&server, loop);
}
