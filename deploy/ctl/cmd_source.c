#include "common/clock.h"
#include "common/json.h"
#include "deploy/ctl/ctl.h"

static bool add_nodes(struct ctl *ctl, const struct uuid *workspace, struct json *doc, struct err *err)
{
	struct json *nodes = json_add(doc, STR("nodes"), json_new(ctl->arena, JSON_ARRAY));
	struct str node;

	while ((node = arguments_option(&ctl->arguments, "node")).p) {
		if (!ctl_node_check(ctl, workspace, node, err))
			return false;
		json_append(nodes, json_new_str(ctl->arena, node));
	}
	return nodes->count || err_set(err, ERR_INVALID, "--node is missing: a source writes to at least one node");
}

/* The operator may make sources of every provider, also of those that the API no longer makes. */
static struct json *make_source(struct ctl *ctl, const struct uuid *workspace, const struct uuid *id,
        const struct source_token *token, struct err *err)
{
	struct arguments *arguments = &ctl->arguments;
	struct json *doc = json_new(ctl->arena, JSON_OBJECT);
	struct str provider, name, description = arguments_option(arguments, "description");

	if (!arguments_required(arguments, "provider", &provider, err) ||
	        !arguments_text(arguments, "name", &name, err))
		return NULL;
	if (!source_provider_find(provider)) {
		err_set(err, ERR_INVALID, "\"%.*s\" is no provider", STR_ARG(provider));
		return NULL;
	}
	json_add(doc, STR("id"), json_new_str(ctl->arena, config_id_text(ctl->arena, id)));
	json_add(doc, STR("provider"), json_new_str(ctl->arena, provider));
	json_add(doc, STR("name"), json_new_str(ctl->arena, name));
	json_add(doc, STR("description"),
	        description.p ? json_new_str(ctl->arena, description) : json_new(ctl->arena, JSON_NULL));
	json_add(doc, STR("enabled"), json_new_bool(ctl->arena, true));
	json_add(doc, STR("properties"), json_new(ctl->arena, JSON_OBJECT));
	json_add(doc, STR("tokenSha256"), json_new_str(ctl->arena, str_of(token->sha256)));
	return add_nodes(ctl, workspace, doc, err) && arguments_done(arguments, err) ? doc : NULL;
}

bool ctl_source_create(struct ctl *ctl, struct err *err)
{
	struct uuid workspace, id = uuid_v7(clock_wall_us());
	struct source_token token;
	uint32_t partition;
	struct str text;

	if (!arguments_required(&ctl->arguments, "workspace", &text, err))
		return false;
	if (!uuid_parse(text, &workspace))
		return err_set(err, ERR_INVALID, "--workspace must be a UUID");
	source_token_make(&token);
	struct json *doc = ctl_workspace_partition(ctl, &workspace, &partition, err)
	                           ? make_source(ctl, &workspace, &id, &token, err)
	                           : NULL;
	struct config_key key = {
	        .kind = STR(CONFIG_SOURCE), .id = config_id_text(ctl->arena, &id), .version = CONFIG_NEW};
	if (!doc || !ctl_put(ctl, &workspace, partition, &key, doc, err))
		return false;
	printf("%s %s\n", key.id.p, token.text);
	return true;
}
