#include "common/arena.h"
#include "common/buf.h"
#include "common/clock.h"
#include "deploy/ctl/replay.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOG_MS 10000
#define WAIT_US 2000
#define SHOW_US 500000
#define SHOW_LINE_US (5 * 1000000LL)
#define BAR 30
#define TRIES 5
#define PAUSE_US 500000
#define BATCH_RECORDS "2000"
#define LIMITS_VARIABLE "CONTACTHUB_REPLAY_UNTIL="
/* Nothing of the new tables counts before the swap, whose commit makes all of it durable. */
#define SESSION_OPTIONS "PGOPTIONS=-c synchronous_commit=off"

extern char **environ;

#define MAX_CHILDREN (REPLAY_WORKERS * REPLAY_MAX_LANES)

/* One call of replay_run. Child i is lane i % REPLAY_MAX_LANES of worker i / REPLAY_MAX_LANES. */
struct round {
	struct replay *replay;
	const struct replay_vector *target;
	pid_t children[MAX_CHILDREN]; /* 0 = not running */
	unsigned tries[REPLAY_WORKERS];
	unsigned workers;
	const char *words;
	int64_t total, done, last_done;
	int64_t started_us, shown_us, last_us;
};

bool replay_check_log(struct replay *replay, struct err *err)
{
	static struct replay_vector live, from;
	struct ctl *ctl = replay->ctl;
	int64_t first, end;

	if (!replay_read_vector(replay, replay->main, "{live}", &live, err) ||
	        !replay_read_vector(replay, replay->main, "{new}", &from, err))
		return false;
	for (int worker = 0; worker < REPLAY_WORKERS; worker++) {
		for (int i = 0; i < REPLAY_MAX_PARTITIONS; i++) {
			const char *topic = topic_role_name(replay_workers[worker].topic);
			if (!live.next[worker][i])
				continue;
			if (!kafka_log_range(ctl->producer, replay_workers[worker].topic, i, LOG_MS, &first, &end))
				return err_set(err, ERR_UNAVAILABLE,
				        "Kafka does not tell what partition %d of %s holds", i, topic);
			if (first > from.next[worker][i])
				return err_set(err, ERR_CONFLICT,
				        "the log does not reach back to the beginning: partition %d of %s starts at "
				        "offset "
				        "%lld instead of %lld; restore a backup of the tables that is newer than that, "
				        "and name "
				        "its schema with --from",
				        i, topic, (long long)first, (long long)from.next[worker][i]);
			if (end < live.next[worker][i])
				return err_set(err, ERR_CONFLICT,
				        "the log has lost its end: partition %d of %s ends at offset %lld, but the "
				        "tables know "
				        "records up to %lld",
				        i, topic, (long long)end, (long long)live.next[worker][i]);
		}
	}
	return true;
}

/* "PARTITION:OFFSET,..." of a lane's partitions that have something to read; NULL = there are none. */
static const char *limits_text(struct arena *arena, const int64_t *from, const int64_t *to, int lane, int lanes)
{
	struct buf text;

	buf_init(&text, arena, 256);
	buf_add_literal(&text, LIMITS_VARIABLE);
	size_t empty = text.n;
	for (int i = lane; lane < lanes && i < REPLAY_MAX_PARTITIONS; i += lanes)
		if (to[i] > from[i])
			buf_printf(&text, "%s%d:%lld", text.n > empty ? "," : "", i, (long long)to[i]);
	if (text.n == empty)
		return NULL;
	buf_add_char(&text, '\0');
	return text.p;
}

/* Our environment with some variables of its own in front: getenv finds the first. */
static char **child_environment(struct replay *replay, const char *limits)
{
	struct arena *arena = replay->ctl->arena;
	size_t n = 0, own = 0;

	while (environ[n])
		n++;
	char **variables = arena_alloc(arena, (n + 8) * sizeof(*variables));
	variables[own++] = (char *)limits;
	variables[own++] = (char *)arena_printf(arena, "CONTACTHUB_PG_SCHEMA=%s", replay->new);
	variables[own++] = (char *)"CONTACTHUB_REPLAY=true";
	variables[own++] = (char *)"CONTACTHUB_INSTANCE=replay";
	variables[own++] = (char *)"CONTACTHUB_BATCH_RECORDS=" BATCH_RECORDS;
	variables[own++] = (char *)"CONTACTHUB_LOG_LEVEL=2";
	variables[own++] = (char *)SESSION_OPTIONS;
	memcpy(variables + own, environ, (n + 1) * sizeof(*variables));
	return variables;
}

/* The child dies with us, however we die. Between fork and exec only what is safe there: Kafka's client has threads. */
static bool start(struct replay *replay, const char *worker, const char *limits, pid_t *ret_child, struct err *err)
{
	char *program = (char *)arena_printf(replay->ctl->arena, "%s/%s", replay->directory, worker);
	char *words[] = {program, NULL};
	char **environment = child_environment(replay, limits);
	pid_t parent = getpid(), child = fork();

	if (child < 0)
		return err_set(err, ERR_INTERNAL, "cannot start %s: %s", program, strerror(errno));
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			execve(program, words, environment);
		_exit(127);
	}
	*ret_child = child;
	return true;
}

