#include "gateway/config.h"

#include "common/arena.h"
#include "common/config_doc.h"
#include "common/db.h"
#include "common/log.h"
#include "gateway/config_entry.h"
#include "gateway/key_map.h"

#include <stdlib.h>

/* A document as it came from the table. */
struct document {
	struct document *next;
	int64_t version, created_us;
	struct str kind, id, text; /* in one block behind this */
};

/* All documents of one workspace (or, nil, all users), and what was compiled from them. */
struct store {
	struct uuid id;
	struct document *documents;
	size_t n_documents;
	size_t text_bytes;
	int64_t created_us;               /* of the workspace */
	struct config_workspace *current; /* NULL until its own document is there */
	bool dirty;
	struct store *next_dirty;
};

struct config {
	int64_t seq;
	struct key_map *stores;    /* by workspace id */
	struct key_map *tokens;    /* by SHA-256: struct token_owner of the current entry */
	struct store **workspaces; /* in order of creation */
	size_t n_workspaces, capacity;
	struct store *dirty;
	struct store users; /* documents of the nil workspace */
	struct user_table *user_table;
	struct arena *arena;
	struct schema_set *default_schemas;
};

/* Schemas of workspaces that declare nothing of their own: 48 event types, 9 contexts, one customer. */
#define DEFAULT_SCHEMA_BYTES ((size_t)256 * 1024 * 1024)

struct config *config_new(void)
{
	struct config *config = calloc(1, sizeof(*config));

	if (!config)
		log_die("memory", "out of memory");
	config->stores = key_map_new(sizeof(struct uuid));
	config->tokens = key_map_new(32);
	config->arena = arena_new(DEFAULT_SCHEMA_BYTES);
	config->default_schemas = schema_set_new(config->arena, NULL);
	return config;
}

static void free_documents(struct store *store)
{
	while (store->documents) {
		struct document *document = store->documents;
		store->documents = document->next;
		free(document);
	}
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->n_workspaces; i++) {
		config_workspace_unref(config->workspaces[i]->current);
		free_documents(config->workspaces[i]);
		free(config->workspaces[i]);
	}
	free(config->workspaces);
	free_documents(&config->users);
	user_table_free(config->user_table);
	key_map_free(config->stores);
	key_map_free(config->tokens);
	arena_free(config->arena);
	free(config);
}

/* --- documents ------------------------------------------------------------------------------------------------------
 */

static struct document **find_document(struct store *store, struct str kind, struct str id)
{
	struct document **at = &store->documents;

	while (*at && !(str_eq((*at)->kind, kind) && str_eq((*at)->id, id)))
		at = &(*at)->next;
	return at;
}

static struct str append(char **end, struct str text)
{
	struct str copy = {*end, text.n};

	memcpy(*end, text.p, text.n);
	*end += text.n;
	return copy;
}

static struct document *new_document(struct str kind, struct str id, struct str text)
{
	struct document *document = calloc(1, sizeof(*document) + kind.n + id.n + text.n);

	if (!document)
		log_die("memory", "out of memory");
	char *end = (char *)(document + 1);
	document->kind = append(&end, kind);
	document->id = append(&end, id);
	document->text = append(&end, text);
	return document;
}

static void put_document(struct store *store, const PGresult *rows, int row)
{
	struct str kind = db_text(rows, row, 1), id = db_text(rows, row, 2), text = db_text(rows, row, 7);
	struct document **at = find_document(store, kind, id), *old = *at, *document = new_document(kind, id, text);

	document->version = db_i64(rows, row, 3);
	document->created_us = db_i64(rows, row, 5);
	document->next = old ? old->next : NULL;
	*at = document;
	store->text_bytes += text.n;
	if (old)
		store->text_bytes -= old->text.n;
	else
		store->n_documents++;
	free(old);
}

/* --- workspaces -----------------------------------------------------------------------------------------------------
 */

static struct store *find_store(struct config *config, const struct uuid *id)
{
	struct store *store = key_map_get(config->stores, id);

	if (store)
		return store;
	store = calloc(1, sizeof(*store));
	if (!store)
		log_die("memory", "out of memory");
	store->id = *id;
	key_map_put(config->stores, id, store);
	if (config->n_workspaces == config->capacity) {
		config->capacity = config->capacity ? config->capacity * 2 : 16;
		config->workspaces = realloc(config->workspaces, config->capacity * sizeof(struct store *));
		if (!config->workspaces)
			log_die("memory", "out of memory");
	}
	config->workspaces[config->n_workspaces++] = store;
	return store;
}

