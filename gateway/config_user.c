#include "common/arena.h"
#include "common/config_doc.h"
#include "gateway/config_entry.h"
#include "gateway/route.h"

#include <stdlib.h>

#define BYTES_PER_TEXT_BYTE (JSON_BYTES_PER_TEXT_BYTE + 8)

/* All users, sorted by number; made anew when one of them changes. */
struct user_table {
	struct arena *arena;
	struct config_user *users;
	size_t n;
};

static const struct {
	const char *name;
	unsigned bit;
} roles[] = {
        {.name = "CLAB_OPERATOR", .bit = ROLE_CLAB_OPERATOR},
        {.name = "ADMIN", .bit = ROLE_ADMIN},
        {.name = "USER", .bit = ROLE_USER},
        {.name = "GUEST", .bit = ROLE_GUEST},
        {.name = "DPO", .bit = ROLE_DPO},
        {.name = "PLATFORM_UPDATES", .bit = ROLE_PLATFORM_UPDATES},
        {.name = "TRUSTED_APPLICATION", .bit = ROLE_TRUSTED},
        {.name = "UNTRUSTED_APPLICATION", .bit = ROLE_UNTRUSTED},
};

static unsigned role_bit(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(roles); i++)
		if (str_is(name, roles[i].name))
			return roles[i].bit;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const struct config_user *left = a, *right = b;

	return (left->id > right->id) - (left->id < right->id);
}

/* Roles of sources are not for people, whatever a document says. */
static unsigned read_roles(const struct json *list)
{
	unsigned bits = 0;

	if (list)
		for
			json_each(item, list) bits |= role_bit(json_text(item));
	return bits & ~(unsigned)(ROLE_TRUSTED | ROLE_UNTRUSTED);
}

static bool read_user(struct user_table *table, const struct entry_source *source, struct err *err)
{
	struct config_user *user = &table->users[table->n];
	uint64_t number;

	if (!str_is(source->kind, CONFIG_USER) || !str_to_u64(source->id, INT64_MAX, &number))
		return true;
	const struct json *doc = json_parse(table->arena, arena_str(table->arena, source->text), err);
	if (!doc)
		return err_wrap(err, "user %.*s", STR_ARG(source->id));
	if (json_is(json_member(doc, "enabled"), JSON_FALSE))
		return true; /* as if there were no such user */
	*user = (struct config_user){.id = (int64_t)number,
	        .roles = read_roles(json_member(doc, "roles")),
	        .all_workspaces = json_is_true(json_member(doc, "allWorkspaces")),
	        .doc = doc};
	table->n++;
	return true;
}

struct user_table *user_table_new(const struct entry_source *sources, size_t n, size_t text_bytes, struct err *err)
{
	struct user_table *table = calloc(1, sizeof(*table));

	if (!table) {
		err_set(err, ERR_INTERNAL, "out of memory");
		return NULL;
	}
	table->arena = arena_new((n + 1) * 256 + BYTES_PER_TEXT_BYTE * (text_bytes + 1024));
	table->users = arena_alloc(table->arena, (n + 1) * sizeof(*table->users));
	for (size_t i = 0; i < n; i++) {
		if (read_user(table, &sources[i], err))
			continue;
		user_table_free(table);
		return NULL;
	}
	qsort(table->users, table->n, sizeof(*table->users), by_number);
	return table;
}

void user_table_free(struct user_table *table)
{
	if (!table)
		return;
	arena_free(table->arena);
	free(table);
}

const struct config_user *user_table_find(const struct user_table *table, int64_t id)
{
	struct config_user key = {.id = id};

	return table ? bsearch(&key, table->users, table->n, sizeof(*table->users), by_number) : NULL;
}

static const struct json *find_by_id(const struct json *list, const struct uuid *id)
{
	struct uuid other;

	if (list)
		for
			json_each(item, list) if (uuid_parse(json_text(json_member(item, "id")), &other) &&
			                          uuid_eq(&other, id)) return item;
	return NULL;
}

bool config_user_in_workspace(const struct config_user *user, const struct config_workspace *workspace)
{
	return user->all_workspaces || find_by_id(json_member(user->doc, "workspaces"), config_workspace_id(workspace));
}

enum node_permission config_user_permission(
        const struct config_user *user, const struct config_workspace *workspace, const struct uuid *node)
{
	if (user->all_workspaces || user->roles & (ROLE_ADMIN | ROLE_CLAB_OPERATOR))
		return PERMISSION_READ_WRITE;
	const struct json *home = find_by_id(json_member(user->doc, "workspaces"), config_workspace_id(workspace));
	const struct json *access = find_by_id(json_member(home, "nodes"), node);
	struct str permission = json_text(json_member(access, "permission"));
	if (!access)
		return PERMISSION_NONE;
	return str_is(permission, "RW")  ? PERMISSION_READ_WRITE
	       : str_is(permission, "W") ? PERMISSION_WRITE
	                                 : PERMISSION_READ;
}
