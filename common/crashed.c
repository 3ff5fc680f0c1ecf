#include "common/crashed.h"

#include "common/arena.h"

#include <signal.h>
#include <unistd.h>

#define MARK "--crashed"
#define RANGE_BYTES 64
#define STACK_BYTES 65536

/* Read by the signal handler, written by the thread that works. */
static struct crashed_range working_on[CRASHED_MAX_RANGES];
static volatile sig_atomic_t n_working_on;

const struct statement crashed_statements[] = {
        {.name = "crashed_add",
                .sql = "INSERT INTO crashed_records AS r (worker, topic, partition, first_offset, end_offset, tries) "
                       "VALUES ($1::text, $2::text, $3::integer, $4::bigint, $5::bigint, 1) "
                       "ON CONFLICT (worker, topic, partition, first_offset) DO UPDATE "
                       "SET tries = CASE WHEN r.end_offset = excluded.end_offset THEN r.tries + 1 ELSE 1 END, "
                       "end_offset = excluded.end_offset",
                .n_params = 5},
        {.name = "crashed_load",
                .sql = "SELECT first_offset, end_offset, tries FROM crashed_records WHERE worker = $1::text "
                       "AND topic = $2::text AND partition = $3::integer AND end_offset > $4::bigint "
                       "ORDER BY first_offset LIMIT $5::bigint",
                .n_params = 5},
};
const size_t crashed_statement_count = ARRAY_LEN(crashed_statements);

void crashed_working_on(const struct crashed_range *ranges, size_t n)
{
	n_working_on = 0;
	if (n > CRASHED_MAX_RANGES)
		n = CRASHED_MAX_RANGES;
	for (size_t i = 0; i < n; i++)
		working_on[i] = ranges[i];
	n_working_on = (sig_atomic_t)n;
}

/* Only what a signal handler may do. */
static char *put_number(char *at, int64_t number, char behind)
{
	char digits[24];
	size_t n = 0;

	do
		digits[n++] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	while (n)
		*at++ = digits[--n];
	*at++ = behind;
	return at;
}

static void become_writer(void)
{
	static char name[] = "/proc/self/exe", mark[] = MARK, words[CRASHED_MAX_RANGES][RANGE_BYTES];
	static char *arguments[CRASHED_MAX_RANGES + 3] = {name, mark};
	sigset_t none;

	for (int i = 0; i < n_working_on; i++) {
		char *at = put_number(words[i], working_on[i].partition, ':');
		at = put_number(at, working_on[i].first, ':');
		put_number(at, working_on[i].end, '\0');
		arguments[2 + i] = words[i];
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execv(name, arguments);
}

/* Its own: raised by the processor or the kernel for it, or by abort(). */
static void on_death(int signal_number, siginfo_t *info, void *context)
{
	(void)context;
	bool own = info->si_code > 0 || info->si_pid == getpid();
	if (own && n_working_on)
		become_writer();
	/* the default action, which ends the process, is back by SA_RESETHAND */
	raise(signal_number);
}

void crashed_watch(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	static const int signals[] = {SIGABRT};
#else
	static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
#endif
	static char stack[STACK_BYTES];
	struct sigaction action = {
	        .sa_sigaction = on_death, .sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND | SA_NODEFER};

	sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof(stack)}, NULL);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		sigaction(signals[i], &action, NULL);
}

bool crashed_is_one(int argc, char **argv)
{
	return argc > 1 && !strcmp(argv[1], MARK);
}

bool crashed_write(struct db *db, const char *worker, const char *topic, int argc, char **argv, struct err *err)
{
	struct arena *arena = arena_new(1024UL * 1024);
	bool good = true;

	for (int i = 2; i < argc && good; i++) {
		struct db_params params;
		int partition;
		long long first, end;
		if (sscanf(argv[i], "%d:%lld:%lld", &partition, &first, &end) != 3)
			continue;
		db_params_init(&params, arena);
		db_param_text(&params, str_of(worker));
		db_param_text(&params, str_of(topic));
		db_param_i32(&params, partition);
		db_param_i64(&params, first);
		db_param_i64(&params, end);
		PGresult *done = db_query(db, "crashed_add", &params, err);
		good = done != NULL;
		PQclear(done);
	}
	arena_free(arena);
	return good;
}

int crashed_load(struct db *db, struct arena *arena, const char *worker, const char *topic, int32_t partition,
        int64_t next_offset, struct crashed_range *ret_ranges, int most, struct err *err)
{
	struct db_params params;

	db_params_init(&params, arena);
	db_param_text(&params, str_of(worker));
	db_param_text(&params, str_of(topic));
	db_param_i32(&params, partition);
	db_param_i64(&params, next_offset);
	db_param_i64(&params, most);
	PGresult *rows = db_query(db, "crashed_load", &params, err);
	if (!rows)
		return -1;
	int n = PQntuples(rows);
	for (int row = 0; row < n; row++)
		ret_ranges[row] = (struct crashed_range){.partition = partition,
		        .first = db_i64(rows, row, 0),
		        .end = db_i64(rows, row, 1),
		        .tries = db_i64(rows, row, 2)};
	PQclear(rows);
	return n;
}
