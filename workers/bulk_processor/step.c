#include "common/arena.h"
#include "common/clock.h"
#include "common/log.h"
#include "workers/bulk_processor/bulk_processor.h"
#include "workers/bulk_processor/job.h"
#include "workers/bulk_processor/lookup.h"

#include <stdlib.h>

/* Jobs of different nodes that run side by side. */
#define JOBS_AT_ONCE 16
#define SHARE_MIN 8
#define ROWS_PER_STEP 500
/* Reading pauses after this time, so that records of new jobs do not wait. */
#define READING_US 15000
#define SWEEP_EVERY_US (10 * 60 * 1000000LL)
/* Pieces of a file that nobody made a job of. */
#define ORPHAN_US (24 * 3600 * 1000000LL)

struct processor {
	struct processor_options options;
	size_t window;
	struct job *jobs;
	size_t share; /* of the window: rows of each job on their way */
	struct outgoing *outgoing;
	size_t n_outgoing;
	bool waiting;
	bool sweeping;
	int64_t swept_us;
};

/* One step of one job. All of it lives in the batch's arena. */
struct step {
	struct processor *processor;
	struct batch *batch;
	struct arena *arena;
	struct job *job;
	struct row *rows; /* read in this step, as far as they have no outcome yet */
	size_t n_rows;
	size_t n_before;                              /* flights before that */
	struct db_array lines, statuses, ids, errors; /* outcomes */
	int64_t n_failed;
};

/* What the jobs of a step have come to. */
struct moved {
	bool any;
	bool more; /* some of them can go on at once */
};

struct processor *processor_new(const struct processor_options *options)
{
	struct processor *processor = calloc(1, sizeof(*processor));

	if (!processor)
		log_die("memory", "out of memory");
	processor->options = *options;
	processor->window = (size_t)options->window;
	processor->sweeping = true; /* a predecessor may have left some */
	return processor;
}

void processor_set_window(struct processor *processor, int64_t rows)
{
	processor->window = (size_t)(rows < processor->options.window ? rows : processor->options.window);
}

void processor_forget(struct processor *processor)
{
	while (processor->jobs) {
		struct job *job = processor->jobs;
		processor->jobs = job->next;
		job_free(job);
	}
	processor->n_outgoing = 0;
}

void processor_free(struct processor *processor)
{
	processor_forget(processor);
	free(processor);
}

const struct outgoing *processor_outgoing(const struct processor *processor, size_t *ret_n)
{
	*ret_n = processor->n_outgoing;
	return processor->outgoing;
}

void processor_published(struct processor *processor)
{
	processor->n_outgoing = 0;
	processor->waiting = false;
}

bool processor_is_waiting(const struct processor *processor)
{
	return processor->waiting;
}

/* --- which jobs run ------------------------------------------------------------------------------------------------
 */

static struct job *find_job(const struct processor *processor, const struct uuid *id)
{
	for (struct job *job = processor->jobs; job; job = job->next)
		if (uuid_eq(&job->id, id))
			return job;
	return NULL;
}

static bool is_listed(const PGresult *open, const struct job *job, bool *ret_stopping)
{
	for (int row = 0; row < PQntuples(open); row++) {
		struct uuid id = db_uuid(open, row, 1);
		*ret_stopping = db_i64(open, row, 3);
		if (uuid_eq(&id, &job->id))
			return true;
	}
	return false;
}

static bool is_ours(const struct processor *processor, const struct uuid *workspace)
{
	return !processor->options.owns || processor->options.owns(processor->options.context, workspace);
}

/* Those that are over, belong to another process now, or whose workspace takes no writes any more. */
static void drop_jobs(struct processor *processor, const PGresult *open)
{
	struct job **at = &processor->jobs;

	while (*at) {
		struct job *job = *at;
		if (is_ours(processor, &job->workspace) && is_listed(open, job, &job->stopping)) {
			at = &job->next;
			continue;
		}
		*at = job->next;
		job_free(job);
	}
}

