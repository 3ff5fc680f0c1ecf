#include "common/json.h"

#include "common/arena.h"
#include "common/decimal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Up to this many members comparing keys one by one is the fastest way. */
#define FEW_MEMBERS 16

struct json *json_new(struct arena *arena, enum json_type type)
{
	struct json *value = arena_zalloc(arena, sizeof(*value));

	value->type = type;
	return value;
}

struct json *json_new_str(struct arena *arena, struct str text)
{
	struct json *value = json_new(arena, JSON_STRING);

	value->text = text;
	return value;
}

struct json *json_new_i64(struct arena *arena, int64_t number)
{
	struct json *value = json_new(arena, JSON_NUMBER);

	value->text = str_of(arena_printf(arena, "%" PRId64, number));
	return value;
}

struct json *json_new_bool(struct arena *arena, bool value)
{
	return json_new(arena, value ? JSON_TRUE : JSON_FALSE);
}

struct json *json_append(struct json *array, struct json *item)
{
	item->next = NULL;
	if (array->last)
		array->last->next = item;
	else
		array->first = item;
	array->last = item;
	array->count++;
	return item;
}

struct json *json_add(struct json *object, struct str key, struct json *value)
{
	value->key = key;
	return json_append(object, value);
}

/* The pointer that points to the member with this key, or to the NULL behind the last member. */
static struct json **find_link(struct json *object, struct str key, struct json **ret_before)
{
	struct json **link = &object->first;

	*ret_before = NULL;
	for (; *link; link = &(*link)->next) {
		if (str_eq((*link)->key, key))
			break;
		*ret_before = *link;
	}
	return link;
}

struct json *json_set(struct json *object, struct str key, struct json *value)
{
	struct json *before;
	struct json **link = find_link(object, key, &before);
	struct json *old = *link;

	if (!old)
		return json_add(object, key, value);
	value->key = key;
	value->next = old->next;
	*link = value;
	if (object->last == old)
		object->last = value;
	return value;
}

void json_assign(struct json *value, const struct json *content)
{
	value->type = content->type;
	value->count = content->count;
	value->text = content->text;
	value->first = content->first;
	value->last = content->last;
}

bool json_remove(struct json *object, struct str key)
{
	struct json *before;
	struct json **link = find_link(object, key, &before);
	struct json *old = *link;

	if (!old)
		return false;
	*link = old->next;
	if (object->last == old)
		object->last = before;
	object->count--;
	return true;
}

struct json *json_get(const struct json *value, struct str key)
{
	if (!json_is(value, JSON_OBJECT))
		return NULL;
	for
		json_each(member, value)
		{
			if (str_eq(member->key, key))
				return member;
		}
	return NULL;
}

struct json *json_path(const struct json *value, struct str dotted_path)
{
	struct json *found = NULL;
	struct str name;

	while (str_split(&dotted_path, '.', &name)) {
		found = json_get(value, name);
		if (!found)
			return NULL;
		value = found;
	}
	return found;
}

struct json *json_path_make(struct arena *arena, struct json *value, struct str dotted_path, struct str *ret_name)
{
	struct str name = STR_NONE;

	while (str_split(&dotted_path, '.', &name) && dotted_path.p) {
		struct json *next = json_get(value, name);

		if (!json_is(next, JSON_OBJECT))
			next = json_set(value, name, json_new(arena, JSON_OBJECT));
		value = next;
	}
	*ret_name = name;
	return value;
}

bool json_is_null(const struct json *value)
{
	return !value || value->type == JSON_NULL;
}

bool json_is(const struct json *value, enum json_type type)
{
	return value && value->type == type;
}

bool json_is_true(const struct json *value)
{
	return json_is(value, JSON_TRUE);
}

struct str json_text(const struct json *value)
{
	return json_is(value, JSON_STRING) ? value->text : STR_NONE;
}

bool json_to_i64(const struct json *value, int64_t *ret_value)
{
	struct decimal number;

	if (!json_is(value, JSON_NUMBER))
		return false;
	number = decimal_read(value->text);
	return decimal_to_i64(&number, ret_value);
}

