#include "gateway/admission.h"

#include "common/log.h"
#include "common/settings.h"
#include "gateway/tenants.h"

#include <stdlib.h>

/* So many in work are few: what is learnt is learnt then, and no limit is lower. */
#define CALM_IN_WORK 16
/* Beyond the limit, for those who have few in work; in multiples of what counts as few. */
#define RESERVE 4
/* Late: more than twice the usual time, and by more than a turn of a busy loop. */
#define SLACK_US 1000
/*
 * Requests come in bunches, after a pause of any process: the limit rests where a bunch has room. Reads and events, of
 * which the gateway itself is the larger part, are done as fast, or faster, with fewer in work, and another workspace
 * waits half as long beside a flood. Commands share a transaction's costs: with twice as many in work some tenth more
 * would be done, and another workspace would wait half as long again. Searches wait for PostgreSQL.
 */
static const size_t rest_limits[ADMISSION_LANES] = {
        [LANE_READS] = 64, [LANE_SEARCHES] = 256, [LANE_EVENTS] = 96, [LANE_COMMANDS] = 128};
/* Long beside a pause of a process or a slow commit, which make everything late for a moment. */
#define WINDOW_US 500000
/* Fewer finished requests say nothing; a window with some of them is closed after a while all the same. */
#define WINDOW_REQUESTS 16
#define WINDOW_MAX_US 2000000
/* The event loop has no time left; it has enough to do much more. */
#define BUSY_IDLE_PERCENT 2
#define ROOMY_IDLE_PERCENT 50
#define TELL_EVERY_US (10 * INT64_C(1000000))

struct lane {
	size_t limit, in_work;
	struct list waiting; /* shares of workspaces, in turn */
	struct admission_window window;
	int64_t window_us;        /* its begin */
	int64_t idle_us;          /* of the event loop, in the window */
	size_t n_refused, n_told; /* since the start; those that the log was told of */
};

