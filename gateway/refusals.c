#include "gateway/refusals.h"

/* Idle less than 1/8 of the time: refusals take too much of it. */
#define IDLE_PART 8
#define GAP_FIRST_US 20
#define GAP_MAX_US 2000
/* So much may leave at once after a pause. */
#define BURST_US 10000

int64_t refusals_gap(int64_t gap_us, int64_t idle_us, int64_t passed_us)
{
	if (idle_us * IDLE_PART >= passed_us)
		return gap_us <= GAP_FIRST_US ? 0 : gap_us - gap_us / 4;
	gap_us = gap_us ? gap_us + gap_us / 2 : GAP_FIRST_US;
	return gap_us > GAP_MAX_US ? GAP_MAX_US : gap_us;
}

int64_t refusals_next(struct refusals *refusals, int64_t now_us)
{
	refusals->last_us += refusals->gap_us;
	if (refusals->last_us < now_us - BURST_US)
		refusals->last_us = now_us - BURST_US;
	if (refusals->last_us > now_us + REFUSAL_MAX_US)
		refusals->last_us = now_us + REFUSAL_MAX_US;
	return refusals->last_us;
}

void refusals_tick(struct refusals *refusals, int64_t now_us)
{
	refusals->gap_us = refusals_gap(refusals->gap_us, refusals->idle_us, now_us - refusals->looked_us);
	refusals->idle_us = 0;
	refusals->looked_us = now_us;
}
