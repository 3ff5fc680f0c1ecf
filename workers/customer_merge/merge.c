#include "workers/customer_merge/merge.h"

#include "common/arena.h"
#include "common/clock.h"
#include "common/key_table.h"
#include "common/list_builder.h"

/* Up to this many members are looked up one by one. */
#define FEW_MEMBERS 32

struct merge {
	struct arena *arena;
	enum merge_mode mode;
	bool strict;
};

static void merge_object(const struct merge *merge, struct json *target, const struct json *incoming,
        const struct customer_shape *shape);

/* A string, number or boolean as it is kept. */
static struct json *kept_scalar(struct arena *arena, const struct json *value, const struct customer_shape *shape)
{
	struct json *copy = json_copy(arena, value, false);
	int64_t time_us;

	if (shape && shape->kind == CUSTOMER_TIME && value->type == JSON_STRING && time_parse(value->text, &time_us)) {
		char *text = arena_alloc(arena, TIME_TEXT_BYTES + 1);

		time_format(time_us, text);
		copy->text = str_of(text);
	}
	return copy;
}

/* An item, or a field of one, as it is kept: without nulls, at any depth. */
static struct json *kept_value(struct arena *arena, const struct json *value, const struct customer_shape *shape)
{
	struct json *copy;

	if (value->type != JSON_ARRAY && value->type != JSON_OBJECT)
		return kept_scalar(arena, value, shape);
	copy = json_new(arena, value->type);
	copy->key = value->key;
	for
		json_each(child, value)
		{
			const struct customer_shape *below =
			        value->type == JSON_OBJECT ? customer_shape_member(shape, child->key) : shape;

			if (value->type == JSON_ARRAY || child->type != JSON_NULL)
				json_append(copy, kept_value(arena, child, below));
		}
	return copy;
}

static void set_field(const struct merge *merge, struct json *target, struct json *kept)
{
	bool is_empty = (kept->type == JSON_ARRAY || kept->type == JSON_OBJECT) && !kept->count;

	if (!is_empty || merge->mode != MERGE_POST)
		json_set(target, kept->key, kept);
}

/* Item fields: null removes, objects merge, all else replaces; on POST, null and [] mean nothing. */
static void merge_fields(
        const struct merge *merge, struct json *target, const struct json *incoming, const struct customer_shape *shape)
{
	for
		json_each(field, incoming)
		{
			const struct customer_shape *below = customer_shape_member(shape, field->key);
			struct json *present = json_get(target, field->key);

			if (field->type == JSON_NULL) {
				if (merge->mode != MERGE_POST)
					json_remove(target, field->key);
			} else if (field->type == JSON_OBJECT && json_is(present, JSON_OBJECT)) {
				merge_fields(merge, present, field, below);
			} else {
				set_field(merge, target, kept_value(merge->arena, field, below));
			}
		}
}

static bool keeps_fields(const struct merge *merge, const struct customer_shape *shape)
{
	return shape && shape->kind == CUSTOMER_SUBSCRIPTIONS && !merge->strict;
}

static bool has_ids(const struct customer_shape *shape)
{
	return shape && (shape->kind == CUSTOMER_ITEMS || shape->kind == CUSTOMER_SUBSCRIPTIONS);
}

/* One item joins a list. */
static void merge_into_list(const struct merge *merge, struct list_builder *builder, const struct json *item,
        const struct customer_shape *shape)
{
	/* as it would be kept: its nulls make it no other one */
	struct json *kept = kept_value(merge->arena, item, shape);
	struct json *present = list_builder_find(builder, kept);

	if (!present)
		list_builder_append(builder, kept);
	else if (keeps_fields(merge, shape))
		merge_fields(merge, present, item, shape);
	else if (has_ids(shape))
		json_assign(present, kept);
}

static void merge_list(const struct merge *merge, struct json *target, struct json *present,
        const struct json *incoming, const struct customer_shape *shape)
{
	bool grows = merge->mode == MERGE_POST || keeps_fields(merge, shape);
	struct list_builder builder;

	if (incoming->count == 0 && merge->mode == MERGE_POST)
		return;
	if (incoming->count == 0 && shape) {
		json_remove(target, incoming->key); /* where the shape has a list, absent is [] */
		return;
	}
	if (!json_is(present, JSON_ARRAY) || !grows)
		present = NULL;
	list_builder_init(&builder, merge->arena, present, has_ids(shape));
	for
		json_each(item, incoming) merge_into_list(merge, &builder, item, shape);
	if (!present)
		json_set(target, incoming->key, builder.list);
}

/* A POST says nothing with an object that holds only nulls and empty lists; and one that is always answered as an
   object is not kept empty. */
