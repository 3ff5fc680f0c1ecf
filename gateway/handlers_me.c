#include "common/arena.h"
#include "gateway/gateway.h"
#include "gateway/handlers.h"

/* The caller, and the workspaces and nodes that are open to it, by group of customers of the platform. */

static const char *permission_name(enum node_permission permission)
{
	static const char *const names[] = {
	        [PERMISSION_READ] = "R", [PERMISSION_WRITE] = "W", [PERMISSION_READ_WRITE] = "RW"};

	return names[permission];
}

static enum node_permission permission_of(
        const struct caller *caller, const struct config_workspace *workspace, const struct uuid *node)
{
	if (caller->user)
		return config_user_permission(caller->user, workspace, node);
	return config_source_on_node(caller->source, node) ? PERMISSION_READ_WRITE : PERMISSION_NONE;
}

static struct json *nodes_of(struct arena *arena, const struct caller *caller, const struct config_workspace *workspace)
{
	struct json *nodes = json_new(arena, JSON_ARRAY);

	for (size_t i = 0; i < config_node_count(workspace); i++) {
		const struct config_node *node = config_node_at(workspace, i);
		enum node_permission permission = permission_of(caller, workspace, &node->id);
		if (permission == PERMISSION_NONE)
			continue;
		struct json *view = json_append(nodes, json_new(arena, JSON_OBJECT));
		json_add(view, STR("id"), json_copy(arena, json_member(node->doc, "id"), true));
		json_add(view, STR("name"), json_new_str(arena, arena_str(arena, node->name)));
		json_add(view, STR("type"), json_new_str(arena, node->aggregate ? STR("AGGREGATE") : STR("ENTRY")));
		json_add(view, STR("permission"), json_new_str(arena, str_of(permission_name(permission))));
	}
	return nodes;
}

static struct json *find_group(struct arena *arena, struct json *groups, const struct json *number)
{
	for
		json_each(group, groups) if (json_equal(json_member(group, "id"), number)) return group;
	struct json *group = json_append(groups, json_new(arena, JSON_OBJECT));
	json_add(group, STR("id"), json_copy(arena, number, true));
	json_add(group, STR("name"),
	        json_new_str(arena, str_of(arena_printf(arena, "Group %.*s", STR_ARG(number->text)))));
	json_add(group, STR("workspaces"), json_new(arena, JSON_ARRAY));
	return group;
}

/* Other workspaces than the request's may be replaced while the answer is written: everything is copied. */
static void add_workspace(
        struct arena *arena, struct json *groups, const struct caller *caller, const struct config_workspace *workspace)
{
	const struct json *doc = config_workspace_doc(workspace);
	struct json *group = find_group(arena, groups, json_member(doc, "groupPk"));
	struct json *view = json_append((struct json *)json_member(group, "workspaces"), json_new(arena, JSON_OBJECT));

	json_add(view, STR("id"), json_copy(arena, json_member(doc, "id"), true));
	json_add(view, STR("name"), json_copy(arena, json_member(doc, "name"), true));
	json_add(view, STR("status"), json_copy(arena, json_member(doc, "status"), true));
	json_add(view, STR("nodes"), nodes_of(arena, caller, workspace));
}

static bool is_callers(const struct caller *caller, const struct config_workspace *workspace)
{
	if (caller->user)
		return config_user_in_workspace(caller->user, workspace);
	return config_source_find(workspace, &caller->source->id) != NULL;
}

static struct json *groups_of(struct request *request)
{
	struct config *config = request_gateway(request)->config;
	struct json *groups = json_new(request_arena(request), JSON_ARRAY);

	for (size_t i = 0; i < config_workspace_count(config); i++) {
		const struct config_workspace *workspace = config_workspace_at(config, i);
		if (workspace && is_callers(request_caller(request), workspace))
			add_workspace(request_arena(request), groups, request_caller(request), workspace);
	}
	return groups;
}

/* A source has no person behind it: number 0, its name, its role. */
static struct json *source_view(struct arena *arena, const struct config_source *source)
{
	struct json *view = json_new(arena, JSON_OBJECT);
	struct json *roles = json_new(arena, JSON_ARRAY);

	json_append(roles,
	        json_new_str(arena, source->trusted ? STR("TRUSTED_APPLICATION") : STR("UNTRUSTED_APPLICATION")));
	json_add(view, STR("id"), json_new_i64(arena, 0));
	json_add(view, STR("name"), json_copy(arena, json_member(source->doc, "name"), true));
	json_add(view, STR("surname"), json_new(arena, JSON_NULL));
	json_add(view, STR("groups"), json_new(arena, JSON_ARRAY));
	json_add(view, STR("lang"), json_new_str(arena, STR("en")));
	json_add(view, STR("email"), json_new(arena, JSON_NULL));
	json_add(view, STR("roles"), roles);
	json_add(view, STR("mc"), json_new_bool(arena, false));
	return view;
}

static struct json *user_view(struct arena *arena, const struct config_user *user)
{
	static const char *const members[] = {"name", "surname", "groups", "lang", "email", "roles", "mc"};
	struct json *view = json_new(arena, JSON_OBJECT);

	json_add(view, STR("id"), json_new_i64(arena, user->id));
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		const struct json *value = json_get(user->doc, str_of(members[i]));
		json_add(view, str_of(members[i]), value ? json_copy(arena, value, true) : json_new(arena, JSON_NULL));
	}
	return view;
}

/* A web page's token learns nothing but which source it is. */
static struct json *untrusted_view(struct arena *arena, const struct config_source *source)
{
	struct json *view = json_new(arena, JSON_OBJECT);

	json_add(view, STR("id"), json_copy(arena, json_member(source->doc, "id"), true));
	return view;
}

void me_get(struct request *request)
{
	const struct caller *caller = request_caller(request);
	struct arena *arena = request_arena(request);

	if (request_is_untrusted(request)) {
		request_answer_json(request, 200, untrusted_view(arena, caller->source));
		return;
	}
	struct json *view = caller->user ? user_view(arena, caller->user) : source_view(arena, caller->source);
	json_set(view, STR("groups"), groups_of(request));
	request_answer_json(request, 200, view);
}
