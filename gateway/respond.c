#include "gateway/respond.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/error_body.h"
#include "common/log.h"
#include "gateway/http.h"
#include "gateway/request_state.h"

#include <stdarg.h>
#include <stdio.h>

/* Searches reach this many elements. */
#define MAX_ELEMENTS 10000
#define MAX_MESSAGE_BYTES 1024
#define MAX_ID_BYTES 255 /* of an id that a message repeats */
#define STREAM_BLOCK_BYTES ((size_t)32 * 1024)
/* Far more than fifty events have; fifty profiles of as many large members as one is made of would be more. */
#define PAGE_MAX_BYTES ((size_t)64 * 1024 * 1024)
#define PAGE_SHAPE_BYTES 512

/* --- what untrusted callers see --- */

static struct str reduce_success(struct arena *arena, const struct json *body)
{
	struct json *kept = json_new(arena, JSON_OBJECT);
	struct json *id = json_member(body, "id");
	struct buf buf;

	if (json_is(id, JSON_STRING))
		json_set(kept, STR("id"), json_new_str(arena, json_text(id)));
	buf_init(&buf, arena, 64);
	json_write(&buf, kept);
	return buf_str(&buf);
}

/* `data` of an error: nothing of what is stored; the number of the caller's own command may stay. */
static struct json *reduce_data(struct arena *arena, unsigned status, const struct json *data)
{
	struct json *command = json_member(data, "commandId");
	struct json *kept = json_new(arena, JSON_OBJECT);

	if (status == 409)
		return json_set(kept, STR("customer"), json_new(arena, JSON_NULL)), kept;
	if (json_is(command, JSON_STRING))
		return json_set(kept, STR("commandId"), json_new_str(arena, json_text(command))), kept;
	return json_new(arena, JSON_NULL);
}

struct str respond_reduce(struct arena *arena, unsigned status, struct str body)
{
	struct err err = {0};
	struct buf buf;

	if (!body.p || body.n == 0)
		return body;
	struct json *value = json_parse(arena, body, &err);
	if (!value || value->type != JSON_OBJECT)
		value = json_new(arena, JSON_OBJECT);
	if (status < 400)
		return reduce_success(arena, value);
	json_set(value, STR("data"), reduce_data(arena, status, json_member(value, "data")));
	buf_init(&buf, arena, body.n + 64);
	json_write(&buf, value);
	return buf_str(&buf);
}

/* --- making an answer --- */

/* Clients who read slowly, or not at all, must not fill our memory with what they asked for. What was written is told
   in any case. */
static bool has_room(struct request *request, unsigned status)
{
	bool is_read = uuid_is_nil(&request->command);

	return status >= 400 || http_count_answer(request->gateway->http, request, !is_read);
}

/* The one place where a request gets its answer. body lives in the arena. */
static void answer(struct request *request, unsigned status, struct str body)
{
	if (request->answer.status) {
		log_event(LOG_ERROR, "request", "operation %d was answered twice (%u, then %u)",
		        request->match.route ? request->match.route->operation : 0, request->answer.status, status);
		return;
	}
	if (!has_room(request, status)) {
		request->answer = (struct answer){0};
		request_fail(request, ERR_UNAVAILABLE, "%s", err_sentence(ERR_UNAVAILABLE));
		return;
	}
	step_end(request);
	if (request_is_untrusted(request))
		body = respond_reduce(request->arena, status, body);
	request->answer.status = status;
	request->answer.body = body;
	if ((status == 503 || status == 504) && request->answer.retry_after_s == 0)
		request->answer.retry_after_s = 1;
	http_answered(request->gateway->http, request);
}

void request_answer(struct request *request, unsigned status, struct str json_body)
{
	answer(request, status, arena_str(request->arena, json_body));
}

void request_answer_text(struct request *request, unsigned status, const char *type, struct str body)
{
	request->answer.type = type;
	answer(request, status, body);
}

void request_answer_id(struct request *request, unsigned status, const struct uuid *id)
{
	struct buf buf;

	buf_init(&buf, request->arena, 64);
	buf_add_literal(&buf, "{\"id\":");
	json_write_uuid(&buf, id);
	buf_add_char(&buf, '}');
	answer(request, status, buf_str(&buf));
}

void request_answer_json(struct request *request, unsigned status, const struct json *value)
{
	struct buf buf;

	buf_init(&buf, request->arena, 2048);
	json_write(&buf, value);
	answer(request, status, buf_str(&buf));
}

