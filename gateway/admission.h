#ifndef GATEWAY_ADMISSION_H
#define GATEWAY_ADMISSION_H

#include "common/err.h"
#include "gateway/list.h"

#include <stdint.h>

struct settings;
struct tenant;

/*
 * How many requests may be in work, so that those that are taken stay fast when more come than can be done. The others
 * wait in the gateway for a place, and what is too much even for that is put off with 503 at once, which costs little.
 *
 * Requests wait for different things, so each kind has a lane with a limit of its own. The limit follows the time that
 * requests take: every operation learns what it usually takes while few are in work; when nearly all take much longer,
 * the limit falls, and when they do not, it rises by itself to what a burst needs. It is higher for as long as it is
 * reached, most are not late and the gateway itself has half of its time left: where Kafka or PostgreSQL are far away,
 * more in work are done sooner; where the gateway is busy, they would only wait for it. It falls when it is reached
 * while the gateway has no time left at all: fewer are done as fast then, and each turn of its loop is shorter. A
 * workspace may have as many in work as are still free: alone it gets half of the limit, and another one finds room for
 * as many again; n of them get 1/(n+1) each. So half of a lane is what the limit lets through, and the limit follows
 * that.
 *
 * Those that wait do so by workspace: each place that becomes free goes to the next workspace in turn, and there to the
 * request that has waited longest. A workspace may have CONTACTHUB_CALM_IN_FLIGHT requests in work or waiting in any
 * case, so bursts of that size are taken whole, while others hardly feel them.
 */
enum admission_lane {
	LANE_READS,    /* wait for PostgreSQL */
	LANE_SEARCHES, /* the same, and may take it long */
	LANE_EVENTS,   /* wait for Kafka's acknowledgement */
	LANE_COMMANDS, /* wait for a worker's reply */
	ADMISSION_LANES
};

/* --- pure --- */

/* Room for one more, when a workspace has `own` of `in_work` requests? Who has fewer than `least` may go beyond the
   limit, so that others' floods do not lock it out. */
bool admission_fits(size_t limit, size_t least, size_t in_work, size_t own);

/* What has been seen since the limit was looked at last. */
struct admission_window {
	size_t n, n_late;
	bool full;        /* somebody had to wait or was put off */
	int idle_percent; /* of the gateway's event loop */
};
/* rest: where the limit stays when nothing speaks against it. */
size_t admission_next_limit(
        size_t limit, size_t rest, const struct admission_window *window, size_t least, size_t most);

/* Moves towards the median of the times that it is told; 0 = none yet. */
int64_t admission_learn(int64_t usual_us, int64_t took_us);
bool admission_is_late(int64_t usual_us, int64_t took_us);

/* --- the gateway's --- */

struct admission;

/* What a workspace has in a lane. */
struct admission_share {
	size_t in_work, n_waiting;
	struct list tickets; /* that wait, the oldest first */
	struct list turn;    /* place among the workspaces whose tickets wait */
};
void admission_share_init(struct admission_share *share);

/* What a request stands for. Stays where it is while it waits. */
struct admission_ticket {
	struct tenant *tenant; /* NULL: not counted, never put off */
	enum admission_lane lane;
	size_t operation;   /* below n_operations */
	int64_t entered_us; /* 0 = not in work */
	bool costly; /* what has come would have to be sent again, and is not much: it waits where others are put off */
	bool calm, waits;
	struct list link; /* in its workspace's tickets */
};

enum admission_answer { ADMISSION_TAKEN, ADMISSION_WAITS, ADMISSION_REFUSED };

struct admission *admission_new(const struct settings *settings, size_t n_operations);

/* True when the request would be taken or might wait; nothing is counted yet. */
bool admission_has_room(struct admission *admission, const struct admission_ticket *ticket);
/* Takes the request into work, lets it wait for admission_next, or does neither. */
enum admission_answer admission_enter(
        struct admission *admission, struct admission_ticket *ticket, int64_t now_us) must_check;
/* The next one that has waited and is in work now; NULL = there is none, or no place for it. */
struct admission_ticket *admission_next(struct admission *admission, int64_t now_us);
/* timed: it has waited for what its lane is about. May be called again, without having entered, and while it waits. */
void admission_leave(struct admission *admission, struct admission_ticket *ticket, bool timed, int64_t now_us);
/* At least ten times a second. idle_us: time that the event loop has waited since the last call. */
void admission_tick(struct admission *admission, int64_t idle_us, int64_t now_us);
/* What there is to see of a lane; n_put_off since the start. */
struct admission_state {
	size_t in_work, limit, n_put_off;
};
struct admission_state admission_look(const struct admission *admission, enum admission_lane lane);
const char *admission_lane_name(enum admission_lane lane);
/* Requests in work and waiting, of all lanes. */
size_t admission_in_work(const struct admission *admission);
size_t admission_waiting(const struct admission *admission);

#endif
