#ifndef AGGREGATE_SYNC_WORK_H
#define AGGREGATE_SYNC_WORK_H

#include "common/customer_row.h"
#include "common/rows.h"
#include "workers/aggregate_sync/profile.h"
#include "workers/aggregate_sync/sync.h"

/* What facts and builds share: memberships, and the making of profiles. Private to aggregate-sync. */

/* Members that a profile is made of at most: the first ones by id. A matching property that thousands share joins
 * nobody in earnest. */
#define MAX_MEMBERS 1000
/* The same in bytes of their documents, as they are read: the member that reaches it is the last one. What 1,000
 * members of a thousand values each take in memory, several times the text, is more than a worker may have. */
#define MOST_MEMBER_BYTES (8UL * 1024 * 1024)

/* Memory of the documents, as they are read, that are held at once: of customers that facts name, and as much again of
 * other members, of profiles as they are, and as they are made. Only the members of one profile may be more. */
#define MOST_READ_BYTES (24UL * 1024 * 1024)

/* A customer that has been read: it may be a member of several profiles. */
struct known {
	struct uuid workspace;
	size_t bytes; /* of its document, as it was read */
	struct customer customer;
};

/* A profile that is to be made anew. */
struct target {
	const struct profile_node *node;
	struct uuid id;
	struct customer *members;
	size_t n_members;
	size_t member_bytes; /* of their documents */
	bool moved;          /* customers joined or left: their events do, too, even if nothing else shows it */
	bool was_excluded;   /* what the members' rows say */
	bool mixed;          /* some say so */
	bool stored;
	struct customer present;
};

struct work {
	struct batch *batch;
	struct arena *arena; /* the batch's */
	struct arena *slice; /* documents that are needed no longer than a slice of the work */
	struct db *db;
	struct profile_node *nodes;
	size_t n_nodes;
	struct known *known; /* by workspace and id: those of the facts, as many as may be held */
	size_t n_known;
	struct target *targets; /* by id, each once, when they are made */
	size_t n_targets, room_for_targets;
	struct rows joins, exclusions, creates, updates, deletes;
};

void work_init(struct work *work, struct batch *batch);
void work_free(struct work *work);

/* Active aggregate nodes of the workspaces; only: that one, NULL = all of them. */
bool work_load_nodes(
        struct work *work, struct db_array *workspaces, const struct uuid *only, struct err *err) must_check;

/* Whether a profile is hidden is not known before it is made: until then it is, where there are filters. */
bool work_hides_at_first(const struct profile_node *node);
void work_join(
        struct work *work, const struct profile_node *node, const struct uuid *customer, const struct uuid *profile);

/* What profile_merge wants to know of a member: MEMBER_COLUMNS of a row, `first` the first of them. */
#define MEMBER_COLUMNS CUSTOMER_ROW_COLUMNS ", c.consent_times::text"
bool work_read_member(struct arena *arena, const PGresult *rows, int row, int first, struct customer *ret_member,
        struct err *err) must_check;

/* One that is added already may come again. */
void work_add_target(struct work *work, const struct profile_node *node, const struct uuid *id, bool moved);

/* Makes the targets from the members and the profiles that the tables hold. */
bool work_make(struct work *work, struct err *err) must_check;
/* The same with the members that the targets have already; targets whose profiles are too much for one slice are
   dropped from the end. */
bool work_make_of_members(struct work *work, struct err *err) must_check;

#endif
