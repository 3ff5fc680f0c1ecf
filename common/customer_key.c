#include "common/customer.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/decimal.h"

#include <sodium.h>
#include <stdlib.h>

/* Policies */

static const struct str *read_paths(struct arena *arena, const struct json *list, size_t *ret_n)
{
	struct str *paths;
	size_t n = 0;

	*ret_n = 0;
	if (!json_is(list, JSON_ARRAY) || list->count == 0)
		return NULL;
	paths = arena_alloc(arena, list->count * sizeof(*paths));
	for
		json_each(item, list)
		{
			if (json_text(item).n)
				paths[n++] = json_text(item);
		}
	*ret_n = n;
	return paths;
}

struct customer_policy customer_policy_read(struct arena *arena, const struct json *node_document)
{
	const struct json *unique = json_member(node_document, "uniqueCustomer");
	struct customer_policy policy = {.case_sensitive = json_is_true(json_member(unique, "caseSensitive"))};

	policy.unique = read_paths(arena, json_member(unique, "properties"), &policy.n_unique);
	policy.mandatory = read_paths(arena, json_member(node_document, "mandatoryProperties"), &policy.n_mandatory);
	return policy;
}

bool customer_policy_same_key(const struct customer_policy *a, const struct customer_policy *b)
{
	if (a->n_unique != b->n_unique || a->case_sensitive != b->case_sensitive)
		return false;
	for (size_t i = 0; i < a->n_unique; i++)
		if (!str_eq(a->unique[i], b->unique[i]))
			return false;
	return true;
}

static struct str pointer_of(struct arena *arena, struct str path)
{
	struct buf pointer;
	struct str name;

	buf_init(&pointer, arena, path.n + 8);
	while (str_split(&path, '.', &name))
		json_pointer_add(&pointer, name);
	return buf_str(&pointer);
}

/* The value that identifies; NULL when there is none: absent, null, or an empty text. */
static const struct json *unique_value(const struct json *doc, struct str path)
{
	const struct json *value = json_path(doc, path);

	if (json_is_null(value) || (value->type == JSON_STRING && value->text.n == 0))
		return NULL;
	return value;
}

static bool is_unique(const struct customer_policy *policy, struct str path)
{
	for (size_t i = 0; i < policy->n_unique; i++)
		if (str_eq(policy->unique[i], path))
			return true;
	return false;
}

bool customer_check_required(const struct customer_policy *policy, const struct json *body, struct problems *problems)
{
	size_t before = problems->n;

	for (size_t i = 0; i < policy->n_unique; i++)
		if (!unique_value(body, policy->unique[i]))
			problems_add(problems, pointer_of(problems->arena, policy->unique[i]),
			        "unique customer property is required");
	/* One entry per property: what identifies a customer is told above. */
	for (size_t i = 0; i < policy->n_mandatory; i++)
		if (!is_unique(policy, policy->mandatory[i]) && json_is_null(json_path(body, policy->mandatory[i])))
			problems_add(problems, pointer_of(problems->arena, policy->mandatory[i]),
			        "mandatory customer property is required");
	return problems->n == before;
}

/* Keys */

struct key_hash {
	crypto_generichash_state state;
	bool case_sensitive;
};

/* Every part is preceded by a letter for its kind and its length, so that two different lists never give the same
 * bytes. */
static void add_part(struct key_hash *hash, char kind, struct str part)
{
	unsigned char head[9] = {(unsigned char)kind};

	for (size_t i = 0; i < 8; i++)
		head[i + 1] = (unsigned char)((uint64_t)part.n >> (8 * i));
	crypto_generichash_update(&hash->state, head, sizeof(head));
	crypto_generichash_update(&hash->state, (const unsigned char *)part.p, part.n);
}

/* Simple lower case of two-byte letters: from..to in steps of `step`, moved by `move`. */
static const struct {
	uint16_t from, to;
	uint8_t step;
	int8_t move;
} lower_ranges[] = {
        {0x00c0, 0x00d6, 1, 32}, /* Latin-1 */
        {0x00d8, 0x00de, 1, 32},
        {0x0100, 0x012e, 2, 1}, /* Latin Extended-A: capital and small letter alternate; dotted and dotless i stay */
        {0x0132, 0x0136, 2, 1},
        {0x0139, 0x0147, 2, 1},
        {0x014a, 0x0176, 2, 1},
        {0x0179, 0x017d, 2, 1},
        {0x0386, 0x0386, 1, 38}, /* Greek */
        {0x0388, 0x038a, 1, 37},
        {0x038c, 0x038c, 1, 64},
        {0x038e, 0x038f, 1, 63},
        {0x0391, 0x03a1, 1, 32},
        {0x03a3, 0x03ab, 1, 32},
        {0x0400, 0x040f, 1, 80}, /* Cyrillic */
        {0x0410, 0x042f, 1, 32},
};

