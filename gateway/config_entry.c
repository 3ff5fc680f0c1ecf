#include "gateway/config_entry.h"

#include "common/arena.h"
#include "common/catalog.h"
#include "common/config_doc.h"

#include <sodium.h>
#include <stdlib.h>

/* Memory per byte of JSON text with what is made of it, and room for the compiled schemas. */
#define BYTES_PER_TEXT_BYTE (JSON_BYTES_PER_TEXT_BYTE + 8)
#define SCHEMA_BYTES ((size_t)256 * 1024 * 1024)

struct compiled_document {
	struct str kind, id;
	int64_t version, created_us;
	size_t bytes; /* of its text */
	const struct json *doc;
};

struct config_workspace {
	unsigned references;
	struct arena *arena;
	struct uuid id;
	enum workspace_status status;
	uint32_t partition;
	int64_t max_requests_per_minute;
	const struct json *doc;
	struct compiled_document *documents; /* in order of creation */
	size_t n_documents;
	struct config_node *nodes;
	size_t n_nodes;
	struct config_source *sources;
	size_t n_sources;
	struct token_owner *tokens;
	size_t n_tokens;
	bool event_disabled[EVENT_TYPE_COUNT];
	int64_t event_bytes[EVENT_TYPE_COUNT];
	const struct json *disabled_base;
	struct schema_set *schemas; /* own ones */
	struct schema_set *default_schemas;
};

struct config_workspace *config_workspace_ref(struct config_workspace *workspace)
{
	workspace->references++;
	return workspace;
}

void config_workspace_unref(struct config_workspace *workspace)
{
	if (!workspace || --workspace->references)
		return;
	arena_free(workspace->arena);
	free(workspace);
}

/* --- compiling ------------------------------------------------------------------------------------------------------
 */

static int by_creation(const void *a, const void *b)
{
	const struct compiled_document *left = a, *right = b;

	if (left->created_us != right->created_us)
		return left->created_us < right->created_us ? -1 : 1;
	return str_compare(left->id, right->id);
}

static bool parse_documents(
        struct config_workspace *workspace, const struct entry_source *sources, size_t n, struct err *err)
{
	workspace->documents = arena_alloc(workspace->arena, n * sizeof(*workspace->documents));
	workspace->n_documents = n;
	for (size_t i = 0; i < n; i++) {
		struct compiled_document *compiled = &workspace->documents[i];
		*compiled = (struct compiled_document){.kind = arena_str(workspace->arena, sources[i].kind),
		        .id = arena_str(workspace->arena, sources[i].id),
		        .version = sources[i].version,
		        .created_us = sources[i].created_us,
		        .bytes = sources[i].text.n,
		        .doc = json_parse(workspace->arena, arena_str(workspace->arena, sources[i].text), err)};
		if (!compiled->doc)
			return err_wrap(err, "document %.*s/%.*s", STR_ARG(compiled->kind), STR_ARG(compiled->id));
	}
	qsort(workspace->documents, n, sizeof(*workspace->documents), by_creation);
	return true;
}

static const struct str *read_paths(struct arena *arena, const struct json *list, size_t *ret_n)
{
	struct str *paths = arena_alloc(arena, (list ? list->count : 0) * sizeof(*paths) + 1);
	size_t n = 0;

	if (list)
		for
			json_each(item, list) paths[n++] = json_text(item);
	*ret_n = n;
	return paths;
}

static const struct uuid *read_ids(struct arena *arena, const struct json *list, size_t *ret_n)
{
	struct uuid *ids = arena_alloc(arena, (list ? list->count : 0) * sizeof(*ids) + 1);
	size_t n = 0;

	if (list)
		for
			json_each(item, list) if (uuid_parse(json_text(item), &ids[n])) n++;
	*ret_n = n;
	return ids;
}

