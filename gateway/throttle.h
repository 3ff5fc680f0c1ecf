#ifndef GATEWAY_THROTTLE_H
#define GATEWAY_THROTTLE_H

#include "common/uuid.h"

/* Token bucket per workspace: a minute's worth of requests may come at once, then they come back evenly. */

/* The bucket as one time: when it would be full again. 0 = full. */
struct token_bucket {
	int64_t full_at_us;
};

/* Takes one token. False when there is none; *ret_retry_after_s then says in how many whole seconds there will be one.
   per_minute 0 = no limit. */
bool token_bucket_take(struct token_bucket *bucket, int64_t per_minute, int64_t now_us, unsigned *ret_retry_after_s);

#endif
