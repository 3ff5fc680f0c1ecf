#include "common/rows.h"

#include "common/log.h"

static enum db_element element_of(char letter)
{
	switch (letter) {
	case 'u':
		return DB_UUID;
	case 'l':
		return DB_I64;
	case 'i':
		return DB_I32;
	case 's':
		return DB_I16;
	case 'b':
		return DB_BOOL;
	case 't':
		return DB_TEXT;
	case 'j':
		return DB_JSON;
	case 'J':
		return DB_JSONB;
	case 'x':
		return DB_BYTEA;
	}
	log_die("database", "unknown column type '%c'", letter);
}

void rows_init(struct rows *rows, struct arena *arena, const char *types)
{
	rows->arena = arena;
	rows->n_columns = 0;
	for (; *types; types++)
		db_array_init(&rows->columns[rows->n_columns++], arena, element_of(*types));
}

void rows_add_params(struct rows *rows, struct db_params *params)
{
	for (int i = 0; i < rows->n_columns; i++)
		db_param_array(params, &rows->columns[i]);
}

bool rows_send(struct rows *rows, struct db *db, const char *statement, struct err *err)
{
	struct db_params params;

	db_params_init(&params, rows->arena);
	rows_add_params(rows, &params);
	return db_send(db, statement, &params, err);
}

bool rows_write(struct rows *rows, struct db *db, const char *statement, int64_t n_affected, struct err *err)
{
	struct db_params params;

	if (!rows_count(rows))
		return true;
	db_params_init(&params, rows->arena);
	rows_add_params(rows, &params);
	return db_send_expect(db, statement, &params, n_affected, ERR_INTERNAL, err);
}
