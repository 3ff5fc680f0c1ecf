#include "gateway/sql.h"

void sql_init(struct sql *sql, struct arena *arena)
{
	buf_init(&sql->text, arena, 1024);
	buf_init(&sql->values, arena, 16 * sizeof(struct str));
}

void sql_add(struct sql *sql, const char *fragment)
{
	buf_add_str(&sql->text, str_of(fragment));
}

size_t sql_count(const struct sql *sql)
{
	return sql->values.n / sizeof(struct str);
}

size_t sql_keep(struct sql *sql, struct str value)
{
	buf_add(&sql->values, &value, sizeof(value));
	return sql_count(sql);
}

struct str sql_value(const struct sql *sql, size_t number)
{
	struct str value;

	memcpy(&value, sql->values.p + (number - 1) * sizeof(value), sizeof(value));
	return value;
}

void sql_add_value(struct sql *sql, struct str value)
{
	buf_printf(&sql->text, SQL_VALUES "[%zu]", sql_keep(sql, value));
}

void sql_add_slice(struct sql *sql, size_t first, size_t last)
{
	buf_printf(&sql->text, SQL_VALUES "[%zu:%zu]", first, last);
}

void sql_param(const struct sql *sql, struct db_params *params)
{
	struct db_array array;

	db_array_init(&array, params->arena, DB_TEXT);
	for (size_t i = 1; i <= sql_count(sql); i++)
		db_array_text(&array, sql_value(sql, i));
	db_param_array(params, &array);
}
