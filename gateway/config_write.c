#include "gateway/config_write.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/log.h"
#include "gateway/gateway.h"
#include "gateway/request_state.h"
#include "gateway/tenants.h"

/* Of all configuration lists, by the API document. */
#define DEFAULT_SIZE 20
#define MAX_SIZE 50
/* Memory of a list's page: half of what a request may have at all, since one element may be large. */
#define PAGE_MEMORY_BYTES ((size_t)256 * 1024 * 1024)

void config_write_init(struct request *request, struct config_write *write, const char *kind, struct str id)
{
	const struct config_workspace *workspace = request_workspace(request);

	*write = (struct config_write){.key = {.kind = str_of(kind), .id = id}};
	request_command_init(request, &write->command, COMMAND_CONFIG_PUT);
	if (!workspace)
		return;
	write->partition = config_workspace_partition(workspace);
	write->key.version = config_document_version(workspace, kind, id);
}

/* Counts what the write adds until its answer leaves, when the newest snapshot has it; the request may have begun with
   an older one. False when the request has been answered. */
static bool count_growth(struct request *request, const struct config_write *write)
{
	const struct config_workspace *workspace = request_workspace(request);
	struct tenant *tenant = request->ticket.tenant;

	if (workspace)
		workspace = config_workspace_find(request_gateway(request)->config, config_workspace_id(workspace));
	if (!workspace || !tenant)
		return true; /* a workspace that is being made */
	size_t before = config_document_bytes(workspace, write->key.kind.p, write->key.id);
	size_t after = config_doc_stored_bytes(write->doc);
	size_t growth = after > before ? after - before : 0;
	if (growth && config_workspace_bytes(workspace) + tenant->config_bytes + growth > CONFIG_MAX_WORKSPACE_BYTES) {
		request_fail(request, ERR_TOO_LARGE,
		        "The configuration of the workspace would have more than %zu bytes",
		        CONFIG_MAX_WORKSPACE_BYTES);
		return false;
	}
	request->config_bytes = growth;
	tenant->config_bytes += growth;
	return true;
}

void config_write_send(
        struct request *request, struct config_write *write, const struct uuid *entity, request_reply_fn *on_reply)
{
	struct arena *arena = request_arena(request);

	if (!count_growth(request, write))
		return;
	write->command.entity = *entity;
	write->command.text = config_key_write(arena, &write->key);
	write->command.body = config_doc_text(arena, write->doc);
	request_send_command(request, TOPIC_CONFIG_COMMANDS, write->partition, &write->command, on_reply);
}

static void send_document(struct request *request, struct config_write *write, const struct json *doc,
        const struct uuid *entity, request_reply_fn *on_reply)
{
	write->doc = doc;
	config_write_send(request, write, entity ? entity : config_workspace_id(request_workspace(request)), on_reply);
}

void config_write_document(struct request *request, const char *kind, struct str id, const struct json *doc,
        const struct uuid *entity, request_reply_fn *on_reply)
{
	struct config_write write;

	config_write_init(request, &write, kind, id);
	send_document(request, &write, doc, entity, on_reply);
}

void config_replace_document(
        struct request *request, const char *kind, struct str id, const struct json *doc, request_reply_fn *on_reply)
{
	struct config_write write;

	config_write_init(request, &write, kind, id);
	write.key.version = CONFIG_ANY_VERSION;
	send_document(request, &write, doc, NULL, on_reply);
}

struct json *config_reply_document(struct request *request, const struct reply *reply)
{
	struct err err = {0};

	if (reply->status >= 300) {
		request_answer(request, reply->status, reply->body);
		return NULL;
	}
	struct json *doc = json_parse(request_arena(request), arena_str(request_arena(request), reply->body), &err);
	if (!doc) {
		log_event(LOG_ERROR, "reply", "the configuration worker's answer is no JSON: %s", err.message);
		request_fail(request, ERR_INTERNAL, "%s", err_sentence(ERR_INTERNAL));
	}
	return doc;
}

void config_answer_document(struct request *request, const struct reply *reply)
{
	const struct json *doc = config_reply_document(request, reply);

	if (doc)
		request_answer_json(request, request_route(request)->status, doc);
}

void config_answer_member(struct request *request, struct str name, struct json *value)
{
	struct json *answer = json_new(request_arena(request), JSON_OBJECT);

	json_add(answer, name, value);
	request_answer_json(request, 200, answer);
}

bool config_flag(struct request *request, const char *name)
{
	return str_eq_nocase(request_param(request, name), STR("true"));
}

void config_answer_list(struct request *request, size_t n, config_wanted_fn *wanted, config_element_fn *element)
{
	struct page page;
	struct buf body;
	int64_t total = 0;

	if (!request_page(request, DEFAULT_SIZE, MAX_SIZE, &page) || !request_page_begin(request, &body, 4096))
		return;
	for (size_t i = 0; i < n; i++) {
		if (wanted && !wanted(request, i))
			continue;
		if (total >= page.number * page.size && total < (page.number + 1) * page.size) {
			request_page_next(&body);
			json_write(&body, element(request, i));
		}
		if (arena_used_bytes(request_arena(request)) > PAGE_MEMORY_BYTES) {
			request_fail_param(request, "size", "must be smaller: the elements of the page are too large");
			return;
		}
		total++;
	}
	request_page_answer(request, &body, &page, total);
}
