#include "gateway/query.h"

#include "common/catalog.h"
#include "common/json.h"
#include "gateway/query_value.h"

#include <stdio.h>

/* Longer lists PostgreSQL hashes. */
#define FEW_VALUES 9

struct compiler {
	struct arena *arena;
	struct sql *sql;
	const struct attribute_source *source; /* customers, or inside did the events of a type */
	struct buf pointer;                    /* of the place in work */
	size_t n_conditions;
	struct err *err;
};

enum operator_kind { OPERATOR_SET, OPERATOR_RANGE, OPERATOR_NULL, OPERATOR_LIKE };

struct operator
{
	const char *name;
	enum operator_kind kind;
	bool negate;
	bool many;      /* takes a list */
	bool low, high; /* RANGE: which ends it has */
	bool open;      /* without the end itself */
};

static const struct operator operators[] = {
        {.name = "EQUALS", .kind = OPERATOR_SET},
        {.name = "NOT_EQUALS", .kind = OPERATOR_SET, .negate = true},
        {.name = "IN", .kind = OPERATOR_SET, .many = true},
        {.name = "NOT_IN", .kind = OPERATOR_SET, .many = true, .negate = true},
        {.name = "IS_NULL", .kind = OPERATOR_NULL},
        {.name = "IS_NOT_NULL", .kind = OPERATOR_NULL, .negate = true},
        {.name = "BETWEEN", .kind = OPERATOR_RANGE, .low = true, .high = true},
        {.name = "GTE", .kind = OPERATOR_RANGE, .low = true},
        {.name = "GT", .kind = OPERATOR_RANGE, .low = true, .open = true},
        {.name = "LTE", .kind = OPERATOR_RANGE, .high = true},
        {.name = "LT", .kind = OPERATOR_RANGE, .high = true, .open = true},
        {.name = "LIKE", .kind = OPERATOR_LIKE},
};

/* What PostgreSQL makes of a value's text to compare it. */
static const char *cast_of(const struct attribute *attribute)
{
	static const char *const column_casts[] = {
	        [ATTRIBUTE_TEXT] = "",
	        [ATTRIBUTE_NUMBER] = "::numeric",
	        [ATTRIBUTE_BOOLEAN] = "::boolean",
	        [ATTRIBUTE_UUID] = "::uuid",
	        [ATTRIBUTE_TIME_US] = "::bigint",
	};

	if (attribute->column)
		return column_casts[attribute->type];
	if (attribute->type == ATTRIBUTE_DATE_TIME)
		return "::numeric";
	return attribute->type == ATTRIBUTE_NUMBER ? "::jsonb" : "";
}

/* Places: push what is entered, pop what it returned. */
static size_t enter(struct compiler *c, const char *name)
{
	size_t mark = c->pointer.n;

	json_pointer_add(&c->pointer, str_of(name));
	return mark;
}

static size_t enter_item(struct compiler *c, size_t index)
{
	char name[24];

	snprintf(name, sizeof(name), "%zu", index);
	return enter(c, name);
}

static void leave(struct compiler *c, size_t mark)
{
	c->pointer.n = mark;
}

static bool fail(struct compiler *c, const char *message)
{
	err_set(c->err, ERR_INVALID, "%s", message);
	err_set_pointer(c->err, buf_str(&c->pointer));
	return false;
}

static bool fail_at(struct compiler *c, const char *name, const char *message)
{
	enter(c, name);
	return fail(c, message);
}

/* Member that must be an object. */
static const struct json *object_member(struct compiler *c, const struct json *parent, const char *name)
{
	const struct json *value = json_get(parent, str_of(name));

	if (json_is(value, JSON_OBJECT))
		return value;
	fail_at(c, name, "an object is expected here");
	return NULL;
}

/* The row of `names` that a text member holds; fails when it holds none. */
static bool choose(struct compiler *c, const struct json *parent, const char *member, const char *const *names,
        size_t n, size_t *ret_index)
{
	struct str text = json_text(json_get(parent, str_of(member)));
	struct buf message;

	for (size_t i = 0; i < n; i++) {
		if (str_is(text, names[i])) {
			*ret_index = i;
			return true;
		}
	}
	buf_init(&message, c->arena, 128);
	for (size_t i = 0; i < n; i++)
		buf_printf(&message, "%s\"%s\"", i ? ", " : "one of these is expected here: ", names[i]);
	buf_add_char(&message, '\0');
	return fail_at(c, member, message.p);
}

typedef bool compile_fn(struct compiler *c, const struct json *value);