/* The oldest of those that could run; -1 when there is none. */
static int next_job(const struct processor *processor, const PGresult *open)
{
	int best = -1;

	for (int row = 0; row < PQntuples(open); row++) {
		struct uuid workspace = db_uuid(open, row, 0), id = db_uuid(open, row, 1);
		if (!is_ours(processor, &workspace) || find_job(processor, &id))
			continue;
		if (best < 0 || db_i64(open, row, 2) < db_i64(open, best, 2))
			best = row;
	}
	return best;
}

static size_t count_jobs(const struct processor *processor)
{
	size_t n = 0;

	for (const struct job *job = processor->jobs; job; job = job->next)
		n++;
	return n;
}

static void add_jobs(struct processor *processor, const PGresult *open)
{
	size_t n = count_jobs(processor), window = processor->window;
	int row;

	for (; n < JOBS_AT_ONCE && (row = next_job(processor, open)) >= 0; n++) {
		struct uuid workspace = db_uuid(open, row, 0), id = db_uuid(open, row, 1);
		struct job *job = job_new(&workspace, &id);
		job->stopping = db_i64(open, row, 3);
		job->next = processor->jobs;
		processor->jobs = job;
	}
	/* together they keep to the window, unless they are very many */
	processor->share = n > 1 ? window / n : window;
	if (processor->share < SHARE_MIN)
		processor->share = window < SHARE_MIN ? window : SHARE_MIN;
}

static bool choose_jobs(struct processor *processor, struct batch *batch, int64_t *ret_seq, struct err *err)
{
	PGresult *open = db_ask(batch_db(batch), "bulk_open", NULL, err);

	if (!open)
		return false;
	drop_jobs(processor, open);
	add_jobs(processor, open);
	*ret_seq = PQntuples(open) ? db_i64(open, 0, 4) : 0;
	PQclear(open);
	return true;
}

/* --- reading -------------------------------------------------------------------------------------------------------
 */

static bool may_read(const struct step *step)
{
	const struct job *job = step->job;
	size_t share = step->processor->share;

	if (job->failure.p || job->ended)
		return false;
	if (job->line < job->total)
		return true; /* they were read before */
	/* some at a time: a step costs more than a row */
	return !job->stopping && job->n_flights < job->max_flights && (!job->n_open || job->n_open + share / 4 < share);
}

static bool has_outcome(const struct job *job)
{
	return job->line <= job->total && job->done_lines && job->done_lines[job->line - job->first_done_line];
}

static void take_row(struct step *step, const struct csv_row *cells, const char *text)
{
	struct job *job = step->job;
	struct flight flight = {.line = ++job->line, .at = job->at};

	flight.done = has_outcome(job);
	flight.resend = job->line <= job->total;
	job_add_flight(job, &flight);
	if (flight.done)
		return;
	struct row *row = &step->rows[step->n_rows++];
	*row = (struct row){.line = flight.line, .at = flight.at, .resend = flight.resend};
	row_make(step->arena, &job->rules, cells, (struct str){text + cells->skip, cells->n_bytes - cells->skip}, row);
}

static bool has_room(const struct step *step)
{
	const struct job *job = step->job;

	if (step->n_rows == ROWS_PER_STEP || job->n_flights == job->max_flights)
		return false;
	return job->line < job->total || job->n_open < step->processor->share;
}

/* False when nothing more can be read in this step. */
static bool read_row(struct step *step)
{
	struct job *job = step->job;
	const char *text = job->buffer + job->used;
	struct csv_row cells;
	enum csv_status status =
	        csv_next(step->arena, (struct str){text, job->n_buffer - job->used}, false, job->at_end, &cells);

	if (status == CSV_ENDLESS) {
		job_fail(job, arena_printf(step->arena, "row %lld cannot be read: %s", (long long)job->line + 1,
		                      cells.fault));
		return false;
	}
	if (status == CSV_ROW)
		take_row(step, &cells, text);
	job->used += cells.n_bytes;
	job->at += (int64_t)cells.n_bytes;
	job->ended = status == CSV_END;
	return status == CSV_ROW;
}

