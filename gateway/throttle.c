#include "gateway/throttle.h"

#define MINUTE_US (60 * INT64_C(1000000))

bool token_bucket_take(struct token_bucket *bucket, int64_t per_minute, int64_t now_us, unsigned *ret_retry_after_s)
{
	if (per_minute <= 0)
		return true;
	int64_t token_us = MINUTE_US / per_minute;
	int64_t full_at_us = (bucket->full_at_us > now_us ? bucket->full_at_us : now_us) + token_us;
	int64_t too_late_us = full_at_us - now_us - MINUTE_US;
	if (too_late_us > 0) {
		*ret_retry_after_s = (unsigned)((too_late_us + 999999) / 1000000);
		return false;
	}
	bucket->full_at_us = full_at_us;
	return true;
}
