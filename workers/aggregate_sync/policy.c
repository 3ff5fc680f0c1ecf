#include "common/arena.h"
#include "common/buf.h"
#include "common/decimal.h"
#include "common/list_builder.h"
#include "workers/aggregate_sync/profile.h"

static bool all_are(const struct json *const *values, size_t n, enum json_type type)
{
	for (size_t i = 0; i < n; i++)
		if (!json_is(values[i], type))
			return false;
	return n > 0;
}

static struct json *first(struct arena *arena, const struct json *const *values, size_t n)
{
	return n ? json_copy(arena, values[0], false) : NULL;
}

static struct json *concatenate(struct arena *arena, const struct json *const *values, size_t n)
{
	struct buf text;

	if (!all_are(values, n, JSON_STRING))
		return NULL;
	buf_init(&text, arena, 64);
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_add_char(&text, ' ');
		buf_add_str(&text, values[i]->text);
	}
	return json_new_str(arena, buf_str(&text));
}

static void add_new(struct arena *arena, struct list_builder *builder, const struct json *item)
{
	if (!list_builder_find(builder, item))
		list_builder_append(builder, json_copy(arena, item, false));
}

static struct json *unite(struct arena *arena, const struct json *const *values, size_t n)
{
	struct list_builder all;

	if (!all_are(values, n, JSON_ARRAY))
		return NULL;
	list_builder_init(&all, arena, NULL, false);
	for (size_t i = 0; i < n; i++)
		for
			json_each(item, values[i]) add_new(arena, &all, item);
	return all.list;
}

/* What the list has of those before. */
static struct json *common_of(struct arena *arena, const struct json *before, const struct json *list)
{
	struct list_builder held, common;

	list_builder_init(&held, arena, json_copy(arena, list, false), false);
	list_builder_init(&common, arena, NULL, false);
	for
		json_each(item, before)
		{
			if (list_builder_find(&held, item))
				add_new(arena, &common, item);
		}
	return common.list;
}

static struct json *intersect(struct arena *arena, const struct json *const *values, size_t n)
{
	struct json *common;

	if (!all_are(values, n, JSON_ARRAY))
		return NULL;
	common = common_of(arena, values[0], values[0]);
	for (size_t i = 1; i < n; i++)
		common = common_of(arena, common, values[i]);
	return common;
}

enum math { SUM, AVG, DIFF, MIN, MAX };

/* MIN, MAX: one of the values, with the digits that it came with. */
static const struct json *extreme(enum math math, const struct json *const *values, size_t n)
{
	const struct json *found = values[0];

	for (size_t i = 1; i < n; i++) {
		struct decimal best = decimal_read(found->text), value = decimal_read(values[i]->text);
		int order = decimal_compare(&value, &best);
		if (math == MIN ? order < 0 : order > 0)
			found = values[i];
	}
	return found;
}

/* Whole numbers keep all their digits; false when there are others, or the result is none of 64 bits. */
static bool fold_whole(enum math math, const struct json *const *values, size_t n, int64_t *ret_result)
{
	int64_t result = 0, value;

	for (size_t i = 0; i < n; i++) {
		struct decimal number = decimal_read(values[i]->text);
		if (!decimal_to_i64(&number, &value))
			return false;
		if (math == DIFF && i ? __builtin_sub_overflow(result, value, &result)
		                      : __builtin_add_overflow(result, value, &result))
			return false;
	}
	if (math == AVG && result % (int64_t)n)
		return false;
	*ret_result = math == AVG ? result / (int64_t)n : result;
	return true;
}

static double fold(enum math math, const struct json *const *values, size_t n)
{
	double result = json_to_double(values[0]);

	for (size_t i = 1; i < n; i++)
		result += math == DIFF ? -json_to_double(values[i]) : json_to_double(values[i]);
	return math == AVG ? result / (double)n : result;
}

/* Fifteen digits: what a decimal fraction had is there again. NULL when the number is none that a document can hold:
 * the profile could not be read again. */
static struct json *of_double(struct arena *arena, double value)
{
	struct err err = {0};

	return json_parse(arena, str_of(arena_printf(arena, "%.15g", value)), &err);
}

/* A number of more digits keeps them. */
static struct json *keep_digits(struct arena *arena, const struct json *exact)
{
	struct json *rounded = of_double(arena, json_to_double(exact));

	return rounded && json_equal(rounded, exact) ? rounded : json_copy(arena, exact, false);
}

static struct json *calculate(struct arena *arena, enum math math, const struct json *const *values, size_t n)
{
	int64_t whole;

	if (!all_are(values, n, JSON_NUMBER))
		return NULL;
	if (n == 1 || math == MIN || math == MAX)
		return keep_digits(arena, extreme(math, values, n));
	if (fold_whole(math, values, n, &whole))
		return keep_digits(arena, json_new_i64(arena, whole));
	return of_double(arena, fold(math, values, n));
}

static struct json *sum(struct arena *arena, const struct json *const *values, size_t n)
{
	return calculate(arena, SUM, values, n);
}

static struct json *avg(struct arena *arena, const struct json *const *values, size_t n)
{
	return calculate(arena, AVG, values, n);
}

static struct json *diff(struct arena *arena, const struct json *const *values, size_t n)
{
	return calculate(arena, DIFF, values, n);
}

static struct json *least(struct arena *arena, const struct json *const *values, size_t n)
{
	return calculate(arena, MIN, values, n);
}

static struct json *most(struct arena *arena, const struct json *const *values, size_t n)
{
	return calculate(arena, MAX, values, n);
}

static const struct {
	const char *id;
	struct json *(*apply)(struct arena *arena, const struct json *const *values, size_t n);
} policies[] = {
        {"OBJ_PRIORITY", first},
        {"OBJ_CONCATENATE", concatenate},
        {"ARRAY_UNION", unite},
        {"ARRAY_INTERSECTION", intersect},
        {"MATH_SUM", sum},
        {"MATH_AVG", avg},
        {"MATH_DIFF", diff},
        {"MATH_MIN", least},
        {"MATH_MAX", most},
};

struct json *profile_apply_policy(struct arena *arena, struct str policy, const struct json *const *values, size_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(policies); i++)
		if (str_is(policy, policies[i].id))
			return policies[i].apply(arena, values, n);
	return NULL;
}