/* How the entries of a list are put together. */
struct joining {
	const char *separator;
	const char *suffix; /* behind every entry but the first */
};

static const struct joining both = {.separator = " AND ", .suffix = ""};
static const struct joining either = {.separator = " OR ", .suffix = ""};
static const struct joining without = {.separator = " AND ", .suffix = " IS NOT TRUE"};

/* "(a AND b AND c)" of a list that must not be empty. */
static bool compile_list(struct compiler *c, const struct json *parent, const char *member,
        const struct joining *joining, compile_fn *compile)
{
	const struct json *list = json_get(parent, str_of(member));
	size_t mark = enter(c, member), index = 0;

	if (!json_is(list, JSON_ARRAY) || !list->count)
		return fail(c, "a list with at least one entry is expected here");
	sql_add(c->sql, "(");
	for
		json_each(item, list)
		{
			size_t item_mark = enter_item(c, index);
			if (index)
				sql_add(c->sql, joining->separator);
			if (!json_is(item, JSON_OBJECT))
				return fail(c, "an object is expected here");
			if (!compile(c, item))
				return false;
			if (index++)
				sql_add(c->sql, joining->suffix);
			leave(c, item_mark);
		}
	sql_add(c->sql, ")");
	leave(c, mark);
	return true;
}

/* The values of a list or of one value alone. */
struct values {
	size_t first, last; /* numbers in sql's list; none when last < first */
};

/* Converts and keeps one value; for sets in documents as the JSON that the document then contains. */
static bool keep_value(struct compiler *c, const struct attribute *attribute, const struct json *item, bool contained)
{
	struct query_value value;
	const char *message = query_value_read(c->arena, attribute->type, item, &value);

	if (message)
		return fail(c, message);
	if (value.matches_nothing)
		return true;
	sql_keep(c->sql, contained ? attribute_containment(c->arena, attribute, value.json) : value.text);
	return true;
}

static bool keep_values(struct compiler *c, const struct attribute *attribute, const struct operator* operator,
        const struct json * value, bool contained, struct values *ret_values)
{
	size_t mark = enter(c, "value"), index = 0;

	ret_values->first = sql_count(c->sql) + 1;
	if (!json_is(value, JSON_ARRAY)) {
		if (!keep_value(c, attribute, value, contained))
			return false;
	} else {
		if (!operator->many)
			return fail(c, "this operator takes one value, not a list");
		if (value->count > QUERY_MAX_VALUES)
			return fail(c, "the list has more than 1000 values");
		for
			json_each(item, value)
			{
				size_t item_mark = enter_item(c, index++);
				if (!keep_value(c, attribute, item, contained))
					return false;
				leave(c, item_mark);
			}
	}
	ret_values->last = sql_count(c->sql);
	leave(c, mark);
	return true;
}

/* "= ANY (values)", or with one value "= value", which PostgreSQL estimates better. */
static void add_any(struct compiler *c, const char *comparison, const struct values *values, const char *cast)
{
	bool one = values->first == values->last;

	sql_add(c->sql, comparison);
	if (one) {
		buf_printf(&c->sql->text, SQL_VALUES "[%zu]%s", values->first, cast);
		return;
	}
	sql_add(c->sql, "ANY (");
	sql_add_slice(c->sql, values->first, values->last);
	if (*cast)
		buf_printf(&c->sql->text, "%s[]", cast);
	sql_add(c->sql, ")");
}

/* Conditions on the elements of a list stand inside EXISTS, where v is the element. */
static void open_elements(struct compiler *c, const struct attribute *attribute)
{
	if (!attribute->through_list)
		return;
	sql_add(c->sql, "EXISTS (SELECT FROM jsonb_path_query(");
	sql_add(c->sql, attribute->document);
	sql_add(c->sql, ", ");
	sql_add_value(c->sql, attribute_jsonpath(c->arena, attribute));
	sql_add(c->sql, "::jsonpath) v WHERE ");
}

static void close_elements(struct compiler *c, const struct attribute *attribute)
{
	if (attribute->through_list)
		sql_add(c->sql, ")");
}

static void add_key(struct compiler *c, const struct attribute *attribute)
{
	if (attribute->through_list)
		attribute_add_element_key(c->sql, attribute);
	else
		attribute_add_key(c->sql, attribute);
}

/*
 * What the day alone rules out, in front of the time itself, which costs as much as thirty of these: a search of many
 * documents reads few times then.
 */