/* Moves a new workspace to its place among the others; those without a document of their own stand at the front. */
static void place_workspace(struct config *config, struct store *store)
{
	size_t i = config->n_workspaces;

	while (config->workspaces[--i] != store)
		;
	for (; i + 1 < config->n_workspaces && config->workspaces[i + 1]->created_us < store->created_us; i++)
		config->workspaces[i] = config->workspaces[i + 1];
	for (; i > 0 && config->workspaces[i - 1]->created_us > store->created_us; i--)
		config->workspaces[i] = config->workspaces[i - 1];
	config->workspaces[i] = store;
}

static void apply_row(struct config *config, const PGresult *rows, int row)
{
	struct uuid id = db_uuid(rows, row, 0);
	struct store *store = uuid_is_nil(&id) ? &config->users : find_store(config, &id);

	put_document(store, rows, row);
	if (store != &config->users && str_is(db_text(rows, row, 1), CONFIG_WORKSPACE) && !store->created_us) {
		store->created_us = db_i64(rows, row, 5);
		place_workspace(config, store);
	}
	if (!store->dirty) {
		store->dirty = true;
		store->next_dirty = config->dirty;
		config->dirty = store;
	}
}

static struct entry_source *sources_of(struct store *store, struct arena *arena)
{
	struct entry_source *sources = arena_alloc(arena, store->n_documents * sizeof(*sources));
	size_t n = 0;

	for (struct document *document = store->documents; document; document = document->next)
		sources[n++] = (struct entry_source){.kind = document->kind,
		        .id = document->id,
		        .text = document->text,
		        .version = document->version,
		        .created_us = document->created_us};
	return sources;
}

static void forget_tokens(struct config *config, const struct config_workspace *workspace)
{
	size_t n;
	const struct token_owner *owners = entry_tokens(workspace, &n);

	for (size_t i = 0; i < n; i++)
		if (key_map_get(config->tokens, owners[i].sha256) == &owners[i])
			key_map_remove(config->tokens, owners[i].sha256);
}

static void learn_tokens(struct config *config, const struct config_workspace *workspace)
{
	size_t n;
	const struct token_owner *owners = entry_tokens(workspace, &n);

	for (size_t i = 0; i < n; i++)
		key_map_put(config->tokens, owners[i].sha256, (void *)&owners[i]);
}

static bool rebuild_workspace(struct config *config, struct store *store, struct arena *scratch, struct err *err)
{
	struct config_workspace *next;

	if (!entry_new(&store->id, sources_of(store, scratch), store->n_documents, config->default_schemas, &next, err))
		return false;
	if (store->current) {
		forget_tokens(config, store->current);
		config_workspace_unref(store->current);
	}
	store->current = next;
	if (next)
		learn_tokens(config, next);
	return true;
}

static bool rebuild_users(struct config *config, struct arena *scratch, struct err *err)
{
	struct user_table *next = user_table_new(
	        sources_of(&config->users, scratch), config->users.n_documents, config->users.text_bytes, err);

	if (!next)
		return false;
	user_table_free(config->user_table);
	config->user_table = next;
	return true;
}

/* Needs 72 bytes per document. */
#define SCRATCH_BYTES ((size_t)64 * 1024 * 1024)

static bool rebuild(struct config *config, struct err *err)
{
	struct arena *scratch = arena_new(SCRATCH_BYTES);
	bool good = true;

	while (good && config->dirty) {
		struct store *store = config->dirty;
		good = store == &config->users ? rebuild_users(config, scratch, err)
		                               : rebuild_workspace(config, store, scratch, err);
		arena_reset(scratch);
		if (!good)
			break;
		config->dirty = store->next_dirty;
		store->dirty = false;
	}
	arena_free(scratch);
	return good;
}

bool config_apply(struct config *config, const PGresult *rows, struct err *err)
{
	int n = PQntuples(rows);

	for (int row = 0; row < n; row++)
		apply_row(config, rows, row);
	if (!rebuild(config, err))
		return false;
	if (n && db_i64(rows, n - 1, 4) > config->seq)
		config->seq = db_i64(rows, n - 1, 4);
	return true;
}

int64_t config_seq(const struct config *config)
{
	return config->seq;
}

/* --- finding --------------------------------------------------------------------------------------------------------
 */

struct config_workspace *config_workspace_find(struct config *config, const struct uuid *id)
{
	struct store *store = key_map_get(config->stores, id);

	return store ? store->current : NULL;
}

size_t config_workspace_count(const struct config *config)
{
	return config->n_workspaces;
}

struct config_workspace *config_workspace_at(struct config *config, size_t index)
{
	return config->workspaces[index]->current;
}

const struct config_user *config_user_find(const struct config *config, int64_t id)
{
	return user_table_find(config->user_table, id);
}

const struct config_source *config_source_by_token(
        struct config *config, const uint8_t sha256[32], struct config_workspace **ret_workspace)
{
	const struct token_owner *owner = key_map_get(config->tokens, sha256);

	if (!owner)
		return NULL;
	*ret_workspace = owner->workspace;
	return owner->source;
}
