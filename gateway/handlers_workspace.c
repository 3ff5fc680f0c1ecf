#include "common/catalog.h"
#include "gateway/config_checks.h"
#include "gateway/config_write.h"
#include "gateway/gateway.h"
#include "gateway/handlers.h"
#include "gateway/workspace_settings.h"

static const char *const statuses[] = {"ENABLED", "SUSPENDED", "DISABLED"};

static void add_members(
        struct arena *arena, struct json *view, const struct json *doc, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		json_add(view, str_of(names[i]), json_copy(arena, json_get(doc, str_of(names[i])), false));
}

static struct json *workspace_view(struct arena *arena, const struct json *doc)
{
	static const char *const members[] = {"id", "name", "slug", "groupPk", "shard", "status"};
	struct json *view = json_new(arena, JSON_OBJECT);

	add_members(arena, view, doc, members, ARRAY_LEN(members));
	return view;
}

/* --- list --- */

static bool contains_nocase(struct str text, struct str part)
{
	for (size_t i = 0; i + part.n <= text.n; i++)
		if (str_eq_nocase((struct str){text.p + i, part.n}, part))
			return true;
	return false;
}

static bool is_wanted(struct request *request, const struct json *doc)
{
	struct str name = request_param(request, "name"), group = request_param(request, "groupPk");
	uint64_t wanted;
	int64_t present;

	if (name.n && !contains_nocase(json_text(json_member(doc, "name")), name))
		return false;
	if (!group.n)
		return true;
	return str_to_u64(group, INT64_MAX, &wanted) && json_to_i64(json_member(doc, "groupPk"), &present) &&
	       (int64_t)wanted == present;
}

static bool workspace_wanted(struct request *request, size_t index)
{
	const struct config_workspace *workspace = config_workspace_at(request_gateway(request)->config, index);
	const struct config_user *user = request_caller(request)->user;

	return workspace && user && config_user_in_workspace(user, workspace) &&
	       is_wanted(request, config_workspace_doc(workspace));
}

static struct json *workspace_element(struct request *request, size_t index)
{
	const struct config_workspace *workspace = config_workspace_at(request_gateway(request)->config, index);

	return workspace_view(request_arena(request), config_workspace_doc(workspace));
}

void workspace_list(struct request *request)
{
	struct str group = request_param(request, "groupPk");
	uint64_t wanted;

	if (group.n && !str_to_u64(group, INT64_MAX, &wanted)) {
		request_fail_param(request, "groupPk", "must be a whole number");
		return;
	}
	config_answer_list(
	        request, config_workspace_count(request_gateway(request)->config), workspace_wanted, workspace_element);
}

/* --- one workspace --- */

static void answer_workspace(struct request *request, const struct reply *reply)
{
	const struct json *doc = config_reply_document(request, reply);

	if (doc)
		request_answer_json(
		        request, request_route(request)->status, workspace_view(request_arena(request), doc));
}

/* Its configuration and its customers lie in partitions of one number, so both topics must have it. */
static uint32_t partitions_of_a_workspace(struct request *request)
{
	uint32_t customers = request_partitions(request, TOPIC_CUSTOMER_COMMANDS);
	uint32_t configuration = request_partitions(request, TOPIC_CONFIG_COMMANDS);

	return customers < configuration ? customers : configuration;
}

void workspace_create(struct request *request)
{
	struct arena *arena = request_arena(request);
	struct new_workspace fresh;
	struct problems problems;
	struct config_write write;

	problems_init(&problems, arena);
	if (!check_workspace(request_body(request), &fresh, &problems)) {
		request_fail_problems(request, STR("The workspace is not valid"), &problems);
		return;
	}
	config_write_init(request, &write, CONFIG_WORKSPACE, STR(""));
	struct uuid id = uuid_derive(&write.command.id, 1);
	write.partition = config_partition_of(&id, partitions_of_a_workspace(request));
	write.command.workspace = id;
	write.key.version = CONFIG_NEW;
	write.doc = config_workspace_document(
	        arena, &id, fresh.name, fresh.slug, fresh.group, fresh.shard, write.partition);
	config_write_send(request, &write, &id, answer_workspace);
}

void workspace_get(struct request *request)
{
	request_answer_json(
	        request, 200, workspace_view(request_arena(request), config_workspace_doc(request_workspace(request))));
}

static void answer_status(struct request *request, const struct reply *reply)
{
	const struct json *doc = config_reply_document(request, reply);

	if (doc)
		config_answer_member(request, STR("status"),
		        json_new_str(request_arena(request), json_text(json_member(doc, "status"))));
}

