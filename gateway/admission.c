#include "gateway/admission.h"

#include "common/log.h"
#include "common/settings.h"
#include "gateway/tenants.h"

#include <stdlib.h>

/* Beyond the limit, for those who have few in work; in multiples of what counts as few. */
#define RESERVE 4
/* Late: more than twice the usual time, and by more than a turn of a busy loop. */
#define SLACK_US 1000
/* Requests come in bunches, after a pause of any process: the limit rests where a bunch has room. */
#define REST_LIMIT 256
/* Long beside a pause of a process or a slow commit, which make everything late for a moment. */
#define WINDOW_US 500000
/* Fewer finished requests say nothing; a window with some of them is closed after a while all the same. */
#define WINDOW_REQUESTS 16
#define WINDOW_MAX_US 2000000
#define TELL_EVERY_US (10 * INT64_C(1000000))

struct lane {
	size_t limit, in_work;
	struct admission_window window;
	int64_t window_us; /* its begin */
	size_t n_refused;  /* since the log was told */
};

struct admission {
	size_t least, most;
	struct lane lanes[ADMISSION_LANES];
	size_t in_work;
	int64_t told_us;
	int64_t usual_us[]; /* by operation */
};

/* --- pure --- */

static size_t between(size_t value, size_t least, size_t most)
{
	return value < least ? least : value > most ? most : value;
}

bool admission_fits(size_t limit, size_t least, size_t in_work, size_t own)
{
	if (own < least && in_work < limit + RESERVE * least)
		return true;
	return in_work + own < limit;
}

size_t admission_next_limit(size_t limit, const struct admission_window *window, size_t least, size_t most)
{
	if (window->n_late * 4 > window->n * 3)
		limit -= limit / 3 + 1;
	else if (window->full || limit < REST_LIMIT)
		limit += limit / 6 + 1;
	return between(limit, least, most);
}

int64_t admission_learn(int64_t usual_us, int64_t took_us)
{
	int64_t step_us = usual_us / 32 + 1;

	if (usual_us == 0)
		return took_us;
	return took_us > usual_us ? usual_us + step_us : took_us < usual_us ? usual_us - step_us : usual_us;
}

bool admission_is_late(int64_t usual_us, int64_t took_us)
{
	return usual_us > 0 && took_us > 2 * usual_us + SLACK_US;
}

/* --- state --- */

struct admission *admission_new(const struct settings *settings, size_t n_operations)
{
	struct admission *admission = calloc(1, sizeof(*admission) + n_operations * sizeof(admission->usual_us[0]));

	if (!admission)
		log_die("memory", "out of memory");
	admission->most = (size_t)settings->max_in_flight;
	admission->least = (size_t)settings->calm_in_flight;
	if (admission->least > admission->most)
		admission->least = admission->most;
	for (int i = 0; i < ADMISSION_LANES; i++)
		admission->lanes[i].limit = between(REST_LIMIT, admission->least, admission->most);
	return admission;
}

bool admission_has_room(struct admission *admission, const struct admission_ticket *ticket)
{
	if (!ticket->tenant)
		return true;
	struct lane *lane = &admission->lanes[ticket->lane];
	if (admission->in_work < admission->most &&
	        admission_fits(lane->limit, admission->least, lane->in_work, ticket->tenant->in_work[ticket->lane]))
		return true;
	lane->window.full = true;
	lane->n_refused++;
	return false;
}

bool admission_enter(struct admission *admission, struct admission_ticket *ticket, int64_t now_us)
{
	if (!admission_has_room(admission, ticket))
		return false;
	if (!ticket->tenant)
		return true;
	struct lane *lane = &admission->lanes[ticket->lane];
	ticket->calm = lane->in_work < admission->least;
	ticket->entered_us = now_us;
	ticket->tenant->in_work[ticket->lane]++;
	lane->in_work++;
	admission->in_work++;
	return true;
}

static void learn(struct admission *admission, const struct admission_ticket *ticket, int64_t took_us)
{
	struct admission_window *window = &admission->lanes[ticket->lane].window;
	int64_t *usual_us = &admission->usual_us[ticket->operation];

	window->n++;
	window->n_late += admission_is_late(*usual_us, took_us);
	if (ticket->calm)
		*usual_us = admission_learn(*usual_us, took_us);
}

void admission_leave(struct admission *admission, struct admission_ticket *ticket, bool timed, int64_t now_us)
{
	if (!ticket->entered_us)
		return;
	if (timed)
		learn(admission, ticket, now_us - ticket->entered_us);
	ticket->entered_us = 0;
	ticket->tenant->in_work[ticket->lane]--;
	admission->lanes[ticket->lane].in_work--;
	admission->in_work--;
}

/* Under overload requests are put off thousands of times a second; the log hears of it now and then. */
static void tell(struct admission *admission, int64_t now_us)
{
	static const char *const names[] = {[LANE_READS] = "reads",
	        [LANE_SEARCHES] = "searches",
	        [LANE_EVENTS] = "events",
	        [LANE_COMMANDS] = "commands"};

	if (now_us - admission->told_us < TELL_EVERY_US)
		return;
	for (int i = 0; i < ADMISSION_LANES; i++) {
		struct lane *lane = &admission->lanes[i];
		if (!lane->n_refused)
			continue;
		log_event(LOG_WARN, "overload", "%zu %s were put off; %zu of them may be in work", lane->n_refused,
		        names[i], lane->limit);
		lane->n_refused = 0;
		admission->told_us = now_us;
	}
}

void admission_tick(struct admission *admission, int64_t now_us)
{
	for (int i = 0; i < ADMISSION_LANES; i++) {
		struct lane *lane = &admission->lanes[i];
		int64_t age_us = now_us - lane->window_us;
		if (age_us < WINDOW_US || (lane->window.n < WINDOW_REQUESTS && age_us < WINDOW_MAX_US))
			continue;
		lane->limit = admission_next_limit(lane->limit, &lane->window, admission->least, admission->most);
		lane->window = (struct admission_window){0};
		lane->window_us = now_us;
	}
	tell(admission, now_us);
}

size_t admission_in_work(const struct admission *admission)
{
	return admission->in_work;
}
