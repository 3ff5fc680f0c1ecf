#ifndef DEPLOY_CTL_CTL_H
#define DEPLOY_CTL_CTL_H

#include "common/command.h"
#include "common/config_doc.h"
#include "common/db.h"
#include "common/kafka.h"
#include "common/settings.h"
#include "deploy/ctl/arguments.h"

struct json;

/*
 * What the commands share. Configuration is only written by commands through Kafka, like everybody's; the tool reads
 * the tables. Connections are made when they are first asked for.
 */
struct ctl {
	struct settings settings;
	struct arguments arguments;
	struct arena *arena; /* as long as the process */
	struct db *db;
	struct kafka_producer *producer;
	bool delivered; /* of the record in flight */
	rd_kafka_resp_err_t delivery_error;
};

typedef bool ctl_fn(struct ctl *ctl, struct err *err);
ctl_fn ctl_migrate, ctl_topics, ctl_settings;
ctl_fn ctl_workspace_create, ctl_workspace_list;
ctl_fn ctl_user_create, ctl_user_list, ctl_user_disable, ctl_user_enable;
ctl_fn ctl_token_create;
ctl_fn ctl_source_create;
ctl_fn ctl_recount;
ctl_fn ctl_bulk_stop;
ctl_fn ctl_replay;
ctl_fn ctl_dead_letters_list, ctl_dead_letters_show, ctl_dead_letters_rerun, ctl_dead_letters_drop;

/* A query by the name of its row in ctl.c's statements. NULL on failure. */
PGresult *ctl_query(struct ctl *ctl, const char *statement, const struct db_params *params, struct err *err) must_check;

/* The partition of a workspace that exists; ERR_NOT_FOUND otherwise. */
bool ctl_workspace_partition(
        struct ctl *ctl, const struct uuid *workspace, uint32_t *ret_partition, struct err *err) must_check;

/* The id of --workspace, which must exist, and a node of it, which must, too. */
bool ctl_workspace_read(struct ctl *ctl, struct str text, struct uuid *ret_workspace, struct err *err) must_check;
bool ctl_node_check(struct ctl *ctl, const struct uuid *workspace, struct str node, struct err *err) must_check;

/* A user's document and its version; ERR_NOT_FOUND when there is no such user. */
struct json *ctl_user_read(struct ctl *ctl, int64_t number, int64_t *ret_version, struct err *err) must_check;

/* Partitions of a topic; false when Kafka does not tell. */
bool ctl_partition_count(struct ctl *ctl, enum topic topic, uint32_t *ret_n, struct err *err) must_check;

/* Sends a record and waits until every replica has it. */
bool ctl_send(struct ctl *ctl, enum topic topic, uint32_t partition, const struct uuid *key, struct str record,
        struct err *err) must_check;

/* Writes a document and waits for the worker's answer. ERR_CONFLICT when its version is not the one in key. */
bool ctl_put(struct ctl *ctl, const struct uuid *workspace, uint32_t partition, const struct config_key *key,
        const struct json *doc, struct err *err) must_check;

#endif