static void add_day_end(struct compiler *c, const struct attribute *attribute, struct str us, bool low)
{
	if (attribute->column || attribute->type != ATTRIBUTE_DATE_TIME)
		return;
	attribute_add_day(c->sql, attribute);
	sql_add(c->sql, low ? " >= " : " <= ");
	sql_add_value(c->sql, query_value_day(c->arena, us, low ? -1 : 1));
	sql_add(c->sql, " AND ");
}

/* A column's time in milliseconds, as it is answered; dates of events may lie before 1970. */
static void add_comparable_key(struct compiler *c, const struct attribute *attribute)
{
	add_key(c, attribute);
	if (attribute->type != ATTRIBUTE_TIME_US)
		return;
	sql_add(c->sql, " - (");
	add_key(c, attribute);
	sql_add(c->sql, " % 1000 + 1000) % 1000");
}

/*
 * Each containment costs as much as looking for a value among thousands, which PostgreSQL hashes: so where there are
 * many, that comes first, and containment, which has the index, is asked of what it leaves.
 */
static bool add_look_up(struct compiler *c, const struct attribute *attribute, const struct operator* operator,
        const struct json * value)
{
	struct values values;

	if (!keep_values(c, attribute, operator, value, false, &values))
		return false;
	open_elements(c, attribute);
	add_key(c, attribute);
	add_any(c, " = ", &values, cast_of(attribute));
	close_elements(c, attribute);
	sql_add(c->sql, " AND ");
	return true;
}

static bool compile_set(struct compiler *c, const struct attribute *attribute, const struct operator* operator,
        const struct json * value)
{
	bool contained = !attribute->column && attribute->type != ATTRIBUTE_DATE_TIME;
	struct values values = {.first = 1, .last = 0};

	if ((value || !operator->many) && !keep_values(c, attribute, operator, value, contained, &values))
		return false;
	if (values.last < values.first) {
		sql_add(c->sql, "false");
		return true;
	}
	if (contained) {
		if (values.last - values.first >= FEW_VALUES && !add_look_up(c, attribute, operator, value))
			return false;
		sql_add(c->sql, attribute->document);
		add_any(c, " @> ", &values, "::jsonb");
		return true;
	}
	open_elements(c, attribute);
	if (values.first == values.last) {
		struct str us = sql_value(c->sql, values.first);
		add_day_end(c, attribute, us, true);
		add_day_end(c, attribute, us, false);
	}
	add_comparable_key(c, attribute);
	add_any(c, " = ", &values, cast_of(attribute));
	close_elements(c, attribute);
	return true;
}

static bool compile_null(struct compiler *c, const struct attribute *attribute)
{
	if (attribute->through_list) {
		sql_add(c->sql, "NOT ");
		open_elements(c, attribute);
		sql_add(c->sql, "v <> 'null'");
		close_elements(c, attribute);
		return true;
	}
	if (attribute->column)
		sql_add(c->sql, attribute->column);
	else
		attribute_add_path(c->sql, attribute, true);
	sql_add(c->sql, " IS NULL");
	return true;
}

/* One end of a range: "<key> >= <value>". */
static bool compile_end(
        struct compiler *c, const struct attribute *attribute, const struct json *item, bool low, bool open)
{
	struct query_value value;
	const char *message = query_value_read(c->arena, attribute->type, item, &value);

	if (message)
		return fail(c, message);
	if (value.past_midnight)
		open = low;
	if (attribute->type == ATTRIBUTE_TIME_US) {
		/* the millisecond that the value means ends before the next one */
		if (low == open)
			value.text = query_value_next_ms(c->arena, value.text);
		open = !low;
	}
	add_day_end(c, attribute, value.text, low);
	add_key(c, attribute);
	sql_add(c->sql, low ? (open ? " > " : " >= ") : (open ? " < " : " <= "));
	sql_add_value(c->sql, value.text);
	sql_add(c->sql, cast_of(attribute));
	return true;
}

static bool compile_ends(struct compiler *c, const struct attribute *attribute, const struct operator* operator,
        const struct json * value)
{
	size_t mark;

	if (!operator->low || !operator->high)
		return compile_end(c, attribute, value, operator->low, operator->open);
	if (!json_is(value, JSON_ARRAY) || value->count != 2)
		return fail(c, "BETWEEN takes a list of two values, the lowest and the highest");
	mark = enter_item(c, 0);
	if (!compile_end(c, attribute, value->first, true, false))
		return false;
	leave(c, mark);
	sql_add(c->sql, " AND ");
	mark = enter_item(c, 1);
	if (!compile_end(c, attribute, value->last, false, false))
		return false;
	leave(c, mark);
	return true;
}