static bool is_worth_keeping(const struct merge *merge, const struct json *object, const struct customer_shape *shape)
{
	return object->count || !(merge->mode == MERGE_POST || (shape && shape->always));
}

static void merge_sub_object(const struct merge *merge, struct json *target, struct json *present,
        const struct json *incoming, const struct customer_shape *shape)
{
	bool fresh = !json_is(present, JSON_OBJECT);

	if (fresh)
		present = json_new(merge->arena, JSON_OBJECT);
	merge_object(merge, present, incoming, shape);
	if (fresh && is_worth_keeping(merge, present, shape))
		json_set(target, incoming->key, present);
	else if (!fresh && !present->count && shape && shape->always)
		json_remove(target, incoming->key);
}

static void merge_member(
        const struct merge *merge, struct json *target, const struct json *incoming, const struct customer_shape *shape)
{
	struct json *present = json_get(target, incoming->key);

	switch (incoming->type) {
	case JSON_NULL:
		if (merge->mode != MERGE_POST)
			json_remove(target, incoming->key);
		break;
	case JSON_OBJECT:
		merge_sub_object(merge, target, present, incoming, shape);
		break;
	case JSON_ARRAY:
		merge_list(merge, target, present, incoming, shape);
		break;
	case JSON_FALSE:
	case JSON_TRUE:
	case JSON_NUMBER:
	case JSON_STRING:
		json_set(target, incoming->key, kept_scalar(merge->arena, incoming, shape));
		break;
	}
}

/* A member of a wide object. */
struct place {
	struct str key;
	struct json *member; /* NULL: removed */
};

/* Strangers choose how many members there are: each is merged as if it were alone in the object. */
static void merge_wide_object(
        const struct merge *merge, struct json *target, const struct json *incoming, const struct customer_shape *shape)
{
	size_t most = (size_t)target->count + incoming->count, n = 0;
	struct place *places = arena_alloc(merge->arena, most * sizeof(*places));
	struct key_table table;

	key_table_init(&table, merge->arena, most);
	for
		json_each(member, target)
		{
			places[n] = (struct place){member->key, member};
			key_table_add(&table, &places[n++].key);
		}
	for
		json_each(member, incoming)
		{
			places[n] = (struct place){member->key, NULL};
			struct place *place = (struct place *)key_table_add(&table, &places[n].key);
			struct json alone = {.type = JSON_OBJECT};

			n += place == &places[n];
			if (place->member)
				json_append(&alone, place->member);
			merge_member(merge, &alone, member, customer_shape_member(shape, member->key));
			place->member = alone.first;
		}
	target->first = target->last = NULL;
	target->count = 0;
	for (size_t i = 0; i < n; i++)
		if (places[i].member)
			json_append(target, places[i].member);
}

static void merge_object(
        const struct merge *merge, struct json *target, const struct json *incoming, const struct customer_shape *shape)
{
	if (incoming->count > FEW_MEMBERS) {
		merge_wide_object(merge, target, incoming, shape);
		return;
	}
	for
		json_each(member, incoming)
		        merge_member(merge, target, member, customer_shape_member(shape, member->key));
}

/* Only what the document's shape names is written; the rest of the body is read-only. */
static void merge_document(const struct merge *merge, struct json *doc, const struct json *body)
{
	for
		json_each(member, body)
		{
			const struct customer_shape *shape = customer_shape_member(&customer_shape, member->key);
			bool is_switch = str_eq(member->key, STR("enabled"));

			if (!shape || (is_switch && member->type == JSON_NULL))
				continue;
			merge_member(merge, doc, member, shape);
		}
}

static struct json *new_document(struct arena *arena)
{
	struct json *doc = json_new(arena, JSON_OBJECT);

	json_add(doc, STR("enabled"), json_new_bool(arena, true));
	return doc;
}

static struct problems *new_problems(struct arena *arena)
{
	struct problems *problems = arena_alloc(arena, sizeof(*problems));

	problems_init(problems, arena);
	return problems;
}

/* Limits of the whole, which lists can pass although each body was within them. */
static bool check_tags(const struct json *doc, const char *name, struct problems *problems)
{
	const struct json *list = json_get(json_member(doc, "tags"), str_of(name));
	size_t n = 0;

	if (!json_is(list, JSON_ARRAY))
		return true;
	for
		json_each(tag, list) n += str_utf8_length(json_text(tag));
	if (n <= CUSTOMER_MAX_TAGS)
		return true;
	problems_add(problems, str_of(arena_printf(problems->arena, "/tags/%s", name)),
	        "the tags are longer than %d characters together", CUSTOMER_MAX_TAGS);
	return false;
}

static enum err_code check_limits(const struct json *current, const struct json *doc, struct problems *problems)
{
	size_t n_bytes = customer_doc_bytes(doc);
	bool tags_fit = check_tags(doc, "auto", problems);

