#ifndef BULK_PROCESSOR_PACE_H
#define BULK_PROCESSOR_PACE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Whether others write into the partitions that rows go to: then few rows may be on their way, for a live write waits
 * behind them; else many, so that workers have full batches. Offsets of delivered records tell: where one's own do not
 * follow each other, somebody else's lie between. What was written in a long pause, between two jobs say, tells nothing
 * about now. Pure.
 */
#define PACE_PARTITIONS 1024
/* Others are taken to be still there so long after their last record. */
#define PACE_SHARED_US (2 * 1000000LL)

/* One topic's partitions: the offset behind our last record there, 0 = none yet, and when it was delivered. */
struct pace_log {
	int64_t next[PACE_PARTITIONS];
	int64_t at_us[PACE_PARTITIONS];
};

struct pace {
	int64_t shared_us; /* when another's record was last found; 0 = never */
};

/* A record of ours stands at this offset now. */
void pace_delivered(struct pace *pace, struct pace_log *log, int32_t partition, int64_t offset, int64_t now_us);
bool pace_is_shared(const struct pace *pace, int64_t now_us);

#endif
