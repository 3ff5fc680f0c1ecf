#ifndef GATEWAY_CONFIG_ENTRY_H
#define GATEWAY_CONFIG_ENTRY_H

#include "common/schema_set.h"
#include "gateway/config.h"

/* Compiled configuration: one workspace's entry, and the users. Private to config.c. */

struct entry_source {
	struct str kind, id, text;
	int64_t version, created_us;
};

/* Compiles all documents of a workspace; *ret_entry has one reference. It is NULL, without an error, when the
   workspace's own document is not there. Schemas of workspaces that declare nothing come from default_schemas. */
bool entry_new(const struct uuid *id, const struct entry_source *sources, size_t n, struct schema_set *default_schemas,
        struct config_workspace **ret_entry, struct err *err) must_check;

/* Whom a token belongs to; lives as long as the entry. */
struct token_owner {
	uint8_t sha256[32];
	struct config_workspace *workspace;
	const struct config_source *source;
};
const struct token_owner *entry_tokens(const struct config_workspace *workspace, size_t *ret_n);

struct user_table;
struct user_table *user_table_new(const struct entry_source *sources, size_t n, size_t text_bytes, struct err *err);
void user_table_free(struct user_table *table);
/* NULL when there is none, also in a NULL table. */
const struct config_user *user_table_find(const struct user_table *table, int64_t id);

#endif
