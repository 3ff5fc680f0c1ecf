#include "gateway/pipeline.h"

#include "common/arena.h"
#include "common/clock.h"
#include "gateway/auth.h"
#include "gateway/gateway.h"
#include "gateway/ip_list.h"
#include "gateway/request_state.h"
#include "gateway/tenants.h"
#include "gateway/upload.h"

#include <ctype.h>

#define DEFAULT_BODY_BYTES ((size_t)64 * 1024)
/* A refused body up to this size is read to its end before the answer. */
#define SWALLOW_DECLARED_BYTES (1024 * 1024)
/* Request line and headers. */
#define MAX_HEADER_BYTES ((size_t)14 * 1024)

static const struct str api_prefix[] = {{"hub", 3}, {"v1", 2}};

/* --- pure parts --- */

static bool ends_with_nocase(struct str s, struct str end)
{
	return s.n >= end.n && str_eq_nocase((struct str){s.p + s.n - end.n, end.n}, end);
}

bool pipeline_is_json_type(struct str content_type)
{
	static const struct str application = {"application/", 12};
	struct str rest = content_type, type;

	if (!str_split(&rest, ';', &type))
		return true;
	type = str_trim(type);
	if (type.n == 0 || str_eq_nocase(type, STR("application/json")) || str_eq_nocase(type, STR("text/json")))
		return true;
	return type.n > application.n && str_eq_nocase((struct str){type.p, application.n}, application) &&
	       ends_with_nocase(type, STR("+json"));
}

bool pipeline_is_idempotency_key(struct str key)
{
	for (size_t i = 0; i < key.n; i++) {
		if (key.p[i] < 0x20 || key.p[i] > 0x7e)
			return false;
	}
	return key.n >= 1 && key.n <= 255;
}

struct str pipeline_method(struct str method, struct str override, char buffer[PIPELINE_METHOD_BYTES])
{
	override = override.p ? str_trim(override) : STR_NONE;
	if (str_is(method, "HEAD"))
		return STR("GET"); /* libmicrohttpd leaves the body out */
	if (!str_is(method, "POST") || override.n == 0 || override.n > PIPELINE_METHOD_BYTES)
		return method;
	for (size_t i = 0; i < override.n; i++)
		buffer[i] = (char)toupper((unsigned char) override.p[i]);
	return (struct str){buffer, override.n};
}

/* --- target and framing --- */

/* What the headers say about the body, and how many of them name the host. */
struct framing {
	unsigned n_lengths, n_encodings, n_hosts;
	bool chunked;
	uint64_t length;
	bool bad_length;
	bool bad_name; /* readers differ in which header it is: "Transfer-Encoding : chunked" */
};

/* RFC 9110: a token. */
static bool is_header_name(struct str name)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < name.n; i++)
		if (!isalnum((unsigned char)name.p[i]) && !memchr(others, name.p[i], sizeof(others) - 1))
			return false;
	return name.n > 0;
}

static enum MHD_Result note_header(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct framing *framing = context;

	(void)kind;
	framing->bad_name |= !is_header_name(str_of(name));
	if (str_eq_nocase(str_of(name), STR("Content-Length"))) {
		framing->n_lengths++;
		framing->bad_length |= !str_to_u64(str_trim(str_of(value ? value : "")), INT64_MAX, &framing->length);
	} else if (str_eq_nocase(str_of(name), STR("Transfer-Encoding"))) {
		framing->n_encodings++;
		framing->chunked = value && str_eq_nocase(str_trim(str_of(value)), STR("chunked"));
	} else if (str_eq_nocase(str_of(name), STR("Host"))) {
		framing->n_hosts++;
	}
	return MHD_YES;
}

/* A body whose end two readers could see in two places is refused, and the connection with it. */
static bool check_framing(struct request *request, struct framing *framing)
{
	MHD_get_connection_values(request->connection, MHD_HEADER_KIND, note_header, framing);
	request->has_body = framing->n_encodings > 0 || framing->length > 0;
	request->announced_bytes = framing->length;
	if (framing->n_lengths + framing->n_encodings <= 1 && !framing->bad_length && !framing->bad_name &&
	        (framing->n_encodings == 0 || framing->chunked))
		return true;
	request->answer.close = true;
	if (framing->bad_name)
		request_fail(request, ERR_INVALID, "The name of a header of the request is not valid");
	else
		request_fail(request, ERR_INVALID,
		        "Content-Length and Transfer-Encoding of the request contradict each other");
	return false;
}