double json_to_double(const struct json *value)
{
	/* Sign, both sides of the point, the point, an exponent: as much as the parser lets in. */
	char text[2 * JSON_MAX_DIGITS + 16];
	struct str number;

	if (!json_is(value, JSON_NUMBER))
		return 0;
	number = str_utf8_cut(value->text, sizeof(text) - 1);
	memcpy(text, number.p, number.n);
	text[number.n] = '\0';
	return strtod(text, NULL);
}

struct json *json_copy(struct arena *arena, const struct json *value, bool copy_strings)
{
	struct json *copy = arena_alloc(arena, sizeof(*copy));

	*copy = *value;
	copy->next = copy->first = copy->last = NULL;
	copy->count = 0;
	if (copy_strings) {
		copy->key = arena_str(arena, value->key);
		copy->text = arena_str(arena, value->text);
	}
	for
		json_each(child, value) json_append(copy, json_copy(arena, child, copy_strings));
	return copy;
}

struct json *json_alias(struct arena *arena, const struct json *value)
{
	struct json *alias = json_new(arena, value->type);

	json_assign(alias, value);
	return alias;
}

size_t json_depth(const struct json *value)
{
	size_t deepest = 0;

	if (value->type != JSON_ARRAY && value->type != JSON_OBJECT)
		return 0;
	for
		json_each(child, value)
		{
			size_t depth = json_depth(child);

			deepest = depth > deepest ? depth : deepest;
		}
	return deepest + 1;
}

static bool numbers_equal(struct str a, struct str b)
{
	struct decimal left, right;

	if (str_eq(a, b))
		return true;
	left = decimal_read(a);
	right = decimal_read(b);
	return decimal_compare(&left, &right) == 0;
}

static bool arrays_equal(const struct json *a, const struct json *b)
{
	const struct json *right = b->first;

	for
		json_each(left, a)
		{
			if (!json_equal(left, right))
				return false;
			right = right->next;
		}
	return true;
}

static bool few_members_equal(const struct json *a, const struct json *b)
{
	for
		json_each(left, a)
		{
			const struct json *right = json_get(b, left->key);

			if (!right || !json_equal(left, right))
				return false;
		}
	return true;
}

static int compare_keys(const void *a, const void *b)
{
	return str_compare((*(const struct json *const *)a)->key, (*(const struct json *const *)b)->key);
}

static void sort_members(const struct json *object, const struct json **members)
{
	size_t n = 0;

	for
		json_each(member, object) members[n++] = member;
	qsort(members, n, sizeof(*members), compare_keys);
}

struct json_index json_index_new(struct arena *arena, const struct json *object)
{
	struct json_index index = {.n = json_is(object, JSON_OBJECT) ? object->count : 0};

	index.members = arena_alloc(arena, (index.n + 1) * sizeof(*index.members));
	if (index.n)
		sort_members(object, index.members);
	return index;
}

const struct json *json_index_get(const struct json_index *index, struct str key)
{
	const struct json named = {.key = key}, *wanted = &named;
	const struct json **found = bsearch(&wanted, index->members, index->n, sizeof(*index->members), compare_keys);

	return found ? *found : NULL;
}

/* Strangers choose how many members there are: pairs are found by sorting, not by looking each one up. */
static bool many_members_equal(const struct json *a, const struct json *b)
{
	const struct json **left = calloc((size_t)a->count * 2, sizeof(const struct json *));
	const struct json **right = left + a->count;
	bool equal = true;

	if (!left)
		abort();
	sort_members(a, left);
	sort_members(b, right);
	for (uint32_t i = 0; equal && i < a->count; i++)
		equal = str_eq(left[i]->key, right[i]->key) && json_equal(left[i], right[i]);
	free(left);
	return equal;
}

bool json_equal(const struct json *a, const struct json *b)
{
	if (a->type != b->type || a->count != b->count)
		return false;
	switch (a->type) {
	case JSON_NUMBER:
		return numbers_equal(a->text, b->text);
	case JSON_STRING:
		return str_eq(a->text, b->text);
	case JSON_ARRAY:
		return arrays_equal(a, b);
	case JSON_OBJECT:
		return a->count <= FEW_MEMBERS ? few_members_equal(a, b) : many_members_equal(a, b);
	case JSON_NULL:
	case JSON_FALSE:
	case JSON_TRUE:
		return true;
	}
	return false;
}
