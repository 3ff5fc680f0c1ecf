#include "common/log.h"

#include "common/clock.h"
#include "common/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* One line; a longer message is cut. Small enough for a pipe to take it in one piece (PIPE_BUF). */
#define LINE_BYTES 2048
#define MESSAGE_BYTES 1024

static const char *const level_names[] = {
        [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

static const char *process = "";
static enum log_level least_level = LOG_INFO;

struct line {
	char bytes[LINE_BYTES];
	size_t n;
};

void log_init(const char *process_name, enum log_level least)
{
	process = process_name;
	least_level = least;
}

static void line_add(struct line *line, const char *text)
{
	size_t room = sizeof(line->bytes) - line->n;
	size_t n = strlen(text);

	if (n > room)
		n = room;
	memcpy(line->bytes + line->n, text, n);
	line->n += n;
}

/* Writes the character at the start of *rest as JSON allows it and takes it off. */
static void escape_step(struct str *rest, char out[8])
{
	size_t n = str_utf8_step(*rest);
	unsigned char c = (unsigned char)rest->p[0];

	if (n == 0 || c == 0x7f)
		snprintf(out, 8, "?");
	else if (c == '"' || c == '\\')
		snprintf(out, 8, "\\%c", c);
	else if (c < 0x20)
		snprintf(out, 8, "\\u%04x", c);
	else
		snprintf(out, 8, "%.*s", (int)n, rest->p);
	n = n ? n : 1;
	rest->p += n;
	rest->n -= n;
}

static void line_add_field(struct line *line, const char *name, const char *value)
{
	struct str rest = str_of(value);
	char piece[8];

	line_add(line, line->n ? ",\"" : "{\"");
	line_add(line, name);
	line_add(line, "\":\"");
	/* Room is left for what closes the line. */
	while (rest.n && line->n + sizeof(piece) + sizeof("\"}\n") < sizeof(line->bytes)) {
		escape_step(&rest, piece);
		line_add(line, piece);
	}
	line_add(line, "\"");
}

static void log_line(enum log_level level, const char *event, const char *message)
{
	char time[TIME_TEXT_BYTES + 1];
	struct line line = {.n = 0};

	time_format(clock_wall_us(), time);
	line_add_field(&line, "time", time);
	line_add_field(&line, "level", level_names[level]);
	line_add_field(&line, "process", process);
	line_add_field(&line, "event", event);
	line_add_field(&line, "message", message);
	line_add(&line, "}\n");
	/* A log that cannot be written must not stop the service. */
	if (write(STDERR_FILENO, line.bytes, line.n) < 0)
		return;
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
	char message[MESSAGE_BYTES];
	va_list args;

	if (level < least_level)
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	log_line(level, event, message);
}

_Noreturn void log_die(const char *event, const char *format, ...)
{
	char message[MESSAGE_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	log_line(LOG_ERROR, event, message);
	/* not exit(): it takes libraries apart whose threads go on */
	fflush(stdout);
	_exit(EXIT_FAILURE);
}