static void read_node(struct config_workspace *workspace, const struct json *doc)
{
	struct config_node *node = &workspace->nodes[workspace->n_nodes++];
	const struct json *policy = json_member(doc, "uniqueCustomer");

	*node = (struct config_node){.doc = doc,
	        .name = json_text(json_member(doc, "name")),
	        .aggregate = str_is(json_text(json_member(doc, "nodeType")), "AGGREGATE"),
	        .case_sensitive = json_is_true(json_member(policy, "caseSensitive"))};
	if (!uuid_parse(json_text(json_member(doc, "id")), &node->id))
		node->id = (struct uuid){{0}};
	node->unique = read_paths(workspace->arena, json_member(policy, "properties"), &node->n_unique);
	node->mandatory = read_paths(workspace->arena, json_member(doc, "mandatoryProperties"), &node->n_mandatory);
	node->entry_nodes = read_ids(workspace->arena, json_member(doc, "entryNodes"), &node->n_entry_nodes);
}

static void read_token(struct config_workspace *workspace, const struct config_source *source)
{
	struct token_owner *owner = &workspace->tokens[workspace->n_tokens];
	struct str hex = json_text(json_member(source->doc, "tokenSha256"));
	size_t n;

	*owner = (struct token_owner){.workspace = workspace, .source = source};
	if (hex.n == 2 * sizeof(owner->sha256) &&
	        !sodium_hex2bin(owner->sha256, sizeof(owner->sha256), hex.p, hex.n, NULL, &n, NULL))
		workspace->n_tokens++;
}

static void read_source(struct config_workspace *workspace, const struct json *doc)
{
	struct config_source *source = &workspace->sources[workspace->n_sources++];
	const struct source_provider *provider = source_provider_find(json_text(json_member(doc, "provider")));
	struct str ips = json_text(json_path(doc, STR("properties.allowedIPs")));

	*source = (struct config_source){.doc = doc,
	        .trusted = provider && provider->trusted,
	        .enabled = json_is_true(json_member(doc, "enabled")),
	        .allowed_ips = ips.n ? ips : STR_NONE};
	if (!uuid_parse(json_text(json_member(doc, "id")), &source->id))
		source->id = (struct uuid){{0}};
	source->nodes = read_ids(workspace->arena, json_member(doc, "nodes"), &source->n_nodes);
	read_token(workspace, source);
}

static void read_event_type(struct config_workspace *workspace, struct str id, const struct json *doc)
{
	const struct event_type *type = event_type_find(id);

	if (type)
		workspace->event_disabled[type - event_types] = json_is(json_member(doc, "enabled"), JSON_FALSE);
}

static void read_payload_size(struct config_workspace *workspace, const struct json *doc)
{
	for
		json_each(member, doc)
		{
			const struct event_type *type = event_type_find(member->key);
			int64_t max_bytes;
			if (type && json_to_i64(json_member(member, "maxBytes"), &max_bytes))
				workspace->event_bytes[type - event_types] = max_bytes;
		}
}

static void read_workspace(struct config_workspace *workspace, const struct json *doc)
{
	struct str status = json_text(json_member(doc, "status"));
	int64_t partition = 0;

	workspace->doc = doc;
	workspace->status = str_is(status, "ENABLED")     ? WORKSPACE_ENABLED
	                    : str_is(status, "SUSPENDED") ? WORKSPACE_SUSPENDED
	                                                  : WORKSPACE_DISABLED;
	json_to_i64(json_member(doc, "partition"), &partition);
	workspace->partition = (uint32_t)partition;
}

/* An aggregate node that was dropped: nobody finds it any more. */
static bool is_removed(const struct json *doc)
{
	return str_is(json_text(json_member(doc, "state")), "REMOVED");
}

