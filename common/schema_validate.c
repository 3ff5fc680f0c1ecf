#include "common/schema_private.h"

#include "common/buf.h"

#include <stdio.h>

/* Bounds what a pattern may cost; the patterns of extended properties are made by strangers. */
#define PATTERN_MATCH_LIMIT 20000
#define PATTERN_DEPTH_LIMIT 1000

/* Longer names and pointers are cut: they come from the body, and each problem has one. */
#define NAME_MAX_BYTES 256
#define POINTER_MAX_BYTES 1024

/* problems is NULL while alternatives are tried: the first fault ends the check and nothing is reported. */
struct run {
	struct problems *problems;
	struct str base_pointer;
};

static bool check(
        const struct run *run, const struct schema *schema, const struct json *value, const struct schema_place *place);

void schema_place_write(struct buf *pointer, const struct schema_place *place)
{
	char index[24];

	if (!place)
		return;
	schema_place_write(pointer, place->outer);
	if (pointer->n > POINTER_MAX_BYTES)
		return;
	if (place->name.p) {
		json_pointer_add(pointer, str_utf8_cut(place->name, NAME_MAX_BYTES));
		return;
	}
	snprintf(index, sizeof(index), "%zu", place->index);
	json_pointer_add(pointer, str_of(index));
}

static struct str pointer_text(const struct run *run, const struct schema_place *place)
{
	struct buf pointer;

	buf_init(&pointer, run->problems->arena, run->base_pointer.n + 64);
	buf_add_str(&pointer, run->base_pointer);
	schema_place_write(&pointer, place);
	return buf_str(&pointer);
}

/* Reports a fault when faults are wanted. Always false. */
#define FAULT(run, place, ...)                                                                                         \
	((run)->problems && (run)->problems->n < PROBLEMS_MAX                                                          \
	                ? problems_add((run)->problems, pointer_text((run), (place)), __VA_ARGS__)                     \
	                : (void)0,                                                                                     \
	        false)

static bool is_integer(const struct json *value)
{
	struct decimal number;
	size_t i = value->text.p[0] == '-';

	while (i < value->text.n && value->text.p[i] >= '0' && value->text.p[i] <= '9')
		i++;
	if (i == value->text.n)
		return true;
	number = decimal_read(value->text);
	return decimal_is_integer(&number);
}

uint8_t schema_type_of(const struct json *value)
{
	static const uint8_t bits[] = {
	        [JSON_NULL] = SCHEMA_NULL,
	        [JSON_FALSE] = SCHEMA_BOOLEAN,
	        [JSON_TRUE] = SCHEMA_BOOLEAN,
	        [JSON_NUMBER] = SCHEMA_NUMBER,
	        [JSON_STRING] = SCHEMA_STRING,
	        [JSON_ARRAY] = SCHEMA_ARRAY,
	        [JSON_OBJECT] = SCHEMA_OBJECT,
	};

	return bits[value->type];
}

static bool has_type(uint8_t types, const struct json *value)
{
	if (types & schema_type_of(value))
		return true;
	return value->type == JSON_NUMBER && (types & SCHEMA_INTEGER) && is_integer(value);
}

static bool report_type(const struct run *run, const struct schema *schema, const struct schema_place *place)
{
	char text[96];

	return FAULT(run, place, "must be %.*s", STR_ARG(schema_types_text(schema->types, text)));
}

