#include "gateway/sort.h"

static bool fail(struct err *err, const char *message)
{
	err_set(err, ERR_INVALID, "The query parameter sort is not valid: %s", message);
	err_set_pointer(err, STR("/sort"));
	return false;
}

static bool add_field(struct sort *sort, const struct attribute_source *source, struct str path, struct err *err)
{
	struct sort_key *key = &sort->keys[sort->n];

	if (sort->n == SORT_MAX_KEYS)
		return fail(err, "more than 4 fields");
	*key = (struct sort_key){0};
	if (!attribute_find(source, path, &key->attribute))
		return fail(err, "there is no such field, and a direction is asc or desc");
	if (key->attribute.through_list || key->attribute.type == ATTRIBUTE_OBJECT)
		return fail(err, "lists and objects have no order");
	sort->n++;
	return true;
}

bool sort_parse(struct sort *sort, const struct attribute_source *source, struct str text, struct err *err)
{
	size_t open = sort->n; /* first field without a direction */
	struct str word;

	if (!text.n)
		return true;
	while (str_split(&text, ',', &word)) {
		bool descending = str_eq_nocase(word, STR("desc"));
		if (!descending && !str_eq_nocase(word, STR("asc"))) {
			if (!add_field(sort, source, word, err))
				return false;
			continue;
		}
		if (open == sort->n)
			return fail(err, "a direction without a field");
		while (open < sort->n)
			sort->keys[open++].descending = descending;
	}
	return true;
}

void sort_add(struct sort *sort, const struct attribute_source *source, struct str path, bool descending)
{
	struct err err = {0};

	if (add_field(sort, source, path, &err))
		sort->keys[sort->n - 1].descending = descending;
}

void sort_add_columns(struct sql *sql, const struct sort *sort)
{
	for (size_t i = 0; i < sort->n; i++) {
		sql_add(sql, ", ");
		attribute_add_key(sql, &sort->keys[i].attribute);
		buf_printf(&sql->text, " AS k%zu", i + 1);
	}
}

/* NULLS LAST only where it is needed: an index on a column that is never null is in the other order. */
void sort_add_order(struct sql *sql, const struct sort *sort, const char *prefix)
{
	for (size_t i = 0; i < sort->n; i++) {
		const struct sort_key *key = &sort->keys[i];
		const char *nulls = key->attribute.never_null ? "" : " NULLS LAST";
		buf_printf(&sql->text, "%sk%zu%s%s, ", prefix, i + 1, key->descending ? " DESC" : "",
		        key->descending ? nulls : "");
	}
	buf_printf(&sql->text, "%sid", prefix);
}
