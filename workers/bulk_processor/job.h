#ifndef BULK_PROCESSOR_JOB_H
#define BULK_PROCESSOR_JOB_H

#include "common/db.h"
#include "workers/bulk_processor/bulk_processor.h"
#include "workers/bulk_processor/row.h"

/* A job in work, as this process knows it. Tables are the truth: a job that is forgotten is loaded again. */
struct flight {
	int64_t line, at;
	bool done;   /* its outcome is known (or it never left) */
	bool resend; /* may stand in the log twice: its result stays */
};

struct job {
	struct uuid workspace, id, node, source;
	int64_t user;
	enum bulk_status status;
	enum bulk_operation operation;
	enum bulk_entity entity;
	const struct event_type *event_type;
	int64_t bytes;
	int64_t epoch;
	bool stopping;
	bool loaded;
	struct str failure; /* nothing more is read, and the job fails when all rows have come back; absent = none */

	/* As stored: rows read, and the first row whose outcome is not known. */
	int64_t total, next_byte, done_line, done_byte;

	/* What rows are judged by; made anew when the configuration changes. */
	struct arena *arena;
	struct row_rules rules;
	struct arena *header_arena;
	struct str header;
	int64_t configuration_seq; /* the head's when it was last looked at */
	int64_t workspace_seq;     /* the highest of the workspace's documents */

	/* The file from byte `at` on, as far as it is in memory: the bytes from `used` to `n_buffer`; those before are
	   kept until job_fill, for rows point into them. at is where the row behind `line` begins. */
	char *buffer;
	size_t used, n_buffer;
	int64_t at, line;
	bool at_end;      /* of what is in memory */
	bool ended;       /* all rows have been read */
	bool *done_lines; /* of a job that was begun before: which lines from first_done_line to total have an outcome
	                   */
	int64_t first_done_line;
	int64_t forgotten_chunks; /* removed already, but for the first one */

	/* Rows from the oldest one whose outcome is not known on, in a ring. */
	struct flight *flights;
	size_t first_flight, n_flights, max_flights;
	size_t n_open; /* of them not done */

	struct job *next;
};

struct job *job_new(const struct uuid *workspace, const struct uuid *id);
void job_free(struct job *job);

/* Takes the job up: its row, configuration and header. An unreadable header is no error: job->failure says so. */
bool job_load(
        struct job *job, struct batch *batch, const struct processor_options *options, struct err *err) must_check;
/* Compiles the configuration again when it has changed; head_seq is the present one. */
bool job_refresh(struct job *job, struct batch *batch, int64_t head_seq, struct err *err) must_check;
/* Nothing more is read. Only the first failure counts. */
void job_fail(struct job *job, const char *words);
/* Sees to it that a whole row is in memory, or that the file's end is. What rows point to is gone. */
bool job_fill(struct job *job, struct batch *batch, struct err *err) must_check;

struct flight *job_flight(struct job *job, size_t index);
/* NULL when the line is not in the ring. */
struct flight *job_find_flight(struct job *job, int64_t line);
void job_add_flight(struct job *job, const struct flight *flight);
void job_land(struct job *job, struct flight *flight);
/* Takes those off the front that are done. */
void job_clear_flights(struct job *job);

/* Parameters workspace and job, to be added to. */
struct db_params job_params(const struct job *job, struct arena *arena);

#endif
