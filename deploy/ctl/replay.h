#ifndef DEPLOY_CTL_REPLAY_H
#define DEPLOY_CTL_REPLAY_H

#include "deploy/ctl/ctl.h"

/*
 * Rebuilding the tables from the log beside the live ones (cmd_replay.c tells the steps). Three schemas take part:
 * LIVE, NEW (LIVE_replay, being built) and OLD (LIVE_old, what was live before the swap). SQL names them {live}, {new}
 * and {old}; all else travels in parameters.
 */
#define REPLAY_MAX_PARTITIONS 1024

/* The workers whose tables are functions of the command topics alone. */
enum replay_worker { REPLAY_CONFIGURATION, REPLAY_CUSTOMERS, REPLAY_EVENTS, REPLAY_WORKERS };
struct replay_worker_row {
	const char *name;
	enum topic topic;
	int lanes; /* processes that share its partitions */
};
#define REPLAY_MAX_LANES 2
extern const struct replay_worker_row replay_workers[REPLAY_WORKERS];
#define REPLAY_ALL ((1u << REPLAY_WORKERS) - 1)

/* A vector of offsets: the next record of each partition of each worker. */
struct replay_vector {
	int64_t next[REPLAY_WORKERS][REPLAY_MAX_PARTITIONS];
};

struct replay {
	struct ctl *ctl;
	PGconn *main;
	PGconn *snapshot;             /* sees the live tables at one moment */
	const char *live, *new, *old; /* names */
	char *live_q, *new_q, *old_q; /* quoted */
	char directory[4096];         /* of the workers' programs */
	bool force;                   /* swap although tables differ */
	bool differs;                 /* entities of the live tables are not what the log says */
	bool quiet;                   /* the snapshot was taken when no fact was on its way */
	bool derived_differs;         /* profiles or counters were not what their entities say */
};

/* Opens a connection that PostgreSQL ends when this process hangs inside a transaction for long. */
PGconn *replay_connect(const struct settings *settings, struct err *err) must_check;
/* Runs SQL with {live}, {new}, {old} filled in; without parameters it may hold several statements. The caller frees
   the result; NULL on failure. */
PGresult *replay_ask(struct replay *replay, PGconn *connection, struct err *err, const char *sql, int n,
        const char *const *values) must_check;
bool replay_do(struct replay *replay, PGconn *connection, struct err *err, const char *sql) must_check;
/* One number. */
bool replay_number(
        struct replay *replay, PGconn *connection, struct err *err, const char *sql, int64_t *ret_value) must_check;

/* The offsets that a schema's tables stand at; schema is "{live}" or "{new}". */
bool replay_read_vector(struct replay *replay, PGconn *connection, const char *schema, struct replay_vector *ret_vector,
        struct err *err) must_check;
/* Records between two vectors, of the workers in the mask. */
int64_t replay_distance(const struct replay_vector *from, const struct replay_vector *to, unsigned workers);

/*
 * Lets the workers read up to the target and waits until they have. deadline_ms 0 = none. A worker that dies is started
 * again a few times. words: in front of the progress bar; NULL = show nothing.
 */
bool replay_run(struct replay *replay, const struct replay_vector *target, unsigned workers, int64_t deadline_ms,
        const char *words, struct err *err) must_check;

/* False when the log does not reach from the offsets that the new tables stand at to the live ones. */
bool replay_check_log(struct replay *replay, struct err *err) must_check;

/*
 * A node that is emptied loses its rows in steps, at moments that no offset names: until they are gone the live tables
 * are not what the log says. The first is false with ERR_UNAVAILABLE until then, the second waits, for ten minutes.
 * Nothing of that where what differs is taken all the same (--force): whoever removes them may be what is broken.
 */
bool replay_check_emptied(struct replay *replay, PGconn *connection, struct err *err) must_check;
bool replay_wait_until_emptied(struct replay *replay, struct err *err) must_check;
/* Opens the snapshot, after that, in a quiet moment if there is one within seconds (replay->quiet tells). */
bool replay_open_snapshot(struct replay *replay, struct err *err) must_check;

/* Makes profiles and counters of the new tables' own entities. */
bool replay_derive(struct replay *replay, struct err *err) must_check;
/* Makes the counters of a schema, "{live}" or "{new}", from its entities. */
bool replay_recount(struct replay *replay, const char *schema, struct err *err) must_check;

/* Runs a worker on the new tables until its background work is done; it reads no record. */
bool replay_run_to_end(struct replay *replay, const char *worker, struct err *err) must_check;

/*
 * Compares what the snapshot sees of the live tables with the new tables, which stand at the same offsets. Prints a
 * line per table and some of the rows that differ (after that the snapshot is over); *ret_equal tells. What is derived
 * is judged in quiet moments alone.
 */
enum replay_part { REPLAY_ENTITIES, REPLAY_DERIVED };
bool replay_compare(struct replay *replay, enum replay_part part, bool *ret_equal, struct err *err) must_check;

/* Customers of aggregate nodes are not in the command log: they are carried over, the bulk of them before the swap. */
bool replay_carry_profiles(struct replay *replay, struct err *err) must_check;

/*
 * The new tables get what this build brings, and those that are not rebuilt are carried over as they are: false with
 * ERR_CONFLICT when the live tables are of another version.
 */
bool replay_check_migrations(struct replay *replay, struct err *err) must_check;

/*
 * The swap, one transaction: holds the live workers, brings the new tables to their offsets, carries over what is not
 * rebuilt, renames, and makes every worker that still knows the old tables fail its compare-and-set.
 * *ret_late: the new tables did not get there in time; everything is as before, and it may be tried again.
 */
bool replay_swap(struct replay *replay, bool *ret_late, struct err *err) must_check;

#endif