static int64_t pages(int64_t elements, int64_t size)
{
	return size > 0 ? (elements + size - 1) / size : 0;
}

bool request_page_begin(struct request *request, struct buf *body, size_t bytes)
{
	if (bytes > PAGE_MAX_BYTES)
		return request_fail_param(
		        request, "size", "must be smaller: the page has more than %zu bytes", PAGE_MAX_BYTES);
	buf_init(body, request->arena, bytes + PAGE_SHAPE_BYTES);
	buf_add_literal(body, "{\"elements\":[");
	return true;
}

void request_page_next(struct buf *body)
{
	if (body->p[body->n - 1] != '[')
		buf_add_char(body, ',');
}

void request_page_answer(struct request *request, struct buf *body, const struct page *page, int64_t total)
{
	buf_printf(body,
	        "],\"page\":{\"size\":%lld,\"totalElements\":%lld,\"totalUnfilteredElements\":%lld,\"totalPages\":%lld,"
	        "\"number\":%lld,\"maxElements\":%d,\"maxPages\":%lld}}",
	        (long long)page->size, (long long)total, (long long)total, (long long)pages(total, page->size),
	        (long long)page->number, MAX_ELEMENTS, (long long)pages(MAX_ELEMENTS, page->size));
	answer(request, 200, buf_str(body));
}

void request_answer_page(struct request *request, const struct page *page, int64_t total, const struct json *elements)
{
	struct buf body;

	if (!request_page_begin(request, &body, 4096))
		return;
	for
		json_each(element, elements)
		{
			request_page_next(&body);
			json_write(&body, element);
		}
	request_page_answer(request, &body, page, total);
}

/* --- errors --- */

/* A request whose command may still take effect says which one that is. */
static struct str default_data(struct request *request, enum err_code code)
{
	char id[UUID_TEXT_BYTES + 1];

	if (code != ERR_UNKNOWN_OUTCOME || uuid_is_nil(&request->command))
		return STR_NONE;
	uuid_format(&request->command, id);
	return str_of(arena_printf(request->arena, "{\"commandId\":\"%s\"}", id));
}

static void fail(struct request *request, enum err_code code, struct str message, struct str data,
        const struct problems *problems)
{
	struct uuid logref = uuid_v7(clock_wall_us());
	char id[UUID_TEXT_BYTES + 1];
	struct buf buf;

	if (!str_is_utf8(message))
		message = str_of(err_sentence(code));
	if (!data.p)
		data = default_data(request, code);
	if (code == ERR_INTERNAL) {
		uuid_format(&logref, id);
		log_event(LOG_ERROR, "request", "operation %d failed: %.*s, logref %s",
		        request->match.route ? request->match.route->operation : 0, STR_ARG(message), id);
		message = str_of(err_sentence(code));
	}
	buf_init(&buf, request->arena, 512);
	error_body_write(&buf, message, &logref, data, problems);
	answer(request, (unsigned)err_http_status(code), buf_str(&buf));
}

