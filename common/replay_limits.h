#ifndef COMMON_REPLAY_LIMITS_H
#define COMMON_REPLAY_LIMITS_H

#include "common/err.h"
#include "common/str.h"

/*
 * Up to where a worker reads each partition when it rebuilds tables: "PARTITION:OFFSET,...", the first offset that is
 * not read any more. Partitions that are not named are not read at all.
 */

/* Fills limits[partition] for all `n` partitions (0 = nothing to read). False with a sentence on anything else. */
bool replay_limits_parse(struct str text, int64_t *limits, size_t n, struct err *err) must_check;

#endif
