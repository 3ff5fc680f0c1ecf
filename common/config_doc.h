#ifndef COMMON_CONFIG_DOC_H
#define COMMON_CONFIG_DOC_H

#include "common/err.h"
#include "common/uuid.h"

struct arena;
struct json;

/*
 * Configuration documents as the gateway, the configuration worker and the operator's tool agree on them. A document is
 * named by workspace (nil for users), kind and id:
 *
 *   kind             id                                     document
 *   workspace        ""                                     id, name, slug, groupPk, shard, status, partition
 *   node             UUID                                   as answered by the API, with nodeType; the state of an
 *                                                           aggregate node is NEW, ACTIVE or REMOVED
 *   source           UUID                                   as answered by the API, with tokenSha256 instead of token
 *   user             number                                 id, name, surname, email, lang, mc, roles, allWorkspaces,
 *                                                           workspaces [{id, nodes [{id, permission}]}];
 *                                                           enabled, when it was changed
 *   base-properties  ""                                     disabled [names]
 *   extended         "customer", "event:<type>", "product"  map of property definitions
 *   event-type       event type                             enabled
 *   throttling       ""                                     maxRequestsPerMinute
 *   payload-size     ""                                     map of event type to {maxBytes}
 */
#define CONFIG_WORKSPACE "workspace"
#define CONFIG_NODE "node"
#define CONFIG_SOURCE "source"
#define CONFIG_USER "user"
#define CONFIG_BASE_PROPERTIES "base-properties"
#define CONFIG_EXTENDED "extended"
#define CONFIG_EVENT_TYPE "event-type"
#define CONFIG_THROTTLING "throttling"
#define CONFIG_PAYLOAD_SIZE "payload-size"

/* Versions of a document that a write may follow. */
#define CONFIG_ANY_VERSION (-1)
#define CONFIG_NEW 0

/* Name of a document in the text of a CONFIG_PUT: "kind/id" or "kind/id#version". With a version the write is refused
   (409) unless it is the present one, so that two people who change one document at once do not undo each other. */
struct config_key {
	struct str kind;
	struct str id;
	int64_t version; /* present version of the document, CONFIG_NEW or CONFIG_ANY_VERSION */
};

struct str config_key_write(struct arena *arena, const struct config_key *key);
/* Views into text. ERR_INVALID for a kind that does not exist or a text of another form. */
bool config_key_parse(struct str text, struct config_key *ret_key, struct err *err) must_check;

/* The partition of a new workspace: kept in its document for ever, because order lives in it. */
uint32_t config_partition_of(const struct uuid *workspace, uint32_t n_partitions);

/* A provider of sources, from the API document; `creatable` says whether the API still makes such sources. */
struct source_provider {
	const char *id, *label, *description;
	bool trusted;
	bool creatable;
};
#define SOURCE_PROVIDER_COUNT 11
extern const struct source_provider source_providers[SOURCE_PROVIDER_COUNT];
const struct source_provider *source_provider_find(struct str id);

/* The secret of a source: 32 random bytes, shown once as hex. Kept and sent is only the hash of the hex text. */
#define SOURCE_TOKEN_HEX 64
struct source_token {
	char text[SOURCE_TOKEN_HEX + 1];
	char sha256[SOURCE_TOKEN_HEX + 1];
};
void source_token_make(struct source_token *token);
/* Hash of a token that a client sent, as bytes. */
void source_token_hash(struct str text, uint8_t sha256[32]);

/* A shard is a database that holds workspaces. There is one. */
#define CONFIG_DEFAULT_SHARD "default"
bool config_shard_exists(struct str name);

/* A new workspace's document, enabled. */
struct json *config_workspace_document(struct arena *arena, const struct uuid *id, struct str name, struct str slug,
        int64_t group, struct str shard, uint32_t partition);

/* Compact JSON text in the arena. */
struct str config_doc_text(struct arena *arena, const struct json *value);
/* About as many bytes as PostgreSQL writes of the same value: numbers without exponent. */
size_t config_doc_stored_bytes(const struct json *value);
/* The id as text in the arena. */
struct str config_id_text(struct arena *arena, const struct uuid *id);

#endif