static unsigned lower_letter(unsigned c)
{
	if (c == 0x0178) /* the only one whose small letter is in another block */
		return 0x00ff;
	for (size_t i = 0; i < ARRAY_LEN(lower_ranges); i++)
		if (c >= lower_ranges[i].from && c <= lower_ranges[i].to &&
		        (c - lower_ranges[i].from) % lower_ranges[i].step == 0)
			return c + (unsigned)lower_ranges[i].move;
	return c;
}

/* Letters keep their length in bytes, so the copy is as long as the text. */
static struct str fold(struct arena *arena, struct str text)
{
	unsigned char *out = arena_alloc(arena, text.n + 1);

	memcpy(out, text.p, text.n);
	for (size_t i = 0; i < text.n; i++) {
		if (out[i] >= 'A' && out[i] <= 'Z')
			out[i] = (unsigned char)(out[i] + 32);
		if ((out[i] & 0xe0) != 0xc0 || i + 1 == text.n)
			continue;
		unsigned c = lower_letter((out[i] & 0x1fu) << 6 | (out[i + 1] & 0x3fu));
		out[i] = (unsigned char)(0xc0 | c >> 6);
		out[++i] = (unsigned char)(0x80 | (c & 0x3f));
	}
	return (struct str){(const char *)out, text.n};
}

static void add_number(struct key_hash *hash, struct arena *arena, struct str text)
{
	struct decimal number = decimal_read(text);
	struct buf canonical;

	buf_init(&canonical, arena, text.n + 16);
	buf_printf(&canonical, "%c%d:", number.negative ? '-' : '+', (int)number.point);
	for (size_t i = 0; i < number.digits.n; i++)
		if (number.digits.p[i] != '.')
			buf_add_char(&canonical, number.digits.p[i]);
	add_part(hash, 'n', buf_str(&canonical));
}

static int compare_keys(const void *a, const void *b)
{
	return str_compare((*(const struct json *const *)a)->key, (*(const struct json *const *)b)->key);
}

static void add_value(struct key_hash *hash, struct arena *arena, const struct json *value);

/* Members in the order of their names: the order in which they came means nothing. */
static void add_object(struct key_hash *hash, struct arena *arena, const struct json *object)
{
	const struct json **members = arena_alloc(arena, (object->count + 1) * sizeof(const struct json *));
	size_t n = 0;

	for
		json_each(member, object) members[n++] = member;
	qsort(members, n, sizeof(*members), compare_keys);
	for (size_t i = 0; i < n; i++) {
		add_part(hash, 'k', members[i]->key);
		add_value(hash, arena, members[i]);
	}
	add_part(hash, '}', STR(""));
}

static void add_value(struct key_hash *hash, struct arena *arena, const struct json *value)
{
	switch (value->type) {
	case JSON_STRING:
		add_part(hash, 's', hash->case_sensitive ? value->text : fold(arena, value->text));
		break;
	case JSON_NUMBER:
		add_number(hash, arena, value->text);
		break;
	case JSON_OBJECT:
		add_object(hash, arena, value);
		break;
	case JSON_ARRAY:
		for
			json_each(item, value) add_value(hash, arena, item);
		add_part(hash, ']', STR(""));
		break;
	case JSON_NULL:
	case JSON_FALSE:
	case JSON_TRUE:
		add_part(hash, value->type == JSON_NULL ? '0' : value->type == JSON_TRUE ? 't' : 'f', STR(""));
		break;
	}
}

bool customer_key(
        struct arena *arena, const struct customer_policy *policy, const struct json *doc, struct uuid *ret_key)
{
	struct key_hash hash = {.case_sensitive = policy->case_sensitive};
	struct uuid key;

	if (policy->n_unique == 0)
		return false;
	for (size_t i = 0; i < policy->n_unique; i++)
		if (!unique_value(doc, policy->unique[i]))
			return false;
	crypto_generichash_init(&hash.state, NULL, 0, sizeof(key.b));
	add_part(&hash, policy->case_sensitive ? 'C' : 'c', STR(""));
	for (size_t i = 0; i < policy->n_unique; i++) {
		add_part(&hash, 'p', policy->unique[i]);
		add_value(&hash, arena, unique_value(doc, policy->unique[i]));
	}
	crypto_generichash_final(&hash.state, key.b, sizeof(key.b));
	*ret_key = key;
	return true;
}