/* Starts the workers that have something to read and do not run. */
static bool start_children(struct round *round, struct err *err)
{
	static struct replay_vector now;

	if (!replay_read_vector(round->replay, round->replay->main, "{new}", &now, err))
		return false;
	for (int i = 0; i < MAX_CHILDREN; i++) {
		int worker = i / REPLAY_MAX_LANES;
		if (round->children[i] || !(round->workers & 1u << worker))
			continue;
		const char *limits = limits_text(round->replay->ctl->arena, now.next[worker],
		        round->target->next[worker], i % REPLAY_MAX_LANES, replay_workers[worker].lanes);
		if (limits && !start(round->replay, replay_workers[worker].name, limits, &round->children[i], err))
			return false;
	}
	return true;
}

static void end_children(struct round *round)
{
	for (int i = 0; i < MAX_CHILDREN; i++) {
		if (!round->children[i])
			continue;
		kill(round->children[i], SIGKILL);
		waitpid(round->children[i], NULL, 0);
		round->children[i] = 0;
	}
}

/* Takes the children that have ended; *ret_running: how many have not. */
static bool reap(struct round *round, int *ret_running, struct err *err)
{
	bool again = false;

	*ret_running = 0;
	for (int i = 0; i < MAX_CHILDREN; i++) {
		int status = 0, worker = i / REPLAY_MAX_LANES;
		if (!round->children[i])
			continue;
		if (waitpid(round->children[i], &status, WNOHANG) == 0) {
			++*ret_running;
			continue;
		}
		round->children[i] = 0;
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			continue;
		if (++round->tries[worker] >= TRIES)
			return err_set(err, ERR_INTERNAL, "%s cannot read the log (its words are above)",
			        replay_workers[worker].name);
		again = true;
	}
	if (!again)
		return true;
	++*ret_running;
	usleep(PAUSE_US);
	return start_children(round, err);
}

static void show_bar(const struct round *round, double rate, bool last)
{
	char bar[BAR + 1];
	int filled = round->total ? (int)(round->done * BAR / round->total) : BAR;

	for (int i = 0; i < BAR; i++)
		bar[i] = i < filled ? '#' : '.';
	bar[BAR] = '\0';
	bool terminal = isatty(STDOUT_FILENO);
	printf("%s%-24s [%s] %3lld %%  %lld of %lld records  %.0f/s%s", terminal ? "\r" : "", round->words, bar,
	        round->total ? (long long)(round->done * 100 / round->total) : 100LL, (long long)round->done,
	        (long long)round->total, rate, terminal && !last ? "   " : "\n");
	fflush(stdout);
}

/* Records per second since the last time; at the end: since the beginning. */
static bool show(struct round *round, bool last, struct err *err)
{
	static struct replay_vector now;
	int64_t now_us = clock_monotonic_us();
	int64_t pause_us = isatty(STDOUT_FILENO) ? SHOW_US : SHOW_LINE_US;

	if (!round->words || (!last && now_us - round->shown_us < pause_us))
		return true;
	if (!replay_read_vector(round->replay, round->replay->main, "{new}", &now, err))
		return false;
	round->done = round->total - replay_distance(&now, round->target, round->workers);
	int64_t since_us = last ? round->started_us : round->shown_us;
	int64_t records = last ? round->done : round->done - round->last_done;
	show_bar(round, (double)records * 1e6 / (double)(now_us - since_us + 1), last);
	round->shown_us = now_us;
	round->last_done = round->done;
	return true;
}

static bool wait_for_children(struct round *round, int64_t deadline_ms, struct err *err)
{
	int running = 1;

	while (running) {
		if (!reap(round, &running, err) || !show(round, false, err))
			return false;
		if (deadline_ms && clock_monotonic_us() - round->started_us > deadline_ms * 1000)
			return err_set(err, ERR_UNAVAILABLE, "the new tables did not catch up in time");
		if (running)
			usleep(WAIT_US);
	}
	return true;
}

/* Records that killed a live worker are left out here, too. */
static bool take_set_aside(struct replay *replay, struct err *err)
{
	return replay_do(replay, replay->main, err,
	        "INSERT INTO {new}.crashed_records AS n SELECT * FROM {live}.crashed_records "
	        "ON CONFLICT (worker, topic, partition, first_offset) DO UPDATE "
	        "SET tries = GREATEST(n.tries, excluded.tries), end_offset = excluded.end_offset");
}

bool replay_run(struct replay *replay, const struct replay_vector *target, unsigned workers, int64_t deadline_ms,
        const char *words, struct err *err)
{
	static struct replay_vector now;
	int64_t now_us = clock_monotonic_us();
	struct round round = {.replay = replay,
	        .target = target,
	        .workers = workers,
	        .words = words,
	        .started_us = now_us,
	        .shown_us = now_us};

	if (!take_set_aside(replay, err) || !replay_read_vector(replay, replay->main, "{new}", &now, err))
		return false;
	round.total = replay_distance(&now, target, workers);
	if (start_children(&round, err) && wait_for_children(&round, deadline_ms, err) && show(&round, true, err) &&
	        replay_read_vector(replay, replay->main, "{new}", &now, err)) {
		if (!replay_distance(&now, target, workers))
			return true;
		err_set(err, ERR_INTERNAL, "a worker ended before it had read what it should");
	}
	end_children(&round);
	return false;
}

bool replay_run_to_end(struct replay *replay, const char *worker, struct err *err)
{
	for (int tries = 0; tries < TRIES; tries++) {
		int status = 0;
		pid_t child;
		if (!start(replay, worker, LIMITS_VARIABLE, &child, err))
			return false;
		if (waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0)
			return true;
		usleep(PAUSE_US);
	}
	return err_set(err, ERR_INTERNAL, "%s does not come to its end (its words are above)", worker);
}