static void read_document(struct config_workspace *workspace, const struct compiled_document *document)
{
	const struct json *doc = document->doc, *list = json_member(doc, "disabled");

	if (str_is(document->kind, CONFIG_WORKSPACE))
		read_workspace(workspace, doc);
	else if (str_is(document->kind, CONFIG_NODE) && !is_removed(doc))
		read_node(workspace, doc);
	else if (str_is(document->kind, CONFIG_SOURCE))
		read_source(workspace, doc);
	else if (str_is(document->kind, CONFIG_EVENT_TYPE))
		read_event_type(workspace, document->id, doc);
	else if (str_is(document->kind, CONFIG_PAYLOAD_SIZE))
		read_payload_size(workspace, doc);
	else if (str_is(document->kind, CONFIG_THROTTLING))
		json_to_i64(json_member(doc, "maxRequestsPerMinute"), &workspace->max_requests_per_minute);
	else if (str_is(document->kind, CONFIG_BASE_PROPERTIES))
		workspace->disabled_base = list && list->count ? list : NULL;
}

static const struct json *extended_of(const void *workspace, struct str set)
{
	return config_extended(workspace, set);
}

static void compile(struct config_workspace *workspace)
{
	size_t n = workspace->n_documents;

	workspace->nodes = arena_alloc(workspace->arena, n * sizeof(*workspace->nodes));
	workspace->sources = arena_alloc(workspace->arena, n * sizeof(*workspace->sources));
	workspace->tokens = arena_alloc(workspace->arena, n * sizeof(*workspace->tokens));
	for (size_t i = 0; i < EVENT_TYPE_COUNT; i++)
		workspace->event_bytes[i] = CONFIG_DEFAULT_EVENT_BYTES;
	for (size_t i = 0; i < n; i++)
		read_document(workspace, &workspace->documents[i]);
	workspace->schemas = schema_set_new(workspace->arena,
	        &(struct schema_declarations){
	                .extended = extended_of, .context = workspace, .disabled_base = workspace->disabled_base});
}

static size_t arena_bytes(const struct entry_source *sources, size_t n)
{
	size_t bytes = SCHEMA_BYTES;

	for (size_t i = 0; i < n; i++)
		bytes += 4096 + BYTES_PER_TEXT_BYTE * sources[i].text.n;
	return bytes;
}

bool entry_new(const struct uuid *id, const struct entry_source *sources, size_t n, struct schema_set *default_schemas,
        struct config_workspace **ret_entry, struct err *err)
{
	struct config_workspace *workspace = calloc(1, sizeof(*workspace));

	if (!workspace)
		return err_set(err, ERR_INTERNAL, "out of memory");
	workspace->references = 1;
	workspace->arena = arena_new(arena_bytes(sources, n));
	workspace->id = *id;
	workspace->default_schemas = default_schemas;
	if (!parse_documents(workspace, sources, n, err)) {
		config_workspace_unref(workspace);
		return false;
	}
	compile(workspace);
	if (!workspace->doc) {
		config_workspace_unref(workspace);
		workspace = NULL;
	}
	*ret_entry = workspace;
	return true;
}

/* --- asking ---------------------------------------------------------------------------------------------------------
 */

const struct token_owner *entry_tokens(const struct config_workspace *workspace, size_t *ret_n)
{
	*ret_n = workspace->n_tokens;
	return workspace->tokens;
}

const struct uuid *config_workspace_id(const struct config_workspace *workspace)
{
	return &workspace->id;
}

enum workspace_status config_workspace_status(const struct config_workspace *workspace)
{
	return workspace->status;
}

uint32_t config_workspace_partition(const struct config_workspace *workspace)
{
	return workspace->partition;
}

const struct json *config_workspace_doc(const struct config_workspace *workspace)
{
	return workspace->doc;
}

int64_t config_max_requests_per_minute(const struct config_workspace *workspace)
{
	return workspace->max_requests_per_minute;
}

int64_t config_max_event_bytes(const struct config_workspace *workspace, struct str event_type)
{
	const struct event_type *type = event_type_find(event_type);

	return type ? workspace->event_bytes[type - event_types] : CONFIG_DEFAULT_EVENT_BYTES;
}

const struct config_node *config_node_find(const struct config_workspace *workspace, const struct uuid *id)
{
	for (size_t i = 0; i < workspace->n_nodes; i++)
		if (uuid_eq(&workspace->nodes[i].id, id))
			return &workspace->nodes[i];
	return NULL;
}