/* libmicrohttpd would look at both, and send the head of its answer twice. */
static bool check_first_line(struct request *request, const struct framing *framing)
{
	const char *fault = NULL;

	if (request->target.n && memchr(request->target.p, ' ', request->target.n))
		fault = "The target of the request has a blank";
	else if (!framing->n_hosts && !str_is(request->version, "HTTP/1.0"))
		fault = "The request has no Host";
	if (!fault)
		return true;
	request->answer.close = true;
	request_fail(request, ERR_INVALID, "%s", fault);
	return false;
}

static bool check_header_size(struct request *request)
{
	const union MHD_ConnectionInfo *info =
	        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);

	if (!info || info->header_size <= MAX_HEADER_BYTES)
		return true;
	request_fail(request, ERR_HEADERS_TOO_LARGE, "The request line and headers have more than %zu bytes",
	        MAX_HEADER_BYTES);
	return false;
}

/* Segments below /hub/v1; false for other paths. The API document is served at the root, too. */
static bool api_segments(
        struct request *request, struct str segments[URI_MAX_SEGMENTS], size_t *ret_n, size_t *ret_first)
{
	if (!uri_split(request->target, &request->path, &request->query) ||
	        !uri_segments(request->arena, request->path, segments, ret_n))
		return false;
	*ret_first = 0;
	if (*ret_n == 1)
		return str_is(segments[0], "openapi.json");
	*ret_first = ARRAY_LEN(api_prefix);
	return *ret_n > 2 && str_eq(segments[0], api_prefix[0]) && str_eq(segments[1], api_prefix[1]);
}

static struct str method_for_message(struct str method)
{
	for (size_t i = 0; i < method.n; i++) {
		if (!isupper((unsigned char)method.p[i]) && method.p[i] != '-')
			return STR("?");
	}
	return method.n <= 32 ? method : STR("?");
}

static bool find_route(struct request *request)
{
	struct str segments[URI_MAX_SEGMENTS];
	size_t n, first;
	enum route_result result = ROUTE_UNKNOWN_PATH;

	if (api_segments(request, segments, &n, &first))
		result = router_find(request->gateway->router, request->arena, request->method, segments + first,
		        n - first, &request->match);
	if (result == ROUTE_FOUND)
		return true;
	if (result == ROUTE_UNKNOWN_PATH)
		request_fail(request, ERR_NOT_FOUND, "Not Found");
	else if (str_is(request->method, "OPTIONS"))
		request_answer(request, 204, STR_NONE); /* a browser's preflight; it carries no token */
	else
		request_fail(request, ERR_METHOD, "Request method '%.*s' not supported",
		        STR_ARG(method_for_message(request->method)));
	return false;
}

/* --- who calls --- */

static void note_caller(struct request *request, const struct identity *identity)
{
	struct caller *caller = &request->caller;

	if (identity->source) {
		caller->source = identity->source;
		caller->roles = identity->source->trusted ? ROLE_TRUSTED : ROLE_UNTRUSTED;
		/* keeps the source's memory, whatever the path says */
		request->workspace = config_workspace_ref(identity->workspace);
		return;
	}
	request->user = *identity->user;
	request->user.doc = json_copy(request->arena, identity->user->doc, true);
	caller->user = &request->user;
	caller->roles = (enum role_bit)identity->user->roles;
}

static bool check_token(struct request *request)
{
	struct gateway *gateway = request->gateway;
	struct identity identity;

	if (request->match.route->roles & ROLE_PUBLIC)
		return true;
	if (!auth_identify(gateway->auth, gateway->config, request_header(request, "Authorization"), clock_wall_us(),
	            &identity)) {
		request_fail(request, ERR_UNAUTHORIZED, "%s", err_sentence(ERR_UNAUTHORIZED));
		return false;
	}
	note_caller(request, &identity);
	const struct config_source *source = identity.source;
	if (source && source->allowed_ips.n && !ip_list_contains(source->allowed_ips, request_client_ip(request))) {
		request_fail(request, ERR_FORBIDDEN, "The source may not be used from this address");
		return false;
	}
	return true;
}

/* The workspace of the path, if it is there and the caller's. */
static struct config_workspace *callers_workspace(struct request *request, const struct uuid *id)
{
	if (request->caller.source)
		return uuid_eq(config_workspace_id(request->workspace), id) ? request->workspace : NULL;
	struct config_workspace *workspace = config_workspace_find(request->gateway->config, id);
	return workspace && config_user_in_workspace(request->caller.user, workspace) ? workspace : NULL;
}

