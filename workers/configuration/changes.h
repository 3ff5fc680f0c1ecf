#ifndef WORKERS_CONFIGURATION_CHANGES_H
#define WORKERS_CONFIGURATION_CHANGES_H

#include "common/command.h"
#include "common/config_doc.h"
#include "common/kafka.h"

struct arena;

/*
 * The decisions of one batch, without I/O: which writes are accepted, in the order of the log, and what each document
 * looks like afterwards. Every accepted command takes one seq.
 */
struct change {
	struct command *command;
	struct config_key key; /* kind absent for CONFIG_EMPTY */
	/* decided: */
	enum err_code refused; /* ERR_NONE = accepted */
	struct str why;        /* of the refusal */
	int64_t seq;
	int64_t version;
	int64_t created_us; /* of the document, if it is new: of its first command in this batch */
	bool last;          /* no later accepted write of the batch replaces this document */
	bool has_rule;
	enum topic rule_topic;
};

struct changes {
	struct arena *arena;
	struct change *items;
	size_t n;
	/* facts from the tables */
	struct known_version *versions;
	struct known_workspace *workspaces;
};

void changes_init(struct changes *changes, struct arena *arena, size_t most);
/* ERR_INVALID when the command is none of configuration. */
bool changes_add(struct changes *changes, struct command *command, struct err *err) must_check;

/* Facts, loaded under the lock of the head row: present versions (a document without one is new) and partitions. */
void changes_know_version(
        struct changes *changes, const struct uuid *workspace, struct str kind, struct str id, int64_t version);
void changes_know_workspace(struct changes *changes, const struct uuid *workspace, uint32_t partition);

/* Decides everything; returns the seq after the batch. */
int64_t changes_decide(struct changes *changes, int64_t seq);

/* The partition of the commands of a workspace. Known for every accepted change of a node. */
uint32_t changes_partition(const struct changes *changes, const struct uuid *workspace);

#endif