size_t config_node_count(const struct config_workspace *workspace)
{
	return workspace->n_nodes;
}

const struct config_node *config_node_at(const struct config_workspace *workspace, size_t index)
{
	return &workspace->nodes[index];
}

bool config_has_aggregates(const struct config_workspace *workspace)
{
	for (size_t i = 0; i < workspace->n_nodes; i++)
		if (workspace->nodes[i].aggregate)
			return true;
	return false;
}

const struct config_source *config_source_find(const struct config_workspace *workspace, const struct uuid *id)
{
	for (size_t i = 0; i < workspace->n_sources; i++)
		if (uuid_eq(&workspace->sources[i].id, id))
			return &workspace->sources[i];
	return NULL;
}

size_t config_source_count(const struct config_workspace *workspace)
{
	return workspace->n_sources;
}

const struct config_source *config_source_at(const struct config_workspace *workspace, size_t index)
{
	return &workspace->sources[index];
}

bool config_source_on_node(const struct config_source *source, const struct uuid *node)
{
	for (size_t i = 0; i < source->n_nodes; i++)
		if (uuid_eq(&source->nodes[i], node))
			return true;
	return false;
}

bool config_event_type_enabled(const struct config_workspace *workspace, struct str event_type)
{
	const struct event_type *type = event_type_find(event_type);

	return type && !workspace->event_disabled[type - event_types];
}

const struct json *config_disabled_base_properties(const struct config_workspace *workspace)
{
	return workspace->disabled_base;
}

static const struct compiled_document *find_document(
        const struct config_workspace *workspace, const char *kind, struct str id)
{
	for (size_t i = 0; i < workspace->n_documents; i++)
		if (str_is(workspace->documents[i].kind, kind) && str_eq(workspace->documents[i].id, id))
			return &workspace->documents[i];
	return NULL;
}

const struct json *config_document(const struct config_workspace *workspace, const char *kind, struct str id)
{
	const struct compiled_document *document = find_document(workspace, kind, id);

	return document ? document->doc : NULL;
}

int64_t config_document_version(const struct config_workspace *workspace, const char *kind, struct str id)
{
	const struct compiled_document *document = find_document(workspace, kind, id);

	return document ? document->version : CONFIG_NEW;
}

size_t config_document_bytes(const struct config_workspace *workspace, const char *kind, struct str id)
{
	const struct compiled_document *document = find_document(workspace, kind, id);

	return document ? document->bytes : 0;
}

size_t config_workspace_bytes(const struct config_workspace *workspace)
{
	size_t bytes = 0;

	for (size_t i = 0; i < workspace->n_documents; i++)
		bytes += workspace->documents[i].bytes;
	return bytes;
}

const struct json *config_extended(const struct config_workspace *workspace, struct str set)
{
	return config_document(workspace, CONFIG_EXTENDED, set);
}

const struct schema *config_customer_schema(struct config_workspace *workspace)
{
	bool own = workspace->disabled_base || config_extended(workspace, STR("customer"));

	return schema_set_customer(own ? workspace->schemas : workspace->default_schemas);
}

static bool declares_for_event(const struct config_workspace *workspace, struct str event_type)
{
	char set[64];
	int n = snprintf(set, sizeof(set), "event:%.*s", STR_ARG(event_type));

	return config_extended(workspace, STR("product")) || config_extended(workspace, (struct str){set, (size_t)n});
}

const struct schema *config_event_schema(struct config_workspace *workspace, struct str event_type)
{
	const struct event_type *type = event_type_find(event_type);

	if (!type)
		return NULL;
	return schema_set_event(
	        declares_for_event(workspace, event_type) ? workspace->schemas : workspace->default_schemas,
	        type - event_types);
}

const struct schema *config_context_schema(struct config_workspace *workspace, struct str context)
{
	const struct event_context *known = event_context_find(context);

	return known ? schema_set_context(workspace->default_schemas, (size_t)(known - event_contexts)) : NULL;
}