static bool is_among_strings(const struct schema *schema, struct str text)
{
	size_t low = 0, high = schema->n_strings;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = str_compare(text, schema->strings[middle]);

		if (order == 0)
			return true;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

static bool check_enumeration(
        const struct run *run, const struct schema *schema, const struct json *value, const struct schema_place *place)
{
	if (value->type == JSON_STRING && is_among_strings(schema, value->text))
		return true;
	for (size_t i = 0; i < schema->n_others; i++) {
		if (json_equal(schema->others[i], value))
			return true;
	}
	return FAULT(run, place, "is not one of %.*s", STR_ARG(schema->choices));
}

static bool pattern_matches(const pcre2_code *pattern, struct str text)
{
	static pcre2_match_context *context;
	static pcre2_match_data *data;

	if (!context) {
		context = pcre2_match_context_create(NULL);
		data = pcre2_match_data_create(1, NULL);
		pcre2_set_match_limit(context, PATTERN_MATCH_LIMIT);
		pcre2_set_depth_limit(context, PATTERN_DEPTH_LIMIT);
	}
	return pcre2_match(pattern, (PCRE2_SPTR)text.p, text.n, 0, PCRE2_NO_UTF_CHECK, data, context) >= 0;
}

static bool check_length(
        const struct run *run, const struct schema *schema, struct str text, const struct schema_place *place)
{
	size_t n;

	/* A character has one to four bytes, so most texts need not be counted. */
	if (text.n <= schema->max_length && text.n / 4 >= schema->min_length)
		return true;
	n = str_utf8_length(text);
	if (n > schema->max_length)
		return FAULT(run, place, "must not be longer than %zu characters", schema->max_length);
	if (n < schema->min_length)
		return FAULT(run, place, "must not be shorter than %zu character%s", schema->min_length,
		        schema->min_length == 1 ? "" : "s");
	return true;
}

static bool check_string(
        const struct run *run, const struct schema *schema, struct str text, const struct schema_place *place)
{
	if (!check_length(run, schema, text, place))
		return false;
	if (schema->format && !schema->format->matches(text))
		return FAULT(run, place, "must be %s", schema->format->what);
	if (schema->pattern && !pattern_matches(schema->pattern, text))
		return FAULT(run, place, "does not have the form that is asked for");
	return true;
}

static bool check_number(
        const struct run *run, const struct schema *schema, const struct json *value, const struct schema_place *place)
{
	struct decimal number;
	int order;

	if (!schema->has_minimum && !schema->has_maximum)
		return true;
	number = decimal_read(value->text);
	order = schema->has_minimum ? decimal_compare(&number, &schema->minimum) : 1;
	if (order < 0 || (order == 0 && schema->minimum_excluded))
		return FAULT(run, place, "must be %s %.*s", schema->minimum_excluded ? "above" : "at least",
		        STR_ARG(schema->minimum_text));
	order = schema->has_maximum ? decimal_compare(&number, &schema->maximum) : -1;
	if (order > 0 || (order == 0 && schema->maximum_excluded))
		return FAULT(run, place, "must be %s %.*s", schema->maximum_excluded ? "below" : "at most",
		        STR_ARG(schema->maximum_text));
	return true;
}

static bool check_lengths(
        const struct run *run, const struct schema *schema, const struct json *array, const struct schema_place *place)
{
	size_t total = 0, joined;

	if (schema->max_total_length == SIZE_MAX && schema->max_joined_length == SIZE_MAX)
		return true;
	for
		json_each(item, array) total += str_utf8_length(json_text(item));
	joined = total + (array->count ? array->count - 1 : 0);
	if (total > schema->max_total_length)
		return FAULT(run, place, "must not have more than %zu characters in total", schema->max_total_length);
	if (joined > schema->max_joined_length)
		return FAULT(run, place, "must not have more than %zu characters in total, one between each two items",
		        schema->max_joined_length);
	return true;
}

static bool check_count(const struct run *run, const struct schema *schema, size_t n, const struct schema_place *place)
{
	if (n < schema->min_items)
		return FAULT(run, place, "must have at least %zu item%s", schema->min_items,
		        schema->min_items == 1 ? "" : "s");
	if (n > schema->max_items && !schema->max_items)
		return FAULT(run, place, "must be empty");
	if (n > schema->max_items)
		return FAULT(run, place, "must not have more than %zu item%s", schema->max_items,
		        schema->max_items == 1 ? "" : "s");
	return true;
}

static bool check_array(
        const struct run *run, const struct schema *schema, const struct json *array, const struct schema_place *place)
{
	struct schema_place item_place = {.outer = place};
	bool ok = check_count(run, schema, array->count, place);

	ok &= check_lengths(run, schema, array, place);
	if (!schema->items)
		return ok;
	for
		json_each(item, array)
		{
			if (!ok && !run->problems)
				return false;
			ok &= check(run, schema->items, item, &item_place);
			item_place.index++;
		}
	return ok;
}

static bool report_missing(
        const struct run *run, const struct schema *schema, uint64_t missing, const struct schema_place *place)
{
	struct schema_place member_place = {.outer = place};

	for (uint32_t i = 0; run->problems && i < schema->n_slots; i++) {
		if (!(schema->properties[i].required & missing))
			continue;
		member_place.name = schema->properties[i].name;
		(void)FAULT(run, &member_place, "is required");
	}
	return false;
}

static bool check_member(const struct run *run, const struct schema *schema, const struct schema_property *property,
        const struct json *member, const struct schema_place *place)
{
	struct schema_place member_place = {.outer = place, .name = member->key};

	if (property && property->schema)
		return check(run, property->schema, member, &member_place);
	if (schema->closed)
		return FAULT(run, &member_place, "is not a known property");
	return !schema->additional || check(run, schema->additional, member, &member_place);
}

static bool check_object(
        const struct run *run, const struct schema *schema, const struct json *object, const struct schema_place *place)
{
	uint64_t missing = schema->required;
	bool ok = true;

	if (!schema->properties && !schema->closed && !schema->additional)
		return true;
	for
		json_each(member, object)
		{
			const struct schema_property *property = schema_property_find(schema, member->key);

			if (property)
				missing &= ~property->required;
			ok &= check_member(run, schema, property, member, place);
			if (!ok && !run->problems)
				return false;
		}
	return missing ? report_missing(run, schema, missing, place) : ok;
}

/* Values of the other types pass: only `type` speaks of them. */
static bool check_by_type(
        const struct run *run, const struct schema *schema, const struct json *value, const struct schema_place *place)
{
	switch (value->type) {
	case JSON_STRING:
		return check_string(run, schema, value->text, place);
	case JSON_NUMBER:
		return check_number(run, schema, value, place);
	case JSON_ARRAY:
		return check_array(run, schema, value, place);
	case JSON_OBJECT:
		return check_object(run, schema, value, place);
	case JSON_NULL:
	case JSON_FALSE:
	case JSON_TRUE:
		return true;
	}
	return true;
}

static bool check_all_of(
        const struct run *run, const struct schema *schema, const struct json *value, const struct schema_place *place)
{
	bool ok = true;

	for (size_t i = 0; i < schema->all_of.n; i++)
		ok &= check(run, schema->all_of.items[i], value, place);
	return ok;
}

static size_t count_matches(const struct schema_list *list, const struct json *value, size_t enough)
{
	const struct run quiet = {.problems = NULL};
	size_t n = 0;

	for (size_t i = 0; i < list->n && n < enough; i++)
		n += check(&quiet, list->items[i], value, NULL);
	return n;
}

/* When one alternative alone takes the value's type, its faults are the ones to name ("X or null" is the common case).
 */
static bool report_alternatives(const struct run *run, const struct schema_list *list, const struct json *value,
        const struct schema_place *place)
{
	const struct schema *only = NULL;
	uint8_t types = 0;

	if (!run->problems)
		return false;
	for (size_t i = 0; i < list->n; i++) {
		types |= list->items[i]->types;
		if (!has_type(list->items[i]->types, value))
			continue;
		if (only)
			return FAULT(run, place, "fits none of the forms that are possible");
		only = list->items[i];
	}
	if (only)
		return check(run, only, value, place);
	return report_type(run, &(struct schema){.types = types}, place);
}

static bool check_any_of(
        const struct run *run, const struct schema *schema, const struct json *value, const struct schema_place *place)
{
	if (!schema->any_of.n || count_matches(&schema->any_of, value, 1))
		return true;
	return report_alternatives(run, &schema->any_of, value, place);
}

static bool check_one_of(
        const struct run *run, const struct schema *schema, const struct json *value, const struct schema_place *place)
{
	size_t n;

	if (!schema->one_of.n)
		return true;
	n = count_matches(&schema->one_of, value, 2);
	if (n == 1)
		return true;
	if (n > 1)
		return FAULT(run, place, "fits more than one of the forms that are possible");
	return report_alternatives(run, &schema->one_of, value, place);
}

static bool check(
        const struct run *run, const struct schema *schema, const struct json *value, const struct schema_place *place)
{
	bool ok = true;

	if (schema->never)
		return FAULT(run, place, "is not allowed");
	/* What else a value of the wrong type breaks is of no use to anybody. */
	if (schema->types != SCHEMA_ANY && !has_type(schema->types, value))
		return report_type(run, schema, place);
	if (schema->has_enumeration && !check_enumeration(run, schema, value, place))
		return false;
	ok = check_by_type(run, schema, value, place);
	if (schema->all_of.n)
		ok &= check_all_of(run, schema, value, place);
	if (schema->any_of.n)
		ok &= check_any_of(run, schema, value, place);
	if (schema->one_of.n)
		ok &= check_one_of(run, schema, value, place);
	return ok;
}

bool schema_validate(
        const struct schema *schema, const struct json *value, struct str base_pointer, struct problems *problems)
{
	const struct run run = {.problems = problems, .base_pointer = base_pointer};

	return check(&run, schema, value, NULL);
}
