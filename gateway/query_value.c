#include "gateway/query_value.h"

#include "common/arena.h"
#include "common/clock.h"
#include "common/json.h"

#include <inttypes.h>
#include <stdlib.h>

#define MS_US 1000
#define DAY_US (86400 * (int64_t)1000000)
/* Years 0001 to 9999. */
#define TIME_MIN_MS (-62135596800000)
#define TIME_MAX_MS 253402300799999

static struct str quote(struct arena *arena, struct str text)
{
	struct buf buf;

	buf_init(&buf, arena, text.n + 2);
	json_write_string(&buf, text);
	return buf_str(&buf);
}

static struct str int_text(struct arena *arena, int64_t value)
{
	return str_of(arena_printf(arena, "%" PRId64, value));
}

static const char *read_text(struct arena *arena, const struct json *item, struct query_value *value)
{
	switch (item ? item->type : JSON_STRING) {
	case JSON_STRING:
		value->text = item ? item->text : STR("");
		break;
	case JSON_NUMBER:
		value->text = item->text;
		break;
	case JSON_TRUE:
		value->text = STR("true");
		break;
	case JSON_FALSE:
		value->text = STR("false");
		break;
	default:
		return "a text is expected here";
	}
	value->json = quote(arena, value->text);
	return NULL;
}

static const char *read_number(struct arena *arena, const struct json *item, struct query_value *value)
{
	struct err err;

	if (json_is(item, JSON_STRING))
		item = json_parse(arena, item->text, &err);
	else if (!item)
		item = json_new_i64(arena, 0);
	if (!json_is(item, JSON_NUMBER))
		return "a number is expected here";
	value->text = value->json = item->text;
	return NULL;
}

static const char *read_boolean(const struct json *item, struct query_value *value)
{
	static const struct {
		const char *text;
		bool value;
	} forms[] = {{"true", true}, {"1", true}, {"false", false}, {"0", false}};
	bool is_true = json_is(item, JSON_TRUE), known = is_true || !item || item->type == JSON_FALSE;

	for (size_t i = 0; i < ARRAY_LEN(forms) && !known; i++) {
		if (item->text.n && str_eq_nocase(item->text, str_of(forms[i].text))) {
			is_true = forms[i].value;
			known = true;
		}
	}
	if (!known)
		return "true or false is expected here";
	value->text = value->json = is_true ? STR("true") : STR("false");
	return NULL;
}

static const char *read_uuid(struct arena *arena, const struct json *item, struct query_value *value)
{
	struct uuid id;
	char text[UUID_TEXT_BYTES + 1];

	if (!item)
		return "a value is expected here";
	if (!uuid_parse(json_text(item), &id)) {
		value->matches_nothing = true;
		return NULL;
	}
	uuid_format(&id, text);
	value->text = arena_str(arena, str_of(text));
	return NULL;
}

/* Milliseconds since 1970, as a number or as digits. */
static bool read_epoch_ms(const struct json *item, int64_t *ret_ms)
{
	struct str digits = json_text(item);
	bool negative = digits.n && digits.p[0] == '-';
	uint64_t value;

	if (json_is(item, JSON_NUMBER)) {
		if (!json_to_i64(item, ret_ms))
			return false;
	} else {
		if (negative)
			digits = (struct str){digits.p + 1, digits.n - 1};
		if (!digits.n || !str_to_u64(digits, TIME_MAX_MS, &value))
			return false;
		*ret_ms = negative ? -(int64_t)value : (int64_t)value;
	}
	return *ret_ms >= TIME_MIN_MS && *ret_ms <= TIME_MAX_MS;
}

static int64_t floor_to(int64_t value, int64_t unit)
{
	int64_t rest = value % unit;

	return value - (rest < 0 ? rest + unit : rest);
}

static bool read_time(const struct json *item, int64_t *ret_us)
{
	int64_t ms;

	if (read_epoch_ms(item, &ms)) {
		*ret_us = ms * MS_US;
		return true;
	}
	return time_parse(json_text(item), ret_us);
}

static const char time_expected[] = "a date, a date-time or milliseconds since 1970 are expected here";

static const char *read_time_us(struct arena *arena, const struct json *item, bool in_ms, struct query_value *value)
{
	int64_t us;

	if (!read_time(item, &us))
		return time_expected;
	value->text = int_text(arena, in_ms ? floor_to(us, MS_US) : us);
	return NULL;
}

/* True when the time of day in "yyyy-MM-ddThh:mm..." is not midnight. */
static bool has_time_of_day(struct str text)
{
	for (size_t i = 11; i < text.n && text.p[i] != 'Z' && text.p[i] != '+' && text.p[i] != '-'; i++)
		if (text.p[i] >= '1' && text.p[i] <= '9')
			return true;
	return false;
}

/* The day is taken as it is written, in whatever zone: a birthday is no moment. */
static const char *read_date(struct arena *arena, const struct json *item, struct query_value *value)
{
	char formatted[TIME_TEXT_BYTES + 1];
	struct str text = json_text(item);
	int64_t us;

	if (!read_time(item, &us))
		return time_expected;
	if (read_epoch_ms(item, &us)) {
		us *= MS_US;
		time_format(us, formatted);
		text = arena_str(arena, str_of(formatted));
	}
	value->text = (struct str){text.p, 10};
	value->json = quote(arena, value->text);
	value->past_midnight = has_time_of_day(text);
	value->matches_nothing = value->past_midnight;
	return NULL;
}

const char *query_value_read(
        struct arena *arena, enum attribute_type type, const struct json *item, struct query_value *ret_value)
{
	*ret_value = (struct query_value){0};
	switch (type) {
	case ATTRIBUTE_TEXT:
		return read_text(arena, item, ret_value);
	case ATTRIBUTE_NUMBER:
		return read_number(arena, item, ret_value);
	case ATTRIBUTE_BOOLEAN:
		return read_boolean(item, ret_value);
	case ATTRIBUTE_DATE:
		return read_date(arena, item, ret_value);
	case ATTRIBUTE_DATE_TIME:
		return read_time_us(arena, item, false, ret_value);
	case ATTRIBUTE_TIME_US:
		return read_time_us(arena, item, true, ret_value);
	case ATTRIBUTE_UUID:
		return read_uuid(arena, item, ret_value);
	case ATTRIBUTE_OBJECT:
		break;
	}
	return "an object cannot be compared";
}

const char *query_value_check_pattern(const struct json *item)
{
	struct str pattern = json_text(item);
	size_t slashes = 0;

	if (!json_is(item, JSON_STRING))
		return "a pattern is expected here: % stands for any text, _ for any character";
	while (slashes < pattern.n && pattern.p[pattern.n - 1 - slashes] == '\\')
		slashes++;
	return slashes % 2 ? "the pattern ends inside an escape" : NULL;
}

struct str query_value_day(struct arena *arena, struct str us, int days_later)
{
	char formatted[TIME_TEXT_BYTES + 1];

	time_format(strtoll(us.p, NULL, 10) + days_later * DAY_US, formatted);
	return arena_str(arena, (struct str){formatted, 10});
}

struct str query_value_next_ms(struct arena *arena, struct str us)
{
	return int_text(arena, strtoll(us.p, NULL, 10) + MS_US);
}