static bool read_rows(struct step *step, struct err *err)
{
	struct job *job = step->job;
	int64_t until_us = clock_monotonic_us() + READING_US;

	job_clear_flights(job);
	step->n_before = job->n_flights;
	if (!may_read(step))
		return true;
	if (!job_fill(job, step->batch, err))
		return false;
	step->rows = arena_alloc(step->arena, ROWS_PER_STEP * sizeof(*step->rows));
	while (has_room(step) && clock_monotonic_us() < until_us && read_row(step))
		;
	return true;
}

/* --- outcomes ------------------------------------------------------------------------------------------------------
 */

static void add_outcome(struct step *step, struct flight *flight, const struct bulk_outcome *outcome)
{
	db_array_i64(&step->lines, flight->line);
	db_array_text(&step->statuses, str_of(bulk_row_status_name(outcome->status)));
	db_array_text(&step->ids, outcome->id);
	db_array_text(&step->errors, outcome->error);
	step->n_failed += outcome->status == BULK_ROW_FAILED;
	job_land(step->job, flight);
}

static bool send_question(
        struct step *step, const char *statement, struct db_array *ids, struct db_array *lines, struct err *err)
{
	struct db_params params;

	if (!ids->n)
		return true;
	db_params_init(&params, step->arena);
	db_param_uuid(&params, &step->job->workspace);
	db_param_array(&params, ids);
	db_param_array(&params, lines);
	return db_send(batch_db(step->batch), statement, &params, err);
}

static bool read_answer(struct step *step, const struct db_array *asked, struct err *err)
{
	if (!asked->n)
		return true;
	PGresult *rows = db_result(batch_db(step->batch), err);
	for (int row = 0; rows && row < PQntuples(rows); row++) {
		struct flight *flight = job_find_flight(step->job, db_i64(rows, row, 0));
		struct str body = arena_str(step->arena, db_text(rows, row, 2));
		struct bulk_outcome outcome = bulk_outcome_read(step->arena, (unsigned)db_i64(rows, row, 1), body);
		if (flight && !flight->done)
			add_outcome(step, flight, &outcome);
	}
	PQclear(rows);
	return rows != NULL;
}

/* Of the flights from `first` on. Rows of this step that were never sent before have no result. */
static bool take_results(struct step *step, size_t first, struct err *err)
{
	struct job *job = step->job;
	struct db_array ids[2], lines[2]; /* of those whose results go, and whose stay */

	for (size_t i = 0; i < 2; i++) {
		db_array_init(&ids[i], step->arena, DB_UUID);
		db_array_init(&lines[i], step->arena, DB_I64);
	}
	for (size_t i = first; i < job->n_flights; i++) {
		const struct flight *flight = job_flight(job, i);
		if (flight->done || (i >= step->n_before && !flight->resend))
			continue;
		struct uuid id = row_id(&job->id, flight->line, ROW_COMMAND);
		db_array_uuid(&ids[flight->resend], &id);
		db_array_i64(&lines[flight->resend], flight->line);
	}
	if (!ids[0].n && !ids[1].n)
		return true;
	return send_question(step, "bulk_take_results", &ids[0], &lines[0], err) &&
	       send_question(step, "bulk_see_results", &ids[1], &lines[1], err) &&
	       db_flush(batch_db(step->batch), err) && read_answer(step, &ids[0], err) &&
	       read_answer(step, &ids[1], err);
}

static void add_outgoing(struct processor *processor, const struct step *step, struct row *row)
{
	row->command.time_us = clock_wall_us();
	if (row->ensure)
		processor->outgoing[processor->n_outgoing++] = (struct outgoing){.topic = TOPIC_CUSTOMER_COMMANDS,
		        .partition = step->job->rules.workspace_partition,
		        .first = true,
		        .command = row_ensure_command(&step->job->rules, row)};
	processor->outgoing[processor->n_outgoing++] =
	        (struct outgoing){.topic = row->topic, .partition = row->partition, .command = row->command};
}