static bool check_workspace(struct request *request)
{
	struct str text = request_path(request, "workspaceId");
	struct config_workspace *workspace;
	struct uuid id;

	if (!text.p) {
		/* a source's own entry is kept only for its memory */
		return true;
	}
	if (!uuid_parse(text, &id) || !(workspace = callers_workspace(request, &id))) {
		request_fail(request, ERR_FORBIDDEN, "workspace not found: %.*s", STR_ARG(str_utf8_cut(text, 255)));
		return false;
	}
	if (!request->workspace)
		request->workspace = config_workspace_ref(workspace);
	return true;
}

static bool check_role(struct request *request)
{
	unsigned wanted = request->match.route->roles;

	if ((wanted & (ROLE_PUBLIC | ROLE_ANY)) || (wanted & request->caller.roles))
		return true;
	request_fail(request, ERR_FORBIDDEN, "%s", err_sentence(ERR_FORBIDDEN));
	return false;
}

/* --- may it be served now --- */

/* Of the path's workspace; of a source's own also where the path names none. */
static bool check_status(struct request *request)
{
	const struct config_workspace *workspace = request->workspace;

	if (!workspace || (request->match.route->flags & ROUTE_ANY_STATUS))
		return true;
	enum workspace_status status = config_workspace_status(workspace);
	if (status == WORKSPACE_ENABLED || (status == WORKSPACE_SUSPENDED && str_is(request->method, "GET")))
		return true;
	request_fail(request, ERR_FORBIDDEN,
	        status == WORKSPACE_DISABLED ? "The workspace is disabled"
	                                     : "The workspace is suspended: it takes no changes");
	return false;
}

static bool check_throttle(struct request *request)
{
	const struct config_workspace *workspace = request_workspace(request);
	unsigned retry_after_s;

	if (!workspace || (request->match.route->flags & ROUTE_UNTHROTTLED))
		return true;
	int64_t per_minute = config_max_requests_per_minute(workspace);
	if (per_minute <= 0)
		return true;
	struct tenant *tenant = tenants_get(request->gateway->tenants, config_workspace_id(workspace));
	if (token_bucket_take(&tenant->bucket, per_minute, clock_monotonic_us(), &retry_after_s))
		return true;
	respond_retry_after(request, retry_after_s);
	request->put_off = true;
	request_fail(request, ERR_THROTTLED, "The workspace takes %lld requests per minute", (long long)per_minute);
	return false;
}

enum admission_lane pipeline_lane(struct str method, unsigned route_flags)
{
	if (str_is(method, "GET"))
		return route_flags & ROUTE_SEARCHES ? LANE_SEARCHES : LANE_READS;
	return route_flags & ROUTE_PUBLISHES ? LANE_EVENTS : LANE_COMMANDS;
}

static void take_ticket(struct request *request)
{
	static const struct uuid nobody = {{0}};
	const struct route *route = request->match.route;
	const struct config_workspace *workspace = request_workspace(request);

	if (route->flags & ROUTE_UNLIMITED)
		return;
	request->ticket = (struct admission_ticket){
	        .tenant = tenants_get(request->gateway->tenants, workspace ? config_workspace_id(workspace) : &nobody),
	        .lane = pipeline_lane(str_of(route->method), route->flags),
	        .operation = (size_t)(route - routes)};
}

static bool put_off(struct request *request)
{
	request->put_off = true;
	request_fail(request, ERR_UNAVAILABLE, "The service has all the work that it can take at the moment");
	return false;
}

/* Before the body is read, because this is the cheapest moment; it counts when the body is there, so that slow senders
   take no places. */
static bool check_overload(struct request *request)
{
	take_ticket(request);
	return admission_has_room(request->gateway->admission, &request->ticket) || put_off(request);
}

enum admission_answer pipeline_enter(struct request *request, int64_t now_us)
{
	enum admission_answer answer;

	/* up to a GiB has come, of UPLOADS_AT_ONCE requests at most */
	request->ticket.costly = request->match.route->body == BODY_MULTIPART;
	answer = admission_enter(request->gateway->admission, &request->ticket, now_us);
	if (answer == ADMISSION_REFUSED)
		put_off(request);
	return answer;
}

/* --- parameters and headers --- */