struct admission {
	size_t least, most;
	size_t own_most; /* of a workspace in a lane, in work and waiting; beyond it only into work */
	struct lane lanes[ADMISSION_LANES];
	size_t in_work, n_waiting;
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

/* More in work than a burst needs would be done sooner. */
static bool is_worth_more(const struct admission_window *window)
{
	return window->full && window->n_late * 2 <= window->n && window->idle_percent >= ROOMY_IDLE_PERCENT;
}

size_t admission_next_limit(size_t limit, size_t rest, const struct admission_window *window, size_t least, size_t most)
{
	bool is_busy = window->idle_percent < BUSY_IDLE_PERCENT;
	size_t step = limit / 6 + 1;

	if (window->n_late * 4 > window->n * 3)
		limit -= limit / 3 + 1;
	else if (is_busy && window->full)
		limit -= step;
	else if (limit < rest ? !is_busy : is_worth_more(window))
		limit += step;
	else if (limit > rest)
		limit = limit - step < rest ? rest : limit - step;
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

void admission_share_init(struct admission_share *share)
{
	*share = (struct admission_share){0};
	list_init(&share->tickets);
	list_init(&share->turn);
}

struct admission *admission_new(const struct settings *settings, size_t n_operations)
{
	struct admission *admission = calloc(1, sizeof(*admission) + n_operations * sizeof(admission->usual_us[0]));

	if (!admission)
		log_die("memory", "out of memory");
	admission->most = (size_t)settings->max_in_flight;
	admission->own_most = (size_t)settings->calm_in_flight;
	admission->least = between(CALM_IN_WORK, 1, admission->own_most);
	admission->least = between(admission->least, 1, admission->most);
	for (int i = 0; i < ADMISSION_LANES; i++) {
		admission->lanes[i].limit = between(rest_limits[i], admission->least, admission->most);
		list_init(&admission->lanes[i].waiting);
	}
	return admission;
}

static struct admission_share *share_of(const struct admission_ticket *ticket)
{
	return &ticket->tenant->shares[ticket->lane];
}

static bool fits(const struct admission *admission, const struct lane *lane, const struct admission_share *share)
{
	return admission_fits(lane->limit, admission->least, lane->in_work, share->in_work);
}

/* Nobody overtakes those of the same workspace that wait. */
static enum admission_answer decide(const struct admission *admission, const struct admission_ticket *ticket)
{
	const struct lane *lane = &admission->lanes[ticket->lane];
	const struct admission_share *share = share_of(ticket);

	if (!ticket->costly && admission->in_work + admission->n_waiting >= admission->most)
		return ADMISSION_REFUSED;
	if (share->n_waiting == 0 && fits(admission, lane, share))
		return ADMISSION_TAKEN;
	bool may_wait = ticket->costly || share->in_work + share->n_waiting < admission->own_most;
	return may_wait ? ADMISSION_WAITS : ADMISSION_REFUSED;
}

/* The same, and a refusal is noted. */
static enum admission_answer ask(struct admission *admission, const struct admission_ticket *ticket)
{
	enum admission_answer answer = decide(admission, ticket);

	if (answer == ADMISSION_REFUSED) {
		admission->lanes[ticket->lane].window.full = true;
		admission->lanes[ticket->lane].n_refused++;
	}
	return answer;
}

bool admission_has_room(struct admission *admission, const struct admission_ticket *ticket)
{
	return !ticket->tenant || ask(admission, ticket) != ADMISSION_REFUSED;
}

static void take(struct admission *admission, struct admission_ticket *ticket, int64_t now_us)
{
	struct lane *lane = &admission->lanes[ticket->lane];

	ticket->calm = lane->in_work < admission->least;
	ticket->entered_us = now_us;
	share_of(ticket)->in_work++;
	lane->in_work++;
	admission->in_work++;
}

static void begin_waiting(struct admission *admission, struct admission_ticket *ticket)
{
	struct lane *lane = &admission->lanes[ticket->lane];
	struct admission_share *share = share_of(ticket);

	lane->window.full = true;
	ticket->waits = true;
	list_init(&ticket->link);
	list_append(&share->tickets, &ticket->link);
	if (share->n_waiting++ == 0)
		list_append(&lane->waiting, &share->turn);
	admission->n_waiting++;
}

static void end_waiting(struct admission *admission, struct admission_ticket *ticket)
{
	struct admission_share *share = share_of(ticket);

	ticket->waits = false;
	list_remove(&ticket->link);
	if (--share->n_waiting == 0)
		list_remove(&share->turn);
	admission->n_waiting--;
}

enum admission_answer admission_enter(struct admission *admission, struct admission_ticket *ticket, int64_t now_us)
{
	if (!ticket->tenant)
		return ADMISSION_TAKEN;
	enum admission_answer answer = ask(admission, ticket);
	if (answer == ADMISSION_TAKEN)
		take(admission, ticket, now_us);
	else if (answer == ADMISSION_WAITS)
		begin_waiting(admission, ticket);
	return answer;
}

/* Of the first workspace in turn that may have one more; its next turn comes after the others'. */
static struct admission_ticket *next_of(const struct admission *admission, struct lane *lane)
{
	for (struct list *turn = lane->waiting.next; turn != &lane->waiting; turn = turn->next) {
		struct admission_share *share = list_owner(turn, struct admission_share, turn);
		if (!fits(admission, lane, share))
			continue;
		list_append(&lane->waiting, &share->turn);
		return list_owner(share->tickets.next, struct admission_ticket, link);
	}
	return NULL;
}

struct admission_ticket *admission_next(struct admission *admission, int64_t now_us)
{
	struct admission_ticket *ticket = NULL;

	for (int i = 0; i < ADMISSION_LANES && !ticket; i++)
		ticket = next_of(admission, &admission->lanes[i]);
	if (!ticket)
		return NULL;
	end_waiting(admission, ticket);
	take(admission, ticket, now_us);
	return ticket;
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
	if (ticket->waits)
		end_waiting(admission, ticket);
	if (!ticket->entered_us)
		return;
	if (timed)
		learn(admission, ticket, now_us - ticket->entered_us);
	ticket->entered_us = 0;
	share_of(ticket)->in_work--;
	admission->lanes[ticket->lane].in_work--;
	admission->in_work--;
}

const char *admission_lane_name(enum admission_lane lane)
{
	static const char *const names[] = {[LANE_READS] = "reads",
	        [LANE_SEARCHES] = "searches",
	        [LANE_EVENTS] = "events",
	        [LANE_COMMANDS] = "commands"};

	return names[lane];
}

/* Under overload requests are put off thousands of times a second; the log hears of it now and then. */
static void tell(struct admission *admission, int64_t now_us)
{
	if (now_us - admission->told_us < TELL_EVERY_US)
		return;
	for (int i = 0; i < ADMISSION_LANES; i++) {
		struct lane *lane = &admission->lanes[i];
		if (lane->n_refused == lane->n_told)
			continue;
		log_event(LOG_WARN, "overload", "%zu %s were put off; %zu of them may be in work",
		        lane->n_refused - lane->n_told, admission_lane_name((enum admission_lane)i), lane->limit);
		lane->n_told = lane->n_refused;
		admission->told_us = now_us;
	}
}

void admission_tick(struct admission *admission, int64_t idle_us, int64_t now_us)
{
	for (int i = 0; i < ADMISSION_LANES; i++) {
		struct lane *lane = &admission->lanes[i];
		lane->idle_us += idle_us;
		int64_t age_us = now_us - lane->window_us;
		if (age_us < WINDOW_US || (lane->window.n < WINDOW_REQUESTS && age_us < WINDOW_MAX_US))
			continue;
		lane->window.idle_percent = (int)(lane->idle_us * 100 / age_us);
		lane->limit = admission_next_limit(
		        lane->limit, rest_limits[i], &lane->window, admission->least, admission->most);
		lane->window = (struct admission_window){0};
		lane->window_us = now_us;
		lane->idle_us = 0;
	}
	tell(admission, now_us);
}

struct admission_state admission_look(const struct admission *admission, enum admission_lane lane)
{
	const struct lane *of = &admission->lanes[lane];

	return (struct admission_state){.in_work = of->in_work, .limit = of->limit, .n_put_off = of->n_refused};
}

size_t admission_in_work(const struct admission *admission)
{
	return admission->in_work;
}

size_t admission_waiting(const struct admission *admission)
{
	return admission->n_waiting;
}