/* What was read becomes an outcome at once, or leaves. */
static void sort_rows(struct step *step)
{
	for (size_t i = 0; i < step->n_rows; i++) {
		struct row *row = &step->rows[i];
		struct flight *flight = job_find_flight(step->job, row->line);
		struct bulk_outcome failed = {.status = BULK_ROW_FAILED, .error = row->why};
		if (flight->done)
			continue;
		if (row->why.p)
			add_outcome(step, flight, &failed);
		else
			add_outgoing(step->processor, step, row);
	}
}

/* --- writing -------------------------------------------------------------------------------------------------------
 */

static bool write_rows(struct step *step, struct err *err)
{
	struct db_params params = job_params(step->job, step->arena);

	if (!step->lines.n)
		return true;
	db_param_array(&params, &step->lines);
	db_param_array(&params, &step->statuses);
	db_param_array(&params, &step->ids);
	db_param_array(&params, &step->errors);
	return db_send_expect(batch_db(step->batch), "bulk_add_rows", &params, step->lines.n, ERR_INTERNAL, err);
}

static enum bulk_status status_now(const struct job *job)
{
	if (job->n_flights)
		return BULK_PROCESSING;
	if (job->failure.p)
		return BULK_FAILED;
	if (job->line < job->total)
		return BULK_PROCESSING;
	if (job->ended)
		return BULK_PROCESSED;
	return job->stopping ? BULK_STOPPED : BULK_PROCESSING;
}

/* Nothing leaves and no result goes without this: where another process has taken the job up meanwhile (and has sent
   again what is on its way), the step fails, and this one takes it up anew. */
static bool move(struct step *step, enum bulk_status status, struct err *err)
{
	struct job *job = step->job;
	struct db_params params = job_params(job, step->arena);
	int64_t total = job->line > job->total ? job->line : job->total;
	int64_t next_byte = job->at > job->next_byte ? job->at : job->next_byte;
	int64_t done_line = job->n_flights ? job_flight(job, 0)->line - 1 : job->line;
	int64_t done_byte = job->n_flights ? job_flight(job, 0)->at : job->at;

	db_param_text(&params, str_of(bulk_status_name(status)));
	db_param_text(&params, status == BULK_FAILED ? job->failure : STR_NONE);
	db_param_i64(&params, clock_wall_us());
	db_param_i64(&params, total);
	db_param_i64(&params, next_byte);
	db_param_i64(&params, done_line);
	db_param_i64(&params, done_byte);
	db_param_i64(&params, step->lines.n);
	db_param_i64(&params, step->n_failed);
	db_param_i32(&params, (int32_t)job->epoch);
	job->status = status;
	job->total = total;
	job->next_byte = next_byte;
	job->done_line = done_line;
	job->done_byte = done_byte;
	return db_send_expect(batch_db(step->batch), "bulk_move", &params, 1, ERR_DATABASE, err);
}

/* Pieces that are behind the first row in flight are not read any more. */
static bool forget_chunks(struct step *step, struct err *err)
{
	struct job *job = step->job;
	int64_t before = job->done_byte / BULK_CHUNK_BYTES;
	struct db_params params = job_params(job, step->arena);

	if (before <= job->forgotten_chunks + 1)
		return true;
	job->forgotten_chunks = before - 1;
	db_param_i32(&params, (int32_t)before);
	return db_send_expect(batch_db(step->batch), "bulk_forget_chunks", &params, -1, ERR_INTERNAL, err);
}

static bool write_job(struct step *step, bool *ret_progress, struct err *err)
{
	struct job *job = step->job;
	int64_t line_before = job->total, at_before = job->next_byte;

	job_clear_flights(job);
	enum bulk_status status = status_now(job);
	*ret_progress = step->lines.n || job->line > line_before || job->at > at_before || status != job->status ||
	                job->line < job->total;
	if (!*ret_progress)
		return true;
	return write_rows(step, err) && move(step, status, err) && forget_chunks(step, err);
}