static bool compile_range(struct compiler *c, const struct attribute *attribute, const struct operator* operator,
        const struct json * value)
{
	size_t mark = enter(c, "value");

	open_elements(c, attribute);
	if (!attribute->column && attribute->type == ATTRIBUTE_NUMBER) {
		sql_add(c->sql, "jsonb_typeof(");
		add_key(c, attribute);
		sql_add(c->sql, ") = 'number' AND ");
	}
	if (!compile_ends(c, attribute, operator, value))
		return false;
	close_elements(c, attribute);
	leave(c, mark);
	return true;
}

static bool compile_like(struct compiler *c, const struct attribute *attribute, const struct json *value)
{
	size_t mark = enter(c, "value");
	const char *message = query_value_check_pattern(value);

	if (message)
		return fail(c, message);
	open_elements(c, attribute);
	add_key(c, attribute);
	sql_add(c->sql, " LIKE ");
	sql_add_value(c->sql, json_text(value));
	close_elements(c, attribute);
	leave(c, mark);
	return true;
}

static bool check_operator(struct compiler *c, const struct attribute *attribute, const struct operator* operator)
{
	enum attribute_type type = attribute->type;

	if (operator->kind != OPERATOR_NULL && type == ATTRIBUTE_OBJECT)
		return fail_at(c, "operator", "an object can only be asked for with IS_NULL and IS_NOT_NULL");
	if (operator->kind == OPERATOR_LIKE && type != ATTRIBUTE_TEXT)
		return fail_at(c, "operator", "LIKE needs an attribute of type text");
	if (operator->kind == OPERATOR_RANGE &&(type == ATTRIBUTE_BOOLEAN || type == ATTRIBUTE_UUID))
		return fail_at(c, "operator", "values of this attribute have no order");
	return true;
}

static bool compile_operator(struct compiler *c, const struct attribute *attribute, const struct operator* operator,
        const struct json * value)
{
	switch (operator->kind) {
	case OPERATOR_SET:
		if (value && json_is_null(value))
			return compile_null(c, attribute);
		return compile_set(c, attribute, operator, value);
	case OPERATOR_RANGE:
		return compile_range(c, attribute, operator, value);
	case OPERATOR_NULL:
		return compile_null(c, attribute);
	case OPERATOR_LIKE:
		return compile_like(c, attribute, value);
	}
	return false;
}

static bool find_operator(struct compiler *c, const struct json *condition, const struct operator** ret_operator)
{
	const char *names[ARRAY_LEN(operators)];
	size_t index;

	for (size_t i = 0; i < ARRAY_LEN(operators); i++)
		names[i] = operators[i].name;
	if (!choose(c, condition, "operator", names, ARRAY_LEN(operators), &index))
		return false;
	*ret_operator = &operators[index];
	return true;
}

/* Opposites are exact: "(x) IS NOT TRUE" also holds where x is neither true nor false for want of a value. */
static bool compile_atomic(struct compiler *c, const struct json *condition)
{
	struct str path = json_text(json_member(condition, "attribute"));
	const struct operator* operator;
	struct attribute attribute;

	if (++c->n_conditions > QUERY_MAX_CONDITIONS)
		return fail(c, "the query has more than 100 conditions");
	if (!path.n)
		return fail_at(c, "attribute", "the path of an attribute is expected here");
	if (!attribute_find(c->source, path, &attribute))
		return fail_at(c, "attribute", "there is no such attribute");
	if (!find_operator(c, condition, &operator) || !check_operator(c, &attribute, operator))
		return false;
	sql_add(c->sql, "(");
	if (!compile_operator(c, &attribute, operator, json_member(condition, "value")))
		return false;
	sql_add(c->sql, operator->negate ? ") IS NOT TRUE" : ")");
	return true;
}

static bool compile_condition(struct compiler *c, const struct json *condition)
{
	static const char *const types[] = {"atomic", "composite"};
	static const char *const conjunctions[] = {"and", "or"};
	size_t type, conjunction;

	if (!choose(c, condition, "type", types, ARRAY_LEN(types), &type))
		return false;
	if (type == 0)
		return compile_atomic(c, condition);
	return choose(c, condition, "conjunction", conjunctions, ARRAY_LEN(conjunctions), &conjunction) &&
	       compile_list(c, condition, "conditions", conjunction ? &either : &both, compile_condition);
}

