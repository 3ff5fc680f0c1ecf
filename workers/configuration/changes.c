#include "workers/configuration/changes.h"

#include "common/arena.h"
#include "common/json.h"
#include "workers/configuration/rules.h"

struct known_version {
	struct known_version *next;
	struct uuid workspace;
	struct str kind, id;
	int64_t version;
	struct change *writer; /* of this batch */
};

struct known_workspace {
	struct known_workspace *next;
	struct uuid id;
	uint32_t partition;
};

void changes_init(struct changes *changes, struct arena *arena, size_t most)
{
	*changes = (struct changes){.arena = arena, .items = arena_zalloc(arena, most * sizeof(*changes->items))};
}

bool changes_add(struct changes *changes, struct command *command, struct err *err)
{
	struct change *change = &changes->items[changes->n];

	switch (command->type) {
	case COMMAND_CONFIG_PUT:
		if (!config_key_parse(command->text, &change->key, err))
			return false;
		break;
	case COMMAND_CONFIG_EMPTY:
		break;
	default:
		return err_set(err, ERR_INVALID, "%s is no command of configuration", command_type_name(command->type));
	}
	change->command = command;
	change->has_rule = rule_topic(changes->arena, command, change->key.kind, &change->rule_topic);
	changes->n++;
	return true;
}

static struct known_version *find_version(
        const struct changes *changes, const struct uuid *workspace, struct str kind, struct str id)
{
	for (struct known_version *known = changes->versions; known; known = known->next)
		if (uuid_eq(&known->workspace, workspace) && str_eq(known->kind, kind) && str_eq(known->id, id))
			return known;
	return NULL;
}

static struct known_version *add_version(
        struct changes *changes, const struct uuid *workspace, struct str kind, struct str id, int64_t version)
{
	struct known_version *known = arena_alloc(changes->arena, sizeof(*known));

	*known = (struct known_version){.next = changes->versions,
	        .workspace = *workspace,
	        .kind = arena_str(changes->arena, kind),
	        .id = arena_str(changes->arena, id),
	        .version = version};
	changes->versions = known;
	return known;
}

void changes_know_version(
        struct changes *changes, const struct uuid *workspace, struct str kind, struct str id, int64_t version)
{
	add_version(changes, workspace, kind, id, version);
}

static const struct known_workspace *find_workspace(const struct changes *changes, const struct uuid *id)
{
	const struct known_workspace *known = changes->workspaces;

	while (known && !uuid_eq(&known->id, id))
		known = known->next;
	return known;
}

void changes_know_workspace(struct changes *changes, const struct uuid *workspace, uint32_t partition)
{
	struct known_workspace *known = arena_alloc(changes->arena, sizeof(*known));

	*known = (struct known_workspace){.next = changes->workspaces, .id = *workspace, .partition = partition};
	changes->workspaces = known;
}

uint32_t changes_partition(const struct changes *changes, const struct uuid *workspace)
{
	const struct known_workspace *known = find_workspace(changes, workspace);

	return known ? known->partition : 0;
}

static void refuse(struct change *change, enum err_code code, struct str why)
{
	change->refused = code;
	change->why = why;
}

/* A workspace that this batch makes is known to the commands behind it. */
static void learn_workspace(struct changes *changes, const struct change *change)
{
	struct err ignored;
	int64_t partition = 0;

	if (!str_is(change->key.kind, CONFIG_WORKSPACE) || find_workspace(changes, &change->command->workspace))
		return;
	const struct json *doc = json_parse(changes->arena, change->command->body, &ignored);
	json_to_i64(json_member(doc, "partition"), &partition);
	changes_know_workspace(changes, &change->command->workspace, (uint32_t)partition);
}

static bool has_home(const struct changes *changes, const struct change *change)
{
	return str_is(change->key.kind, CONFIG_WORKSPACE) || str_is(change->key.kind, CONFIG_USER) ||
	       find_workspace(changes, &change->command->workspace);
}

static void decide_put(struct changes *changes, struct change *change)
{
	const struct uuid *workspace = &change->command->workspace;
	struct known_version *known = find_version(changes, workspace, change->key.kind, change->key.id);
	int64_t present = known ? known->version : CONFIG_NEW;

	if (change->key.version != CONFIG_ANY_VERSION && change->key.version != present) {
		refuse(change, ERR_CONFLICT,
		        STR("the configuration was changed by somebody else meanwhile: read it again and repeat"));
		return;
	}
	if (!known)
		known = add_version(changes, workspace, change->key.kind, change->key.id, 0);
	change->created_us = known->writer ? known->writer->created_us : change->command->time_us;
	if (known->writer)
		known->writer->last = false;
	known->version++;
	known->writer = change;
	change->version = known->version;
	change->last = true;
	learn_workspace(changes, change);
}

int64_t changes_decide(struct changes *changes, int64_t seq)
{
	for (size_t i = 0; i < changes->n; i++) {
		struct change *change = &changes->items[i];
		if (!has_home(changes, change))
			refuse(change, ERR_NOT_FOUND, STR("the workspace does not exist"));
		else if (change->command->type == COMMAND_CONFIG_PUT)
			decide_put(changes, change);
		if (change->refused == ERR_NONE)
			change->seq = ++seq;
	}
	return seq;
}
