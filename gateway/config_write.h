#ifndef GATEWAY_CONFIG_WRITE_H
#define GATEWAY_CONFIG_WRITE_H

#include "common/config_doc.h"
#include "gateway/request.h"

/*
 * Writes of configuration documents, for the handlers: a command to the configuration worker in the workspace's
 * partition. The answer is the document as stored; this gateway's snapshot has it by then.
 */
struct config_write {
	struct command command; /* from config_write_init; a handler may take its id for what it makes */
	uint32_t partition;
	struct config_key key; /* version: what the document must be now, or 409 */
	const struct json *doc;
};

/* The command and partition of a write into the request's workspace. */
void config_write_init(struct request *request, struct config_write *write, const char *kind, struct str id);

/*
 * Every gateway keeps all documents in memory and reads a workspace's again when one of them changes. What would make
 * them more than so many bytes is refused with 413; where there are more already, a document may be written that is no
 * larger than before.
 */
#define CONFIG_MAX_WORKSPACE_BYTES ((size_t)4 * 1024 * 1024)

/* Sends it. entity: what the document is about, for the operator's eyes. */
void config_write_send(
        struct request *request, struct config_write *write, const struct uuid *entity, request_reply_fn *on_reply);

/* The whole of a write that makes a document of the workspace, or puts `doc` in the place of the one that this gateway
   knows. entity NULL: the workspace. */
void config_write_document(struct request *request, const char *kind, struct str id, const struct json *doc,
        const struct uuid *entity, request_reply_fn *on_reply);
/* The same, for documents of the workspace of which nothing stays: in the place of whatever is there. */
void config_replace_document(
        struct request *request, const char *kind, struct str id, const struct json *doc, request_reply_fn *on_reply);

/* The stored document of a reply; NULL when the reply is a refusal, which has then been passed on. */
struct json *config_reply_document(struct request *request, const struct reply *reply);

/* The same members with the same values in the answer: for documents that are shown as they are stored. */
void config_answer_document(struct request *request, const struct reply *reply);

/* 200 with an object of one member, whose value is taken over. */
void config_answer_member(struct request *request, struct str name, struct json *value);

/* True when the query parameter is "true". */
bool config_flag(struct request *request, const char *name);

/* One page of a list: those elements that are wanted (NULL = all) are counted, those of the page are made. */
typedef bool config_wanted_fn(struct request *request, size_t index);
typedef struct json *config_element_fn(struct request *request, size_t index);
void config_answer_list(struct request *request, size_t n, config_wanted_fn *wanted, config_element_fn *element);

#endif