void request_fail(struct request *request, enum err_code code, const char *format, ...)
{
	char text[MAX_MESSAGE_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fail(request, code, str_utf8_cut(str_of(text), sizeof(text) - 4), STR_NONE, NULL);
}

void request_fail_not_found(struct request *request, struct str kind, struct str id)
{
	struct str cut = str_utf8_cut(id, MAX_ID_BYTES);

	request_fail(request, ERR_NOT_FOUND, "%.*s not found %.*s", STR_ARG(kind), STR_ARG(cut));
}

bool request_fail_param(struct request *request, const char *name, const char *format, ...)
{
	char what[MAX_MESSAGE_BYTES];
	struct err err = {0};
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	err_set(&err, ERR_INVALID, "The query parameter %s %s", name, what);
	err_set_pointer(&err, str_of(arena_printf(request->arena, "/%s", name)));
	request_fail_err(request, &err);
	return false;
}

void request_fail_problems(struct request *request, struct str message, const struct problems *problems)
{
	fail(request, ERR_INVALID, message, STR_NONE, problems);
}

void request_fail_err(struct request *request, const struct err *err)
{
	struct problems problems;
	struct str message = str_of(err->message[0] ? err->message : err_sentence(err->code));

	problems_init(&problems, request->arena);
	if (err->code == ERR_INVALID)
		problems_add(&problems, str_of(err->pointer), "%.*s", STR_ARG(message));
	fail(request, err->code, message, STR_NONE, &problems);
}

void respond_retry_after(struct request *request, unsigned seconds)
{
	request->answer.retry_after_s = seconds;
}

/* --- libmicrohttpd --- */

/* Wire contract of browsers: on every answer, errors included. */
#define CORS_HEADERS                                                                                                   \
	"Authorization, Content-Type, Accept, Contactlab-ClientId, Contactlab-Tracing-ID, X-Tracing-ID, "              \
	"X-HTTP-Method-Override, "                                                                                     \
	"X-Forwarded-Ssl, Idempotency-Key"

static void add_cors(struct MHD_Response *response, const struct request *request)
{
	const char *methods = request->match.methods ? request->match.methods : "OPTIONS";

	MHD_add_response_header(response, "Access-Control-Allow-Origin", "*");
	MHD_add_response_header(response, "Access-Control-Allow-Methods", methods);
	MHD_add_response_header(response, "Access-Control-Allow-Headers", CORS_HEADERS);
	MHD_add_response_header(response, "Access-Control-Expose-Headers", "Retry-After, Content-Disposition");
	if (str_is(request->method, "OPTIONS"))
		MHD_add_response_header(response, "Access-Control-Max-Age", "3600");
}

static void add_headers(struct MHD_Response *response, const struct request *request)
{
	const struct answer *made = &request->answer;
	char seconds[16];

	add_cors(response, request);
	if (made->body.n)
		MHD_add_response_header(response, "Content-Type", made->type ? made->type : "application/json");
	if (made->disposition)
		MHD_add_response_header(response, "Content-Disposition", made->disposition);
	if (made->status == 401)
		MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
	if (made->status == 405)
		MHD_add_response_header(response, "Allow", request->match.methods);
	if (made->retry_after_s) {
		snprintf(seconds, sizeof(seconds), "%u", made->retry_after_s);
		MHD_add_response_header(response, "Retry-After", seconds);
	}
	if (made->close)
		MHD_add_response_header(response, "Connection", "close");
}

/* --- answers in pieces --- */

void request_answer_stream(
        struct request *request, const char *type, const char *disposition, struct str first, request_stream_fn *next)
{
	request->answer.type = type;
	request->answer.disposition = disposition;
	request->answer.stream = next;
	answer(request, 200, first);
}

void request_stream_piece(struct request *request, struct str piece)
{
	request->answer.body = piece;
	request->answer.stream_ended = piece.n == 0;
	http_stream_ready(request->gateway->http, request);
}

void request_stream_fail(struct request *request)
{
	request->answer.stream_failed = true;
	http_stream_ready(request->gateway->http, request);
}

/* libmicrohttpd wants bytes. Without any the connection is suspended until the next piece is there. */
static ssize_t read_stream(void *context, uint64_t position, char *out, size_t room)
{
	struct request *request = context;
	struct answer *made = &request->answer;

	(void)position;
	http_worked(request->gateway->http);
	if (!made->body.n && !made->stream_ended && !made->stream_failed) {
		made->stream(request);
		if (!made->body.n && !made->stream_ended && !made->stream_failed) {
			made->stream_waits = true;
			MHD_suspend_connection(request->connection);
			return 0;
		}
	}
	if (made->stream_failed)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (made->stream_ended)
		return MHD_CONTENT_READER_END_OF_STREAM;
	size_t n = made->body.n < room ? made->body.n : room;
	memcpy(out, made->body.p, n);
	made->body = (struct str){made->body.p + n, made->body.n - n};
	return (ssize_t)n;
}

static struct MHD_Response *new_response(struct request *request)
{
	const struct answer *made = &request->answer;

	if (made->stream) {
		struct MHD_Response *response = MHD_create_response_from_callback(
		        MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, read_stream, request, NULL);
		/* libmicrohttpd 0.9.75 ends a body in pieces also where none may be; without pieces it ends the
		 * connection */
		if (response && request->head)
			MHD_set_response_options(response, MHD_RF_HTTP_VERSION_1_0_ONLY, MHD_RO_END);
		return response;
	}
	/* The body lives in the request's arena, and that until the completion callback: libmicrohttpd need not copy
	 * it. */
	return MHD_create_response_from_buffer(made->body.n, (void *)made->body.p, MHD_RESPMEM_PERSISTENT);
}

enum MHD_Result respond_queue(struct request *request)
{
	const struct answer *made = &request->answer;
	struct MHD_Response *response = new_response(request);

	if (!response)
		log_die("memory", "out of memory");
	add_headers(response, request);
	enum MHD_Result result = MHD_queue_response(request->connection, made->status, response);
	MHD_destroy_response(response);
	return result;
}