static bool compile_condition_member(struct compiler *c, const struct json *parent, const char *member)
{
	const struct json *condition = object_member(c, parent, member);
	size_t mark;

	if (!condition)
		return false;
	mark = enter(c, member);
	if (!compile_condition(c, condition))
		return false;
	leave(c, mark);
	return true;
}

static bool find_event_type(struct compiler *c, const struct json *did, struct attribute_source *ret_source)
{
	const struct json *event = object_member(c, did, "event");
	struct str name = json_text(json_member(event, "name"));
	size_t mark;

	if (!event)
		return false;
	mark = enter(c, "event");
	if (!name.n || !event_type_find(name))
		return fail_at(c, "name", "the name of an event type is expected here");
	leave(c, mark);
	*ret_source = *c->source;
	ret_source->event_type = name;
	return true;
}

/* What happened to a member happened to its profile, too; the events are stored once, with the member. */
static const char events_of_customer[] = "events e WHERE e.workspace_id = $1 AND e.customer_id = c.id";
static const char events_of_profile[] = "(SELECT c.id UNION ALL SELECT m.customer_id FROM aggregate_members m "
                                        "WHERE m.workspace_id = $1 AND m.profile_id = c.id) o "
                                        "JOIN events e ON e.customer_id = o.id WHERE e.workspace_id = $1";

static bool compile_did(struct compiler *c, const struct json *did)
{
	static const char *const members[] = {"condition", "timeframe"};
	const struct attribute_source *customers = c->source;
	struct attribute_source events;

	if (!find_event_type(c, did, &events))
		return false;
	c->source = &events;
	sql_add(c->sql, "EXISTS (SELECT FROM ");
	sql_add(c->sql, customers->of_profiles ? events_of_profile : events_of_customer);
	sql_add(c->sql, " AND e.type = ");
	sql_add_value(c->sql, events.event_type);
	if (customers->years)
		buf_printf(&c->sql->text, " AND e.registered_us BETWEEN '%lld'::bigint AND '%lld'::bigint",
		        (long long)customers->years->first_us, (long long)customers->years->last_us);
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		if (json_is_null(json_get(did, str_of(members[i]))))
			continue;
		sql_add(c->sql, " AND ");
		if (!compile_condition_member(c, did, members[i]))
			return false;
	}
	sql_add(c->sql, ")");
	c->source = customers;
	return true;
}

static bool compile_simple(struct compiler *c, const struct json *query)
{
	bool are = !json_is_null(json_member(query, "are"));
	bool did = !json_is_null(json_member(query, "did"));
	const struct json *part;
	size_t mark;

	if (!are && !did)
		return fail(c, "a simple query needs \"are\" or \"did\"");
	sql_add(c->sql, "(");
	if (are) {
		part = object_member(c, query, "are");
		mark = enter(c, "are");
		if (!part || !compile_condition_member(c, part, "condition"))
			return false;
		leave(c, mark);
	}
	if (did) {
		sql_add(c->sql, are ? " AND " : "");
		part = object_member(c, query, "did");
		mark = enter(c, "did");
		if (!part || !compile_did(c, part))
			return false;
		leave(c, mark);
	}
	sql_add(c->sql, ")");
	return true;
}

static bool compile_query(struct compiler *c, const struct json *query)
{
	static const char *const types[] = {"simple", "combined"};
	static const char *const conjunctions[] = {"INTERSECT", "UNION", "EXCEPT"};
	static const struct joining *const joinings[] = {&both, &either, &without};
	size_t type, conjunction;

	if (!choose(c, query, "type", types, ARRAY_LEN(types), &type))
		return false;
	if (type == 0)
		return compile_simple(c, query);
	return choose(c, query, "conjunction", conjunctions, ARRAY_LEN(conjunctions), &conjunction) &&
	       compile_list(c, query, "queries", joinings[conjunction], compile_query);
}

bool query_compile(
        struct arena *arena, struct str query, const struct attribute_source *source, struct sql *sql, struct err *err)
{
	struct compiler c = {.arena = arena, .sql = sql, .source = source, .err = err};
	const struct json *container, *root;

	buf_init(&c.pointer, arena, 128);
	if (query.n > QUERY_MAX_BYTES)
		return fail(&c, "the query has more than 16384 bytes");
	container = json_parse_sent(arena, query, err);
	if (!container)
		return false;
	if (!json_is(container, JSON_OBJECT))
		return fail(&c, "an object is expected here");
	root = object_member(&c, container, "query");
	if (!root)
		return false;
	enter(&c, "query");
	return compile_query(&c, root);
}
