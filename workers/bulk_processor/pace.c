#include "workers/bulk_processor/pace.h"

void pace_delivered(struct pace *pace, struct pace_log *log, int32_t partition, int64_t offset, int64_t now_us)
{
	if (partition < 0 || partition >= PACE_PARTITIONS || offset < 0)
		return;
	if (log->next[partition] && offset > log->next[partition] && now_us - log->at_us[partition] < PACE_SHARED_US)
		pace->shared_us = now_us;
	if (offset >= log->next[partition])
		log->next[partition] = offset + 1;
	log->at_us[partition] = now_us;
}

bool pace_is_shared(const struct pace *pace, int64_t now_us)
{
	return pace->shared_us && now_us - pace->shared_us < PACE_SHARED_US;
}