static bool check_params(struct request *request)
{
	struct uri_param *params = NULL;
	struct err err = {0};

	if (!uri_params(request->arena, request->query, &params, &request->n_params, &err)) {
		request_fail_err(request, &err);
		return false;
	}
	request->params = params;
	for (const struct route_param *param = request->match.route->params; param && param->name; param++) {
		struct str value = request_param(request, param->name);

		if (param->required && !param->of_page && !value.n)
			return request_fail_param(request, param->name, "is required");
		/* an empty one says neither: eventsOnly decides how much of a node is removed */
		if (param->flag && value.p && !str_eq_nocase(value, STR("true")) && !str_eq_nocase(value, STR("false")))
			return request_fail_param(request, param->name, "must be true or false");
	}
	return true;
}

static bool check_idempotency_key(struct request *request)
{
	struct str key;

	if (str_is(request->method, "GET"))
		return true;
	const char *raw = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "Idempotency-Key");
	key = str_of(raw);
	if (!raw || pipeline_is_idempotency_key(key))
		return true;
	request_fail(request, ERR_INVALID, "The Idempotency-Key must have 1 to 255 printable ASCII characters");
	return false;
}

static bool check_encoding(struct request *request)
{
	struct str encoding = str_trim(request_header(request, "Content-Encoding"));

	if (!encoding.n || str_eq_nocase(encoding, STR("identity")))
		return true;
	request_fail(request, ERR_MEDIA_TYPE, "The request body must come without a content encoding");
	return false;
}

static bool check_declared_body(struct request *request, const struct framing *framing)
{
	const struct route *route = request->match.route;

	if (route->body == BODY_NONE || !request->has_body)
		return true;
	if (framing->length > pipeline_body_limit(request)) {
		request->answer.close = framing->length > SWALLOW_DECLARED_BYTES;
		request_fail(request, ERR_TOO_LARGE, "The request body has more than %zu bytes",
		        pipeline_body_limit(request));
		return false;
	}
	if (route->body == BODY_JSON && !pipeline_is_json_type(request_header(request, "Content-Type"))) {
		request_fail(request, ERR_MEDIA_TYPE, "The content type of the request must be application/json");
		return false;
	}
	return check_encoding(request);
}

size_t pipeline_body_limit(const struct request *request)
{
	const struct route *route = request->match.route;

	return route && route->max_body_bytes ? route->max_body_bytes : DEFAULT_BODY_BYTES;
}

/* Whether a form can be taken: its own checks, then the memory for it. */
static bool check_upload(struct request *request)
{
	const struct route *route = request->match.route;

	if (route->body != BODY_MULTIPART)
		return true;
	return (!route->check || route->check(request)) && upload_begin(request);
}

/* --- the two entrances --- */

bool pipeline_begin(struct request *request, struct str method)
{
	struct framing framing = {0};
	char *buffer = arena_alloc(request->arena, PIPELINE_METHOD_BYTES);

	request->head = str_is(method, "HEAD");
	request->method = pipeline_method(method, request_header(request, "X-HTTP-Method-Override"), buffer);
	return check_framing(request, &framing) && check_first_line(request, &framing) && check_header_size(request) &&
	       find_route(request) && check_token(request) && check_workspace(request) && check_role(request) &&
	       check_status(request) && check_throttle(request) && check_overload(request) && check_params(request) &&
	       check_idempotency_key(request) && check_declared_body(request, &framing) && check_upload(request);
}

static struct json *parsed_body(struct request *request, struct err *err)
{
	struct str text = {request->body, request->body_bytes};
	struct json *json = NULL;

	if (text.n == 0)
		err_set(err, ERR_INVALID, "The request body is missing");
	else if (!(json = json_parse_sent(request->arena, text, err)))
		err_wrap(err, "The request body is not valid JSON");
	else if (json->type != JSON_OBJECT)
		err_set(err, ERR_INVALID, "The request body must be a JSON object");
	return err->code ? NULL : json;
}

static bool parse_body(struct request *request)
{
	struct err err = {0};

	request->json = parsed_body(request, &err);
	if (!request->json)
		request_fail_err(request, &err);
	return request->json;
}

void pipeline_run(struct request *request)
{
	const struct route *route = request->match.route;

	if (request->too_large) {
		request_fail(request, ERR_TOO_LARGE, "The request body has more than %zu bytes",
		        pipeline_body_limit(request));
		return;
	}
	if (route->body == BODY_JSON && !parse_body(request))
		return;
	route->handler(request);
}
