#include "tests/unit/unit.h"

#include "common/arena.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs `body` in a child and gives back what it wrote to standard error. */
static int capture(void (*body)(void), char *text, size_t size)
{
	size_t n = 0;
	ssize_t got;
	int ends[2], status;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		dup2(ends[1], STDERR_FILENO);
		body();
		_exit(0);
	}
	close(ends[1]);
	while ((got = read(ends[0], text + n, size - 1 - n)) > 0)
		n += (size_t)got;
	close(ends[0]);
	text[n] = '\0';
	assert_int_equal(waitpid(child, &status, 0), child);
	return WEXITSTATUS(status);
}

static void write_odd_lines(void)
{
	log_init("test", LOG_INFO);
	log_event(LOG_DEBUG, "hidden", "not written");
	log_event(LOG_WARN, "odd", "quote \" slash \\ line\nend \xff \xc3\xa9 %d", 5);
}

static void write_long_line(void)
{
	log_init("test", LOG_INFO);
	log_event(LOG_INFO, "long", "%05000d", 1);
	log_event(LOG_INFO, "control", "%s", "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n");
}

static void die(void)
{
	log_init("test", LOG_ERROR);
	log_die("broken", "because");
}

static struct json *line_at(struct arena *arena, char **text)
{
	char *end = strchr(*text, '\n');
	struct json *line;

	assert_non_null(end);
	line = json_parse(arena, (struct str){*text, (size_t)(end - *text)}, NULL);
	assert_non_null(line);
	*text = end + 1;
	return line;
}

static void lines_are_json(void **state)
{
	struct arena *arena = arena_new(1 << 20);
	char text[8192], *rest = text;
	struct json *line;
	int64_t time_us;

	(void)state;
	assert_int_equal(capture(write_odd_lines, text, sizeof(text)), 0);
	line = line_at(arena, &rest);
	assert_true(time_parse(json_text(json_member(line, "time")), &time_us));
	assert_str(json_text(json_member(line, "level")), "warn");
	assert_str(json_text(json_member(line, "process")), "test");
	assert_str(json_text(json_member(line, "event")), "odd");
	assert_str(json_text(json_member(line, "message")), "quote \" slash \\ line\nend ? \xc3\xa9 5");
	assert_string_equal(rest, "");
	arena_free(arena);
}

static void long_lines_are_cut(void **state)
{
	struct arena *arena = arena_new(1 << 20);
	char text[8192], *rest = text;

	(void)state;
	assert_int_equal(capture(write_long_line, text, sizeof(text)), 0);
	line_at(arena, &rest);
	line_at(arena, &rest);
	assert_string_equal(rest, "");
	arena_free(arena);
}

static void log_die_ends_the_process(void **state)
{
	char text[1024];

	(void)state;
	assert_int_equal(capture(die, text, sizeof(text)), 1);
	assert_non_null(strstr(text, "because"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(lines_are_json),
	        cmocka_unit_test(long_lines_are_cut),
	        cmocka_unit_test(log_die_ends_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
