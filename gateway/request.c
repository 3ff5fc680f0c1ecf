#include "gateway/request.h"

#include "common/arena.h"
#include "common/buf.h"
#include "gateway/gateway.h"
#include "gateway/ip_list.h"
#include "gateway/request_state.h"

#include <arpa/inet.h>
#include <stdio.h>

/* Largest page number that is read; what it names may lie far behind the end. */
#define MAX_PAGE_NUMBER INT32_MAX
#define SMALL_PAGE_MAX 50

struct arena *request_arena(struct request *request)
{
	return request->arena;
}

struct gateway *request_gateway(struct request *request)
{
	return request->gateway;
}

const struct route *request_route(struct request *request)
{
	return request->match.route;
}

const struct caller *request_caller(struct request *request)
{
	return &request->caller;
}

const struct config_workspace *request_workspace(struct request *request)
{
	return request_path(request, "workspaceId").p ? request->workspace : NULL;
}

bool request_is_untrusted(struct request *request)
{
	return request->may_not_read || request->caller.roles & ROLE_UNTRUSTED;
}

struct str request_path(struct request *request, const char *name)
{
	for (size_t i = 0; i < request->match.n_params; i++) {
		if (str_is(request->match.names[i], name))
			return request->match.values[i];
	}
	return STR_NONE;
}

bool request_path_uuid(struct request *request, const char *name, struct uuid *ret_id)
{
	return uuid_parse(request_path(request, name), ret_id);
}

/* NULL: the route has no such parameter. */
static const struct route_param *declared(const struct route *route, const char *name)
{
	for (const struct route_param *param = route->params; param && param->name; param++) {
		if (strcmp(param->name, name) == 0)
			return param;
	}
	return NULL;
}

struct str request_param_at(struct request *request, const char *name, size_t n)
{
	if (!declared(request->match.route, name))
		return STR_NONE;
	for (size_t i = 0; i < request->n_params; i++) {
		if (str_is(request->params[i].name, name) && n-- == 0)
			return request->params[i].value;
	}
	return STR_NONE;
}

struct str request_param(struct request *request, const char *name)
{
	return request_param_at(request, name, 0);
}

struct str request_header(struct request *request, const char *name)
{
	const char *value;
	size_t n;

	if (MHD_lookup_connection_value_n(request->connection, MHD_HEADER_KIND, name, strlen(name), &value, &n) !=
	                MHD_YES ||
	        !value)
		return STR_NONE;
	struct str text = {value, n};
	return !memchr(text.p, '\0', text.n) && str_is_utf8(text) ? text : STR_NONE;
}

static struct str peer_ip(struct request *request)
{
	const union MHD_ConnectionInfo *info =
	        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	char text[INET6_ADDRSTRLEN];

	if (!info || !info->client_addr)
		return STR_NONE;
	const struct sockaddr *address = info->client_addr;
	const void *bytes = address->sa_family == AF_INET6
	                            ? (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr
	                            : (const void *)&((const struct sockaddr_in *)address)->sin_addr;
	if (!inet_ntop(address->sa_family, bytes, text, sizeof(text)))
		return STR_NONE;
	return arena_str(request->arena, str_of(text));
}

static enum MHD_Result add_hops(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct buf *hops = context;

	(void)kind;
	if (!str_eq_nocase(str_of(name), STR("X-Forwarded-For")))
		return MHD_YES;
	if (hops->n)
		buf_add_char(hops, ',');
	buf_add_str(hops, str_of(value ? value : ""));
	return MHD_YES;
}

struct str request_client_ip(struct request *request)
{
	struct str proxies = str_of(request->gateway->settings->trusted_proxies);
	struct str peer = peer_ip(request);
	struct buf hops;

	/* events ask for it, one by one */
	if (!proxies.n || !ip_list_contains(proxies, peer))
		return peer;
	buf_init(&hops, request->arena, 64);
	MHD_get_connection_values(request->connection, MHD_HEADER_KIND, add_hops, &hops);
	return ip_list_client(proxies, peer, buf_str(&hops));
}

struct str request_public_url(struct request *request)
{
	const char *set = request->gateway->settings->public_url;
	struct str host = request_header(request, "Host");

	if (set && *set) {
		struct str url = str_of(set);
		while (url.n && url.p[url.n - 1] == '/')
			url.n--;
		return url;
	}
	return str_of(arena_printf(request->arena, "http://%.*s", STR_ARG(host.n ? host : STR("localhost"))));
}

uint32_t request_partitions(struct request *request, enum topic topic)
{
	return request->gateway->partitions[topic];
}

bool request_may_use_node(struct request *request, const struct uuid *node, bool need_write)
{
	const struct caller *caller = &request->caller;

	if (caller->source)
		return config_source_on_node(caller->source, node);
	unsigned has = caller->user ? config_user_permission(caller->user, request->workspace, node) : PERMISSION_NONE;
	return has & (need_write ? PERMISSION_WRITE : PERMISSION_READ);
}

bool request_check_node(struct request *request, const struct uuid *node, bool need_write)
{
	if (request_may_use_node(request, node, need_write))
		return true;
	request_fail(
	        request, ERR_FORBIDDEN, "The client has no permission to %s the node", need_write ? "write" : "read");
	return false;
}

void request_writes_node(struct request *request, const struct uuid *node)
{
	request->may_not_read = !request_may_use_node(request, node, false);
}

bool request_node_access(
        struct request *request, struct str node_id, bool need_write, const struct config_node **ret_node)
{
	const struct config_node *node = NULL;
	struct uuid id;

	if (uuid_parse(node_id, &id))
		node = config_node_find(request->workspace, &id);
	if (!node) {
		request_fail_not_found(request, STR("node"), node_id);
		return false;
	}
	if (!request_check_node(request, &id, need_write))
		return false;
	*ret_node = node;
	return true;
}

struct json *request_body(struct request *request)
{
	return request->json;
}

struct str request_body_text(struct request *request)
{
	return (struct str){request->body, request->body_bytes};
}

/* One number of a page; an empty value counts as not sent. */
static bool page_number(
        struct request *request, const char *name, uint64_t min, uint64_t max, int64_t fallback, int64_t *ret_value)
{
	const struct route_param *param = declared(request->match.route, name);
	struct str text = request_param(request, name);
	uint64_t value;

	*ret_value = fallback;
	if (text.n == 0)
		return !(param && param->required) || request_fail_param(request, name, "is required");
	if (str_to_u64(text, max, &value) && value >= min) {
		*ret_value = (int64_t)value;
		return true;
	}
	return request_fail_param(request, name, "must be a whole number from %llu to %llu", (unsigned long long)min,
	        (unsigned long long)max);
}

bool request_page(struct request *request, int64_t default_size, int64_t max_size, struct page *ret_page)
{
	bool small = request->match.route->flags & ROUTE_SMALL_PAGES;

	return page_number(request, "page", 0, small ? SMALL_PAGE_MAX : MAX_PAGE_NUMBER, 0, &ret_page->number) &&
	       page_number(request, "size", small ? 0 : 1, (uint64_t)max_size, default_size, &ret_page->size);
}

void request_set_state(struct request *request, void *state)
{
	request->state = state;
}

void *request_state(struct request *request)
{
	return request->state;
}