static bool schedule(struct batch *batch, struct job *job, struct err *err)
{
	struct db_params params = job_params(job, batch_arena(batch));

	job->status = BULK_SCHEDULED;
	db_param_i64(&params, clock_wall_us());
	return db_send_expect(batch_db(batch), "bulk_schedule", &params, 1, ERR_DATABASE, err);
}

/* Nothing is to be done before rows come back. */
static bool only_waits(const struct step *step, bool progress)
{
	return !progress || (step->job->n_open && !may_read(step));
}

static bool run_job(struct processor *processor, struct batch *batch, struct job *job, int64_t seq, struct moved *moved,
        struct err *err)
{
	struct step step = {.processor = processor, .batch = batch, .arena = batch_arena(batch), .job = job};
	bool progress;

	if (!job->loaded && !job_load(job, batch, &processor->options, err))
		return false;
	if (job->status == BULK_LOADED) {
		moved->any = moved->more = true;
		return schedule(batch, job, err);
	}
	db_array_init(&step.lines, step.arena, DB_I64);
	db_array_init(&step.statuses, step.arena, DB_TEXT);
	db_array_init(&step.ids, step.arena, DB_TEXT);
	db_array_init(&step.errors, step.arena, DB_TEXT);
	step.n_before = job->n_flights;
	/* what has come back makes room for what is read */
	if (!job_refresh(job, batch, seq, err) || !take_results(&step, 0, err) || !read_rows(&step, err) ||
	        !lookup_rows(batch, &job->rules, step.rows, step.n_rows, err) ||
	        !take_results(&step, step.n_before, err))
		return false;
	sort_rows(&step);
	if (!write_job(&step, &progress, err))
		return false;
	moved->any |= progress;
	moved->more |= !only_waits(&step, progress);
	return true;
}

/* --- the step ------------------------------------------------------------------------------------------------------
 */

/* Files of jobs that are over, and those that no job was made of. */
static bool sweep(struct processor *processor, struct batch *batch, struct err *err)
{
	int64_t now_us = clock_monotonic_us();
	struct db_params params;

	if (!processor->sweeping && now_us - processor->swept_us < SWEEP_EVERY_US)
		return true;
	processor->swept_us = now_us;
	db_params_init(&params, batch_arena(batch));
	db_param_i64(&params, clock_wall_us() - ORPHAN_US);
	PGresult *result = db_ask(batch_db(batch), "bulk_sweep", &params, err);
	processor->sweeping = result && strtol(PQcmdTuples(result), NULL, 10) > 0;
	PQclear(result);
	return result != NULL;
}

static bool is_over(const struct job *job)
{
	return bulk_status_is_final(str_of(bulk_status_name(job->status)));
}

/* Jobs that have ended in this step: when it is rolled back they are loaded again, like all. */
static void remove_ended(struct processor *processor)
{
	for (struct job **at = &processor->jobs; *at;) {
		struct job *job = *at;
		if (!is_over(job)) {
			at = &job->next;
			continue;
		}
		processor->sweeping = true;
		*at = job->next;
		job_free(job);
	}
}

/* A row leaves as one command, or as two where the customer has to be ensured first. */
static void make_room(struct processor *processor, struct batch *batch)
{
	size_t n = count_jobs(processor) * ROWS_PER_STEP * 2;

	processor->outgoing = n ? arena_alloc(batch_arena(batch), n * sizeof(*processor->outgoing)) : NULL;
}

bool processor_step(struct processor *processor, struct batch *batch, bool *ret_more, struct err *err)
{
	struct moved moved = {0};
	int64_t seq;

	processor->n_outgoing = 0;
	if (!choose_jobs(processor, batch, &seq, err) || !sweep(processor, batch, err))
		return false;
	make_room(processor, batch);
	for (struct job *job = processor->jobs; job; job = job->next)
		if (!run_job(processor, batch, job, seq, &moved, err))
			return false;
	processor->waiting = processor->jobs && !moved.more;
	remove_ended(processor);
	*ret_more = processor->jobs || processor->sweeping || moved.any;
	return true;
}