void workspace_status_put(struct request *request)
{
	struct str status = json_text(json_member(request_body(request), "status"));
	const struct config_workspace *workspace = request_workspace(request);
	struct arena *arena = request_arena(request);
	struct problems problems;
	size_t i = 0;

	while (i < ARRAY_LEN(statuses) && !str_is(status, statuses[i]))
		i++;
	if (i == ARRAY_LEN(statuses)) {
		problems_init(&problems, arena);
		problems_add(&problems, STR("/status"), "status must be ENABLED, SUSPENDED or DISABLED");
		request_fail_problems(request, STR("The status is not valid"), &problems);
		return;
	}
	struct json *doc = json_copy(arena, config_workspace_doc(workspace), false);
	json_set(doc, STR("status"), json_new_str(arena, status));
	config_write_document(request, CONFIG_WORKSPACE, STR(""), doc, NULL, answer_status);
}

/* --- its own configuration --- */

static void answer_settings(struct request *request, const struct json *doc)
{
	struct arena *arena = request_arena(request);
	struct json *view = json_new(arena, JSON_OBJECT);

	workspace_settings_add(arena, view, doc);
	json_add(view, STR("tier"), json_new(arena, JSON_NULL)); /* of the hosted service */
	request_answer_json(request, 200, view);
}

void workspace_configuration_get(struct request *request)
{
	answer_settings(request, config_workspace_doc(request_workspace(request)));
}

static void answer_configuration(struct request *request, const struct reply *reply)
{
	const struct json *doc = config_reply_document(request, reply);

	if (doc)
		answer_settings(request, doc);
}

void workspace_configuration_put(struct request *request)
{
	const struct json *present = config_workspace_doc(request_workspace(request));
	struct problems problems;

	problems_init(&problems, request_arena(request));
	struct json *doc = workspace_settings_change(request_arena(request), present, request_body(request), &problems);
	if (!doc) {
		request_fail_problems(request, STR("The configuration of the workspace is not valid"), &problems);
		return;
	}
	config_write_document(request, CONFIG_WORKSPACE, STR(""), doc, NULL, answer_configuration);
}

/* --- limits --- */

void throttling_get(struct request *request)
{
	config_answer_member(request, STR("maxRequestsPerMinute"),
	        json_new_i64(request_arena(request), config_max_requests_per_minute(request_workspace(request))));
}

void throttling_put(struct request *request)
{
	struct arena *arena = request_arena(request);
	struct str member = STR("maxRequestsPerMinute");
	struct problems problems;
	int64_t value;

	problems_init(&problems, arena);
	if (!check_number(request_body(request), member, 0, INT32_MAX, &value, &problems)) {
		request_fail_problems(request, STR("The throttling is not valid"), &problems);
		return;
	}
	struct json *doc = json_new(arena, JSON_OBJECT);
	json_add(doc, member, json_new_i64(arena, value));
	config_replace_document(request, CONFIG_THROTTLING, STR(""), doc, config_answer_document);
}

/* Every event type, with the default where `limits` has none. */
static struct json *payload_size_view(struct request *request, const struct json *limits)
{
	struct arena *arena = request_arena(request);
	struct json *view = json_new(arena, JSON_OBJECT);

	for (size_t i = 0; i < EVENT_TYPE_COUNT; i++) {
		const struct json *limit = json_member(json_get(limits, event_types[i].id), "maxBytes");
		struct json *entry = json_add(view, event_types[i].id, json_new(arena, JSON_OBJECT));
		json_add(entry, STR("maxBytes"),
		        limit ? json_copy(arena, limit, false) : json_new_i64(arena, CONFIG_DEFAULT_EVENT_BYTES));
	}
	return view;
}

void payload_size_get(struct request *request)
{
	request_answer_json(request, 200,
	        payload_size_view(request, config_document(request_workspace(request), CONFIG_PAYLOAD_SIZE, STR(""))));
}

static void answer_payload_size(struct request *request, const struct reply *reply)
{
	const struct json *doc = config_reply_document(request, reply);

	if (doc)
		request_answer_json(request, 200, payload_size_view(request, doc));
}

void payload_size_put(struct request *request)
{
	struct problems problems;

	problems_init(&problems, request_arena(request));
	struct json *doc = check_payload_size(request_arena(request), request_body(request), &problems);
	if (!doc) {
		request_fail_problems(request, STR("The payload size is not valid"), &problems);
		return;
	}
	config_replace_document(request, CONFIG_PAYLOAD_SIZE, STR(""), doc, answer_payload_size);
}
