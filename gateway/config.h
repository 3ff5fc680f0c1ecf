#ifndef GATEWAY_CONFIG_H
#define GATEWAY_CONFIG_H

#include "common/err.h"
#include "common/json.h"
#include "common/schema.h"
#include "common/uuid.h"

#include <libpq-fe.h>

/*
 * All configuration in memory, compiled: nothing asks PostgreSQL for it while a request is served. The snapshot is fed
 * with rows of the configuration table in the order of seq (config_apply); one workspace's change replaces that
 * workspace's entry. Requests hold the entry that they began with (config_workspace_ref/unref).
 *
 * The kinds of documents are listed in common/config_doc.h. A workspace without a document of some kind has its
 * default: all 48 event types and all base properties enabled, no extended properties, no throttling, 65,535 bytes for
 * an event.
 */
struct config;
struct config_workspace;

#define CONFIG_DEFAULT_EVENT_BYTES 65535

enum workspace_status { WORKSPACE_ENABLED, WORKSPACE_SUSPENDED, WORKSPACE_DISABLED };
enum node_permission { PERMISSION_NONE, PERMISSION_READ = 1, PERMISSION_WRITE = 2, PERMISSION_READ_WRITE = 3 };

struct config_node {
	struct uuid id;
	struct str name;
	bool aggregate;
	bool case_sensitive;      /* of the matching policy */
	const struct str *unique; /* dotted paths of the matching policy */
	size_t n_unique;
	const struct str *mandatory; /* dotted paths */
	size_t n_mandatory;
	const struct uuid *entry_nodes; /* of an aggregate node, in the order of their precedence */
	size_t n_entry_nodes;
	const struct json *doc;
};

struct config_source {
	struct uuid id;
	bool trusted;
	bool enabled;
	const struct json *doc;
	struct str allowed_ips; /* absent = from everywhere */
	const struct uuid *nodes;
	size_t n_nodes;
};

struct config_user {
	int64_t id;
	unsigned roles; /* enum role_bit */
	bool all_workspaces;
	const struct json *doc;
};

struct config *config_new(void);
void config_free(struct config *config);

/* Applies rows (workspace_id, kind, id, version, seq, created_us, updated_us, doc::text; binary) in order. */
bool config_apply(struct config *config, const PGresult *rows, struct err *err) must_check;
/* Everything up to here has been applied. */
int64_t config_seq(const struct config *config);

/* NULL when unknown. */
struct config_workspace *config_workspace_find(struct config *config, const struct uuid *id);
struct config_workspace *config_workspace_ref(struct config_workspace *workspace);
void config_workspace_unref(struct config_workspace *workspace);

/* For lists: workspaces in order of creation; NULL where one is not complete yet. */
size_t config_workspace_count(const struct config *config);
struct config_workspace *config_workspace_at(struct config *config, size_t index);

/* Valid until the next config_apply: whoever keeps it makes a copy. */
const struct config_user *config_user_find(const struct config *config, int64_t id);
/* Nodes that a user may touch in a workspace. Users of all workspaces, ADMIN and CLAB_OPERATOR: READ_WRITE. */
bool config_user_in_workspace(const struct config_user *user, const struct config_workspace *workspace);
enum node_permission config_user_permission(
        const struct config_user *user, const struct config_workspace *workspace, const struct uuid *node);

/* The source whose token has this SHA-256, with its workspace; NULL when there is none. */
const struct config_source *config_source_by_token(
        struct config *config, const uint8_t sha256[32], struct config_workspace **ret_workspace);

/* One workspace. */
const struct uuid *config_workspace_id(const struct config_workspace *workspace);
enum workspace_status config_workspace_status(const struct config_workspace *workspace);
uint32_t config_workspace_partition(const struct config_workspace *workspace); /* of its commands */
const struct json *config_workspace_doc(const struct config_workspace *workspace);
int64_t config_max_requests_per_minute(const struct config_workspace *workspace); /* 0 = no throttling */
int64_t config_max_event_bytes(const struct config_workspace *workspace, struct str event_type);

const struct config_node *config_node_find(const struct config_workspace *workspace, const struct uuid *id);
size_t config_node_count(const struct config_workspace *workspace);
const struct config_node *config_node_at(const struct config_workspace *workspace, size_t index); /* by creation */
bool config_has_aggregates(const struct config_workspace *workspace);
const struct config_source *config_source_find(const struct config_workspace *workspace, const struct uuid *id);
size_t config_source_count(const struct config_workspace *workspace);
const struct config_source *config_source_at(const struct config_workspace *workspace, size_t index);
bool config_source_on_node(const struct config_source *source, const struct uuid *node);

bool config_event_type_enabled(const struct config_workspace *workspace, struct str event_type);
/* Map of declared extended properties ("customer", "event:<type>", "product"); NULL when none was declared. */
const struct json *config_extended(const struct config_workspace *workspace, struct str set);

/* Compiled schemas with the workspace's own properties, made at first use and kept. Never NULL for known names. */
const struct schema *config_customer_schema(struct config_workspace *workspace);
const struct schema *config_event_schema(struct config_workspace *workspace, struct str event_type);
const struct schema *config_context_schema(struct config_workspace *workspace, struct str context);

/* The document of a kind and id as stored, or NULL; its version, or 0. */
const struct json *config_document(const struct config_workspace *workspace, const char *kind, struct str id);
int64_t config_document_version(const struct config_workspace *workspace, const char *kind, struct str id);

/* Bytes of the stored documents: of all of a workspace, and of one (0 when it is not there). */
size_t config_workspace_bytes(const struct config_workspace *workspace);
size_t config_document_bytes(const struct config_workspace *workspace, const char *kind, struct str id);

/* Names of base properties that are off, NULL = none. */
const struct json *config_disabled_base_properties(const struct config_workspace *workspace);

/* The JSON schemas that the API answers with, the workspace's own properties in their places. resolve: every $ref is
   replaced by what it names. */
struct json *config_served_customer_schema(struct arena *arena, const struct config_workspace *workspace, bool resolve);
/* Of a context of events: nothing of it belongs to a workspace. */
struct json *config_served_context_schema(struct arena *arena, struct str context, bool resolve);
struct json *config_served_event_schema(
        struct arena *arena, const struct config_workspace *workspace, struct str event_type, bool resolve);

#endif
