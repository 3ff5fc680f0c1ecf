#include "common/list_builder.h"

#include "common/arena.h"
#include "common/decimal.h"
#include "common/hash.h"

#define FEW_ITEMS 12

/* The hash depends on the process (its key is drawn anew): it finds, it never decides. */
static uint64_t hash_number(struct str text)
{
	struct decimal number = decimal_read(text);
	char digits[2 * JSON_MAX_DIGITS + 2];
	size_t n = 0;

	for (size_t i = 0; i < number.digits.n && n < sizeof(digits); i++)
		if (number.digits.p[i] != '.')
			digits[n++] = number.digits.p[i];
	return hash_keyed((struct str){digits, n}) + (uint64_t)number.point * 31 + number.negative;
}

static uint64_t hash_value(const struct json *value)
{
	uint64_t hash = (uint64_t)value->type + 1;

	if (value->type == JSON_STRING)
		return hash * 0x9e3779b97f4a7c15u ^ hash_keyed(value->text);
	if (value->type == JSON_NUMBER)
		return hash * 0x9e3779b97f4a7c15u ^ hash_number(value->text);
	for
		json_each(child, value)
		{
			if (value->type == JSON_OBJECT) /* a sum: members come in any order */
				hash += hash_keyed(child->key) * (hash_value(child) | 1);
			else
				hash = hash * 0x100000001b3u + hash_value(child);
		}
	return hash;
}

/* NULL when the item is found by its value. */
static const struct json *id_of(const struct list_builder *builder, const struct json *item)
{
	const struct json *id = builder->by_id ? json_member(item, "id") : NULL;

	return json_is(id, JSON_STRING) ? id : NULL;
}

static bool same(const struct list_builder *builder, const struct json *a, const struct json *b)
{
	const struct json *left = id_of(builder, a), *right = id_of(builder, b);

	if (left && right)
		return str_eq(left->text, right->text);
	return !left && !right && json_equal(a, b);
}

static struct json **slot_of(const struct list_builder *builder, const struct json *item)
{
	const struct json *id = id_of(builder, item);
	size_t i = hash_value(id ? id : item) & (builder->n_slots - 1);

	while (builder->slots[i] && !same(builder, builder->slots[i], item))
		i = (i + 1) & (builder->n_slots - 1);
	return &builder->slots[i];
}

static void rehash(struct list_builder *builder)
{
	builder->n_slots = 64;
	while (builder->n_slots < (size_t)builder->list->count * 4)
		builder->n_slots *= 2;
	builder->slots = arena_zalloc(builder->arena, builder->n_slots * sizeof(struct json *));
	for
		json_each(item, builder->list)
		{
			struct json **slot = slot_of(builder, item);

			if (!*slot)
				*slot = item;
		}
}

void list_builder_init(struct list_builder *builder, struct arena *arena, struct json *list, bool by_id)
{
	*builder = (struct list_builder){
	        .arena = arena, .list = list ? list : json_new(arena, JSON_ARRAY), .by_id = by_id};
	if (builder->list->count > FEW_ITEMS)
		rehash(builder);
}

struct json *list_builder_find(const struct list_builder *builder, const struct json *item)
{
	if (builder->slots)
		return *slot_of(builder, item);
	for
		json_each(held, builder->list)
		{
			if (same(builder, held, item))
				return held;
		}
	return NULL;
}

void list_builder_append(struct list_builder *builder, struct json *item)
{
	item->key = STR_NONE;
	json_append(builder->list, item);
	if (builder->list->count <= FEW_ITEMS)
		return;
	if (!builder->slots || (size_t)builder->list->count * 2 > builder->n_slots)
		rehash(builder);
	else
		*slot_of(builder, item) = item;
}
