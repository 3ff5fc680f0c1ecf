#include "common/arena.h"
#include "common/json.h"
#include "deploy/ctl/ctl.h"

#define NUMBER_TRIES 10

static const struct uuid nobody; /* users belong to no workspace */

static const char *const roles[] = {"CLAB_OPERATOR", "ADMIN", "USER", "GUEST", "DPO", "PLATFORM_UPDATES"};
static const char *const permissions[] = {"R", "RW", "W"};

static bool is_one_of(struct str word, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_is(word, words[i]))
			return true;
	return false;
}

static bool add_roles(struct ctl *ctl, struct json *doc, struct err *err)
{
	struct json *list = json_add(doc, STR("roles"), json_new(ctl->arena, JSON_ARRAY));
	struct str rest, role;

	if (!arguments_required(&ctl->arguments, "roles", &rest, err))
		return false;
	while (str_split(&rest, ',', &role)) {
		if (!is_one_of(role, roles, ARRAY_LEN(roles)))
			return err_set(err, ERR_INVALID,
			        "\"%.*s\" is no role: CLAB_OPERATOR, ADMIN, USER, GUEST, DPO, PLATFORM_UPDATES",
			        STR_ARG(role));
		json_append(list, json_new_str(ctl->arena, role));
	}
	return true;
}

static struct json *add_named(struct ctl *ctl, struct json *list, const char *id)
{
	struct json *item = json_append(list, json_new(ctl->arena, JSON_OBJECT));

	json_add(item, STR("id"), json_new_str(ctl->arena, str_of(id)));
	return item;
}

/* One of --workspace ID [--node ID [--permission R|RW|W]]...: each refers to the one before it. */
static bool add_access(struct ctl *ctl, struct json *list, const struct argument *item, struct err *err)
{
	struct json *workspace = list->last;
	struct json *nodes = (struct json *)json_member(workspace, "nodes");
	struct uuid id;

	if (item->option && !strcmp(item->option, "workspace")) {
		if (!ctl_workspace_read(ctl, str_of(item->value), &id, err))
			return false;
		workspace = add_named(ctl, list, item->value);
		json_add(workspace, STR("nodes"), json_new(ctl->arena, JSON_ARRAY));
		return true;
	}
	if (item->option && !strcmp(item->option, "node")) {
		if (!nodes || !uuid_parse(json_text(json_member(workspace, "id")), &id))
			return err_set(err, ERR_INVALID, "--node must stand behind its --workspace");
		if (!ctl_node_check(ctl, &id, str_of(item->value), err))
			return false;
		json_add(add_named(ctl, nodes, item->value), STR("permission"), json_new_str(ctl->arena, STR("R")));
		return true;
	}
	if (item->option && !strcmp(item->option, "permission")) {
		if (!nodes || !nodes->last || !is_one_of(str_of(item->value), permissions, ARRAY_LEN(permissions)))
			return err_set(err, ERR_INVALID, "--permission must be R, RW or W and stand behind its --node");
		json_set(nodes->last, STR("permission"), json_new_str(ctl->arena, str_of(item->value)));
		return true;
	}
	return err_set(err, ERR_INVALID, "\"%s\" is not understood", item->option ? item->option : item->value);
}

static struct json *make_user(struct ctl *ctl, struct err *err)
{
	struct json *doc = json_new(ctl->arena, JSON_OBJECT);
	static const struct str texts[] = {{"name", 4}, {"surname", 7}, {"email", 5}};
	struct argument *item;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct str value;
		if (!arguments_text(&ctl->arguments, texts[i].p, &value, err))
			return NULL;
		if (str_is(texts[i], "email") && !memchr(value.p, '@', value.n)) {
			err_set(err, ERR_INVALID, "--email must have an @");
			return NULL;
		}
		json_add(doc, texts[i], json_new_str(ctl->arena, value));
	}
	if (!add_roles(ctl, doc, err))
		return NULL;
	bool all = arguments_flag(&ctl->arguments, "all-workspaces");
	json_add(doc, STR("allWorkspaces"), json_new_bool(ctl->arena, all));
	json_add(doc, STR("lang"), json_new_str(ctl->arena, STR("en")));
	json_add(doc, STR("mc"), json_new_bool(ctl->arena, false));
	struct json *list = json_add(doc, STR("workspaces"), json_new(ctl->arena, JSON_ARRAY));
	while ((item = arguments_next(&ctl->arguments))) {
		item->taken = true;
		if (all && item->option && !strcmp(item->option, "workspace")) {
			err_set(err, ERR_INVALID, "--workspace or --all-workspaces, not both");
			return NULL;
		}
		if (!add_access(ctl, list, item, err))
			return NULL;
	}
	if (all || list->count)
		return doc;
	err_set(err, ERR_INVALID, "--workspace or --all-workspaces is missing: the user could do nothing");
	return NULL;
}

