#ifndef COMMON_CRASHED_H
#define COMMON_CRASHED_H

#include "common/db.h"

/*
 * Records that kill their worker. A process that dies by its own signal (SEGV, ABRT, BUS, FPE, ILL; never by somebody's
 * kill) becomes, with exec out of the signal handler, a fresh image of itself that writes into crashed_records which
 * records it was working on, and ends. The next process takes the records of such a range one by one, and one that
 * killed its process CRASHED_TRIES times is set aside as a dead letter. Private to the worker runtime.
 */
#define CRASHED_TRIES 3
#define CRASHED_MAX_RANGES 64 /* of one batch; more are not written down */

struct crashed_range {
	int32_t partition;
	int64_t first, end;
	int64_t tries;
};

/* Installs the handlers. Sanitized builds keep the sanitizer's own for SEGV, BUS, FPE and ILL. */
void crashed_watch(void);

/* What the process is working on from now on; n = 0: nothing that could be written down. Copied. */
void crashed_working_on(const struct crashed_range *ranges, size_t n);

/* True when this image was made by the handler: its arguments are for crashed_write. */
bool crashed_is_one(int argc, char **argv);
/* Writes the ranges of the arguments down. */
bool crashed_write(
        struct db *db, const char *worker, const char *topic, int argc, char **argv, struct err *err) must_check;

/* Ranges that reach above next_offset of a partition, at most `most`; returns their number, or -1 with err. */
int crashed_load(struct db *db, struct arena *arena, const char *worker, const char *topic, int32_t partition,
        int64_t next_offset, struct crashed_range *ret_ranges, int most, struct err *err) must_check;

extern const struct statement crashed_statements[];
extern const size_t crashed_statement_count;

#endif
