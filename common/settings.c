#include "common/settings.h"

#include "common/log.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <strings.h>

enum setting_type { TYPE_STRING, TYPE_NAME, TYPE_SECRET, TYPE_INT, TYPE_BOOL };

struct setting {
	enum setting_type type;
	size_t offset;
	const char *variable;
	const char *fallback;
	int64_t min, max;
	const char *help;
};

static const struct setting rows[] = {
#define X(kind, field, env, value, least, most, words)                                                                 \
	{.type = TYPE_##kind,                                                                                          \
	        .offset = offsetof(struct settings, field),                                                            \
	        .variable = env,                                                                                       \
	        .fallback = value,                                                                                     \
	        .min = least,                                                                                          \
	        .max = most,                                                                                           \
	        .help = words},
        SETTINGS(X)
#undef X
};

static bool parse_int(const struct setting *row, const char *text, int64_t *ret_value)
{
	char *end;

	errno = 0;
	long long value = strtoll(text, &end, 10);
	/* strtoll would take spaces and a plus before the digits */
	if (errno || end == text || (*text != '-' && (*text < '0' || *text > '9')) || *end || value < row->min ||
	        value > row->max)
		return false;
	*ret_value = value;
	return true;
}

static bool parse_bool(const char *text, bool *ret_value)
{
	*ret_value = !strcasecmp(text, "true") || !strcmp(text, "1");
	return *ret_value || !strcasecmp(text, "false") || !strcmp(text, "0");
}

static bool is_name(const struct setting *row, const char *text)
{
	size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	return !text[n] && n <= (size_t)row->max;
}

static bool load_one(const struct setting *row, struct settings *settings)
{
	const char *text = getenv(row->variable);
	void *field = (char *)settings + row->offset;

	if (!text || !*text)
		text = row->fallback;
	switch (row->type) {
	case TYPE_STRING:
	case TYPE_SECRET:
		*(const char **)field = text;
		return true;
	case TYPE_NAME:
		*(const char **)field = text;
		if (is_name(row, text))
			return true;
		fprintf(stderr, "%s must be letters, digits, '.', '_' and '-', at most %lld of them\n", row->variable,
		        (long long)row->max);
		return false;
	case TYPE_INT:
		if (parse_int(row, text, field))
			return true;
		fprintf(stderr, "%s must be a whole number from %lld to %lld\n", row->variable, (long long)row->min,
		        (long long)row->max);
		return false;
	case TYPE_BOOL:
		if (parse_bool(text, field))
			return true;
		fprintf(stderr, "%s must be true or false\n", row->variable);
		return false;
	}
	return false;
}

bool settings_load(struct settings *ret_settings)
{
	struct settings settings;
	bool good = true;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		good &= load_one(&rows[i], &settings);
	if (good)
		*ret_settings = settings;
	return good;
}

void settings_require(const struct settings *settings, bool pg, bool kafka)
{
	if (pg && !*settings->pg)
		log_die("settings", "CONTACTHUB_PG is not set: it names the database (see CONFIGURATION.md)");
	if (kafka && !*settings->kafka)
		log_die("settings", "CONTACTHUB_KAFKA is not set: it names the Kafka brokers (see CONFIGURATION.md)");
}

static const char *type_name(const struct setting *row)
{
	static const char *const names[] = {[TYPE_STRING] = "text",
	        [TYPE_NAME] = "name",
	        [TYPE_SECRET] = "secret",
	        [TYPE_INT] = "number",
	        [TYPE_BOOL] = "true/false"};

	return names[row->type];
}

void settings_print_markdown(FILE *out)
{
	fputs("# Configuration\n\nEvery process reads its settings from environment variables. This page is made by "
	      "`contacthubctl settings`.\n\n| variable | type | default | meaning |\n|---|---|---|---|\n",
	        out);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct setting *row = &rows[i];
		fprintf(out, "| `%s` | %s", row->variable, type_name(row));
		if (row->type == TYPE_NAME)
			fprintf(out, ", up to %lld letters, digits, `.`, `_`, `-`", (long long)row->max);
		if (row->type == TYPE_INT && row->max < INT64_MAX)
			fprintf(out, ", %lld to %lld", (long long)row->min, (long long)row->max);
		fprintf(out, " | %s%s%s | %s |\n", *row->fallback ? "`" : "", row->fallback, *row->fallback ? "`" : "",
		        row->help);
	}
}