static bool last_user(struct ctl *ctl, int64_t *ret_number, struct err *err)
{
	PGresult *rows = ctl_query(ctl, "last_user", NULL, err);

	if (rows)
		*ret_number = db_i64(rows, 0, 0);
	PQclear(rows);
	return rows != NULL;
}

/* Two operators may take the same number at once: the second one is refused and takes the next. */
bool ctl_user_create(struct ctl *ctl, struct err *err)
{
	struct json *doc = make_user(ctl, err);

	for (int i = 0; doc && i < NUMBER_TRIES; i++) {
		int64_t number;
		if (!last_user(ctl, &number, err))
			return false;
		number++;
		struct config_key key = {.kind = STR(CONFIG_USER),
		        .id = str_of(arena_printf(ctl->arena, "%lld", (long long)number)),
		        .version = CONFIG_NEW};
		json_set(doc, STR("id"), json_new_i64(ctl->arena, number));
		if (ctl_put(ctl, &nobody, 0, &key, doc, err)) {
			printf("%lld\n", (long long)number);
			return true;
		}
		if (err->code != ERR_CONFLICT)
			return false;
	}
	return false;
}

bool ctl_user_list(struct ctl *ctl, struct err *err)
{
	PGresult *rows = arguments_done(&ctl->arguments, err) ? ctl_query(ctl, "users", NULL, err) : NULL;

	if (!rows)
		return false;
	for (int row = 0; row < PQntuples(rows); row++)
		printf("%.*s  %.*s %.*s <%.*s>  %.*s%.*s\n", STR_ARG(db_text(rows, row, 0)),
		        STR_ARG(db_text(rows, row, 1)), STR_ARG(db_text(rows, row, 2)), STR_ARG(db_text(rows, row, 3)),
		        STR_ARG(db_text(rows, row, 4)), STR_ARG(db_text(rows, row, 5)));
	PQclear(rows);
	return true;
}

struct json *ctl_user_read(struct ctl *ctl, int64_t number, int64_t *ret_version, struct err *err)
{
	struct json *doc = NULL;
	struct db_params params;

	db_params_init(&params, ctl->arena);
	db_param_text(&params, str_of(arena_printf(ctl->arena, "%lld", (long long)number)));
	PGresult *rows = ctl_query(ctl, "user", &params, err);
	if (rows && PQntuples(rows) == 1) {
		doc = json_parse(ctl->arena, arena_str(ctl->arena, db_text(rows, 0, 0)), err);
		*ret_version = db_i64(rows, 0, 1);
	} else if (rows) {
		err_set(err, ERR_NOT_FOUND, "there is no user %lld", (long long)number);
	}
	PQclear(rows);
	return doc;
}

/* Tokens of users are not kept anywhere: none can be taken back, but the user whom they name can. */
static bool set_enabled(struct ctl *ctl, bool enabled, struct err *err)
{
	int64_t number;
	struct config_key key = {.kind = STR(CONFIG_USER)};

	if (!arguments_number(&ctl->arguments, "user", 0, 1, INT64_MAX, &number, err) ||
	        !arguments_done(&ctl->arguments, err))
		return false;
	if (!number)
		return err_set(err, ERR_INVALID, "--user is missing");
	key.id = str_of(arena_printf(ctl->arena, "%lld", (long long)number));
	struct json *doc = ctl_user_read(ctl, number, &key.version, err);
	if (!doc)
		return false;
	json_set(doc, STR("enabled"), json_new_bool(ctl->arena, enabled));
	return ctl_put(ctl, &nobody, 0, &key, doc, err);
}

bool ctl_user_disable(struct ctl *ctl, struct err *err)
{
	return set_enabled(ctl, false, err);
}

bool ctl_user_enable(struct ctl *ctl, struct err *err)
{
	return set_enabled(ctl, true, err);
}
