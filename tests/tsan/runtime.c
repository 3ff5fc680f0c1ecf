/*
 * Linked into every program of a build with ThreadSanitizer, and into no other.
 *
 * C11's threads on top of POSIX ones: Debian's librdkafka locks and starts its
 * threads by C11's functions, which the sanitizer does not know: it would crash in a thread that it has not seen begin,
 * and take every hand-over for a race. These stand in front of glibc's, which do the same on the same memory.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

const char *__tsan_default_options(void);
/* Of the sanitizer: what the thread reads and writes between them is not looked at, what it locks is. */
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);

/* The sanitizer asks the program at its start, so that no environment is needed. */
const char *__tsan_default_options(void)
{
	return "suppressions=" CONTACTHUB_TSAN_SUPPRESSIONS ":history_size=5:second_deadlock_stack=1";
}

_Static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t) && sizeof(cnd_t) == sizeof(pthread_cond_t), "glibc's types");

struct start {
	thrd_start_t function;
	void *argument;
};

static int result_of(int error)
{
	switch (error) {
	case 0:
		return thrd_success;
	case ENOMEM:
		return thrd_nomem;
	case ETIMEDOUT:
		return thrd_timedout;
	case EBUSY:
		return thrd_busy;
	default:
		return thrd_error;
	}
}

static void *run(void *given)
{
	struct start start = *(struct start *)given;

	free(given);
	return (void *)(intptr_t)start.function(start.argument);
}

int thrd_create(thrd_t *thread, thrd_start_t function, void *argument)
{
	struct start *start = malloc(sizeof(*start));

	if (!start)
		return thrd_nomem;
	*start = (struct start){function, argument};
	int error = pthread_create(thread, NULL, run, start);
	if (error)
		free(start);
	return result_of(error);
}

int thrd_join(thrd_t thread, int *ret_result)
{
	void *result = NULL;
	int error = pthread_join(thread, &result);

	if (ret_result)
		*ret_result = (int)(intptr_t)result;
	return result_of(error);
}

/* The memory of a lock is the library's own business, like all that it reads and writes itself. */
static void leave_library(void)
{
	AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
	AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
}

static pthread_mutex_t *of_library(mtx_t *mutex)
{
	AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
	AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
	return (pthread_mutex_t *)mutex;
}

int mtx_init(mtx_t *mutex, int type)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	if (type & mtx_recursive)
		pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
	int error = pthread_mutex_init(of_library(mutex), &attributes);
	leave_library();
	pthread_mutexattr_destroy(&attributes);
	return result_of(error);
}

int mtx_lock(mtx_t *mutex)
{
	int error = pthread_mutex_lock(of_library(mutex));

	leave_library();
	return result_of(error);
}

int mtx_trylock(mtx_t *mutex)
{
	int error = pthread_mutex_trylock(of_library(mutex));

	leave_library();
	return result_of(error);
}

int mtx_unlock(mtx_t *mutex)
{
	int error = pthread_mutex_unlock(of_library(mutex));

	leave_library();
	return result_of(error);
}

void mtx_destroy(mtx_t *mutex)
{
	pthread_mutex_destroy(of_library(mutex));
	leave_library();
}

int cnd_init(cnd_t *condition)
{
	return result_of(pthread_cond_init((pthread_cond_t *)condition, NULL));
}

int cnd_signal(cnd_t *condition)
{
	return result_of(pthread_cond_signal((pthread_cond_t *)condition));
}

int cnd_broadcast(cnd_t *condition)
{
	return result_of(pthread_cond_broadcast((pthread_cond_t *)condition));
}

int cnd_wait(cnd_t *condition, mtx_t *mutex)
{
	return result_of(pthread_cond_wait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex));
}

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict until)
{
	return result_of(pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until));
}

void cnd_destroy(cnd_t *condition)
{
	pthread_cond_destroy((pthread_cond_t *)condition);
}
