#include "gateway/workspace_settings.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/schema.h"

#define MAX_NAME 255
#define MAX_URL 1000
#define MAX_VALUES 4

struct setting {
	const char *name;
	const char *values[MAX_VALUES]; /* the first is the default; none: any text */
	bool nullable;
	const char *format; /* of any text */
	size_t max;         /* characters of it */
};

static const struct setting settings[] = {
        {.name = "name", .max = MAX_NAME},
        {.name = "industry", .values = {"NotDefined", "GDO", "Luxury", "Automotive"}},
        {.name = "logo", .nullable = true, .format = "uri", .max = MAX_URL},
        {.name = "timezone", .values = {"Europe/Rome", "Europe/Paris", "Europe/London"}, .nullable = true},
        {.name = "currency", .values = {"EUR", "USD", "JPY"}},
        {.name = "customerUniquenessPolicy", .values = {"MERGE"}, .nullable = true},
};

static struct json *default_value(struct arena *arena, const struct setting *setting)
{
	return setting->values[0] ? json_new_str(arena, str_of(setting->values[0])) : json_new(arena, JSON_NULL);
}

void workspace_settings_add(struct arena *arena, struct json *view, const struct json *doc)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		struct str name = str_of(settings[i].name);
		const struct json *value = json_get(doc, name);

		json_add(view, name,
		        json_is_null(value) ? default_value(arena, &settings[i]) : json_copy(arena, value, false));
	}
}

/* "must be null or one of a, b, c" */
static void add_choice_problem(const struct setting *setting, struct str pointer, struct problems *problems)
{
	struct buf words;

	buf_init(&words, problems->arena, 128);
	buf_printf(&words, "%s must be %sone of", setting->name, setting->nullable ? "null or " : "");
	for (size_t i = 0; i < MAX_VALUES && setting->values[i]; i++)
		buf_printf(&words, "%s %s", i ? "," : "", setting->values[i]);
	problems_add(problems, pointer, "%.*s", STR_ARG(buf_str(&words)));
}

static bool is_among(const struct setting *setting, struct str text)
{
	for (size_t i = 0; i < MAX_VALUES && setting->values[i]; i++)
		if (str_is(text, setting->values[i]))
			return true;
	return false;
}

static bool is_good_text(const struct setting *setting, struct str text)
{
	return text.n && str_utf8_length(text) <= setting->max &&
	       (!setting->format || schema_format_matches(str_of(setting->format), text));
}

static void check(const struct setting *setting, const struct json *value, struct problems *problems)
{
	struct str text = json_text(value), pointer = str_of(arena_printf(problems->arena, "/%s", setting->name));

	if (json_is(value, JSON_NULL) && setting->nullable)
		return;
	if (setting->values[0] && !is_among(setting, text))
		add_choice_problem(setting, pointer, problems);
	else if (!setting->values[0] && !is_good_text(setting, text))
		problems_add(problems, pointer, "%s must be %sa %s of 1 to %zu characters", setting->name,
		        setting->nullable ? "null or " : "", setting->format ? "URL" : "string", setting->max);
}

struct json *workspace_settings_change(
        struct arena *arena, const struct json *doc, const struct json *body, struct problems *problems)
{
	struct json *changed = json_copy(arena, doc, false);

	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		struct str name = str_of(settings[i].name);
		const struct json *value = json_get(body, name);

		if (!value)
			continue;
		check(&settings[i], value, problems);
		json_set(changed, name, json_copy(arena, value, false));
	}
	return problems->n ? NULL : changed;
}
