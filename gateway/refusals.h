#ifndef GATEWAY_REFUSALS_H
#define GATEWAY_REFUSALS_H

#include <stdint.h>

/*
 * When answers of requests that are put off leave. They leave at once while the event loop has time for it. Clients
 * that come back at once, or floods that are larger than what can be read, would take the time that requests in work
 * need: then refusals leave one by one with a gap between them, that grows until the loop has idle time again. Nobody
 * waits longer than REFUSAL_MAX_US; the connections that wait are bounded by CONTACTHUB_MAX_CONNECTIONS.
 */
#define REFUSAL_MAX_US 1000000

struct refusals {
	int64_t gap_us;
	int64_t last_us;
	int64_t idle_us, looked_us; /* of the loop, since it was looked at */
};

/* The gap after a time in which the loop had so much idle time. */
int64_t refusals_gap(int64_t gap_us, int64_t idle_us, int64_t passed_us);
/* When the next refusal leaves: not after now_us = at once. */
int64_t refusals_next(struct refusals *refusals, int64_t now_us);
/* At least ten times a second. */
void refusals_tick(struct refusals *refusals, int64_t now_us);

#endif