	if (!check_tags(doc, "manual", problems) || !tags_fit)
		return ERR_INVALID;
	/* one that is too large already may still be made smaller */
	if (n_bytes <= CUSTOMER_MAX_BYTES || (current && n_bytes <= customer_doc_bytes(current)))
		return ERR_NONE;
	problems_add(problems, STR(""), "the customer would be larger than %d bytes", CUSTOMER_MAX_BYTES);
	return ERR_TOO_LARGE;
}

/* A property that became mandatory later may be missing: only removing one is refused. */
static void check_mandatory_kept(const struct customer_policy *policy, const struct json *current,
        const struct json *doc, struct problems *problems)
{
	struct problems before = {0};

	problems_init(&before, problems->arena);
	for (size_t i = 0; i < policy->n_mandatory; i++) {
		struct customer_policy one = {.mandatory = &policy->mandatory[i], .n_mandatory = 1};

		if (customer_check_required(&one, current, &before))
			customer_check_required(&one, doc, problems);
	}
}

static struct merge_result refused(enum err_code code, struct problems *problems)
{
	return (struct merge_result){.refused = code, .problems = problems};
}

struct merge_result merge_customer(struct arena *arena, const struct json *current, const struct json *body,
        enum merge_mode mode, bool strict, const struct customer_policy *policy)
{
	struct merge merge = {.arena = arena, .mode = mode, .strict = strict};
	struct problems *problems = new_problems(arena);
	struct json *doc = current ? json_copy(arena, current, false) : new_document(arena);
	enum err_code code;

	if (mode != MERGE_PATCH && !customer_check_required(policy, body, problems))
		return refused(ERR_INVALID, problems);
	merge_document(&merge, doc, body);
	if (mode == MERGE_PATCH && policy->n_mandatory)
		check_mandatory_kept(policy, current, doc, problems);
	if (problems->n)
		return refused(ERR_INVALID, problems);
	code = check_limits(current, doc, problems);
	if (code != ERR_NONE)
		return refused(code, problems);
	return (struct merge_result){.doc = doc, .changed = !current || !json_equal(current, doc)};
}

/* The member of a copy of the document, made when it is missing. */
static struct json *member_made(struct arena *arena, struct json *object, struct str name, enum json_type type)
{
	struct json *member = json_get(object, name);

	return json_is(member, type) ? member : json_set(object, name, json_new(arena, type));
}

static const struct customer_shape *base_shape(void)
{
	return customer_shape_member(&customer_shape, STR("base"));
}

static struct merge_result finish_item(struct arena *arena, const struct json *current, struct json *doc)
{
	struct problems *problems = new_problems(arena);
	enum err_code code = check_limits(current, doc, problems);

	if (code != ERR_NONE)
		return refused(code, problems);
	return (struct merge_result){.doc = doc, .changed = !json_equal(current, doc)};
}

struct merge_result merge_item(struct arena *arena, const struct json *current, enum item_kind kind, struct str id,
        const struct json *body, enum merge_mode mode)
{
	struct merge merge = {.arena = arena, .mode = mode};
	struct str name = customer_item_list(kind);
	struct json *doc = json_copy(arena, current, false);
	struct json *base = member_made(arena, doc, STR("base"), JSON_OBJECT);
	struct json *item = json_copy(arena, body, false);
	struct list_builder builder;

	json_set(item, STR("id"), json_new_str(arena, id));
	list_builder_init(&builder, arena, member_made(arena, base, name, JSON_ARRAY), true);
	merge_into_list(&merge, &builder, item, customer_shape_member(base_shape(), name));
	return finish_item(arena, current, doc);
}

static struct json *list_without(struct arena *arena, const struct json *list, const struct json *item)
{
	struct json *copy = json_new(arena, JSON_ARRAY);

	for
		json_each(held, list)
		{
			if (held != item)
				json_append(copy, json_copy(arena, held, false));
		}
	return copy;
}

struct merge_result merge_item_removed(
        struct arena *arena, const struct json *current, enum item_kind kind, struct str id)
{
	struct json *doc = json_copy(arena, current, false);
	struct json *base = json_member(doc, "base");
	struct json *list = json_get(base, customer_item_list(kind));
	struct json *rest = list_without(arena, list, customer_item_find(doc, kind, id));

	if (rest->count)
		json_set(base, customer_item_list(kind), rest);
	else
		json_remove(base, customer_item_list(kind));
	if (base->count == 0)
		json_remove(doc, STR("base"));
	return finish_item(arena, current, doc);
}

int64_t merge_updated_us(int64_t before_us, int64_t now_us)
{
	return now_us > before_us + 1000 ? now_us : before_us + 1000;
}
