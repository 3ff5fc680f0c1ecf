#include "common/arena.h"
#include "gateway/config_checks.h"
#include "gateway/config_write.h"
#include "gateway/handlers.h"

/* token absent = null: nobody can read it again. */
static struct json *source_view(struct arena *arena, const struct json *doc, struct str token)
{
	static const char *const members[] = {
	        "id", "provider", "name", "description", "enabled", "properties", "nodes"};
	struct json *view = json_new(arena, JSON_OBJECT);

	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		const struct json *value = json_get(doc, str_of(members[i]));
		json_add(view, str_of(members[i]), value ? json_copy(arena, value, false) : json_new(arena, JSON_NULL));
	}
	json_add(view, STR("token"), token.p ? json_new_str(arena, token) : json_new(arena, JSON_NULL));
	return view;
}

static struct json *source_element(struct request *request, size_t index)
{
	return source_view(request_arena(request), config_source_at(request_workspace(request), index)->doc, STR_NONE);
}

void source_list(struct request *request)
{
	config_answer_list(request, config_source_count(request_workspace(request)), NULL, source_element);
}

/* The source of the path; answers itself when there is none. */
static const struct config_source *path_source(struct request *request)
{
	const struct config_source *source = NULL;
	struct uuid id;

	if (request_path_uuid(request, "sourceId", &id))
		source = config_source_find(request_workspace(request), &id);
	if (!source)
		request_fail_not_found(request, STR("source"), request_path(request, "sourceId"));
	return source;
}

void source_get(struct request *request)
{
	const struct config_source *source = path_source(request);

	if (source)
		request_answer_json(request, 200, source_view(request_arena(request), source->doc, STR_NONE));
}

/* A repeat with the same Idempotency-Key is answered with what the first request stored, so with another token's hash.
 */
static void answer_source(struct request *request, const struct reply *reply)
{
	const struct source_token *token = request_state(request);
	const struct json *doc = config_reply_document(request, reply);
	struct str shown = STR_NONE;

	if (!doc)
		return;
	if (token && str_is(json_text(json_member(doc, "tokenSha256")), token->sha256))
		shown = (struct str){token->text, SOURCE_TOKEN_HEX};
	request_answer_json(request, request_route(request)->status, source_view(request_arena(request), doc, shown));
}

static void add_token(struct request *request, struct json *doc)
{
	struct source_token *token = arena_alloc(request_arena(request), sizeof(*token));

	source_token_make(token);
	json_set(doc, STR("tokenSha256"), json_new_str(request_arena(request), str_of(token->sha256)));
	request_set_state(request, token);
}

/* The checked document; answers itself when the body is wrong. */
static struct json *checked_source(struct request *request, const struct uuid *id, const struct json *present)
{
	struct problems problems;
	struct str unknown_node = STR_NONE;

	problems_init(&problems, request_arena(request));
	struct json *doc = check_source(request_arena(request), request_body(request), id, present,
	        request_workspace(request), &unknown_node, &problems);
	if (!doc) {
		request_fail_problems(request, STR("The source is not valid"), &problems);
		return NULL;
	}
	if (unknown_node.p) {
		request_fail_not_found(request, STR("node"), unknown_node);
		return NULL;
	}
	return doc;
}

void source_create(struct request *request)
{
	struct config_write write;

	config_write_init(request, &write, CONFIG_SOURCE, STR_NONE);
	struct uuid id = uuid_derive(&write.command.id, 1);
	struct json *doc = checked_source(request, &id, NULL);
	if (!doc)
		return;
	add_token(request, doc);
	write.doc = doc;
	write.key.id = config_id_text(request_arena(request), &id);
	write.key.version = CONFIG_NEW;
	config_write_send(request, &write, &id, answer_source);
}

static void change_source(struct request *request, const struct config_source *source, const struct json *doc)
{
	config_write_document(request, CONFIG_SOURCE, config_id_text(request_arena(request), &source->id), doc,
	        &source->id, answer_source);
}

void source_put(struct request *request)
{
	const struct config_source *source = path_source(request);
	struct arena *arena = request_arena(request);

	if (!source)
		return;
	struct json *doc = checked_source(request, &source->id, source->doc);
	if (!doc)
		return;
	const struct json *hash = json_member(source->doc, "tokenSha256");
	json_set(doc, STR("tokenSha256"), hash ? json_copy(arena, hash, false) : json_new(arena, JSON_NULL));
	change_source(request, source, doc);
}

void source_refresh_token(struct request *request)
{
	const struct config_source *source = path_source(request);

	if (!source)
		return;
	struct json *doc = json_copy(request_arena(request), source->doc, false);
	add_token(request, doc);
	change_source(request, source, doc);
}
