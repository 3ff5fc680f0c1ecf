#ifndef BULK_PROCESSOR_H
#define BULK_PROCESSOR_H

#include "common/worker.h"

/*
 * Bulk jobs. Records of the topic bulk-jobs bring files in pieces and make jobs (intake.c). The background step
 * (step.c) runs them: it takes outcomes of rows from command_results, reads more rows of the file, and notes both in
 * one transaction; what it then has to publish leaves after COMMIT. One job of a node runs at a time, the oldest
 * first, with a bounded number of rows on their way.
 *
 * Once: a row's command id follows from job and line, and is an Idempotency-Key. What may be on its way when a process
 * begins is published again, so such rows may stand in the log twice; their results are kept, like those of other keys,
 * or the second one would be applied once the first one's result is taken away. All others stand there once.
 */
extern const struct worker_definition bulk_processor;

#define BULK_PROCESSOR_STATEMENTS 25
extern const struct statement bulk_processor_statements[BULK_PROCESSOR_STATEMENTS];

bool intake_handle(struct batch *batch, struct err *err) must_check;

/* --- for the definition, and for tests that run it without Kafka --- */

struct processor;

struct processor_options {
	int64_t window; /* rows of all jobs on their way, at most */
	bool hash_passwords;
	uint32_t event_partitions;
	/* Jobs of which workspaces are this process's; NULL = all. */
	bool (*owns)(const void *context, const struct uuid *workspace);
	const void *context;
};

struct processor *processor_new(const struct processor_options *options);
void processor_free(struct processor *processor);
/* Fewer rows, or as many again. Those that are on their way stay. */
void processor_set_window(struct processor *processor, int64_t rows);

/* One background step. */
bool processor_step(struct processor *processor, struct batch *batch, bool *ret_more, struct err *err) must_check;
/* A transaction was rolled back: what is remembered of jobs is read again. */
void processor_forget(struct processor *processor);

/* What the last step has to publish, in this order: all that is `first` must have arrived before the rest is sent.
   Valid until the next step. */
struct outgoing {
	enum topic topic;
	uint32_t partition;
	bool first;
	struct command command;
};
const struct outgoing *processor_outgoing(const struct processor *processor, size_t *ret_n);
/* It has left, and is not told again. */
void processor_published(struct processor *processor);
/* Rows are on their way, and there is nothing to do before they come back. */
bool processor_is_waiting(const struct processor *processor);

#endif
