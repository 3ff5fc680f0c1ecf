#include "gateway/customer_search.h"

#include "common/customer_row.h"
#include "gateway/query.h"

/* The condition on customers c, as text that may be used twice. */
static bool make_condition(struct arena *arena, const struct customer_search *search, struct sql *sql, struct err *err)
{
	sql_add(sql, "c.workspace_id = $1 AND c.node_id = $2");
	if (search->external_id.p) {
		sql_add(sql, " AND c.external_id = ");
		sql_add_value(sql, search->external_id);
	}
	if (!search->query.p)
		return true;
	sql_add(sql, " AND ");
	return query_compile(arena, search->query, &search->source, sql, err);
}

/* Takes the text made so far out of sql; its values stay. */
static struct str take_text(struct arena *arena, struct sql *sql)
{
	struct str text = buf_str(&sql->text);

	buf_init(&sql->text, arena, 4096);
	return text;
}

/* "(<select><key columns><from><condition> ORDER BY ... LIMIT ...)" */
static void add_part(struct sql *sql, const struct sort *sort, const char *select, struct str keys, const char *from,
        struct str condition)
{
	sql_add(sql, select);
	buf_add_str(&sql->text, keys);
	sql_add(sql, from);
	buf_add_str(&sql->text, condition);
	sql_add(sql, " ORDER BY ");
	sort_add_order(sql, sort, "");
	sql_add(sql, " LIMIT $4::bigint OFFSET $5::bigint)");
}

#define TEXT_OF_(number) #number
#define TEXT_OF(number) TEXT_OF_(number)
#define MAX_TEXT TEXT_OF(CUSTOMER_SEARCH_MAX)

bool customer_search_sql(
        struct arena *arena, const struct customer_search *search, struct sql *ret_sql, struct err *err)
{
	struct sort sort = search->sort;
	struct str condition, keys;

	if (!sort.n)
		sort_add(&sort, &search->source, STR("updatedAt"), true);
	sql_init(ret_sql, arena);
	if (!make_condition(arena, search, ret_sql, err))
		return false;
	condition = take_text(arena, ret_sql);
	sort_add_columns(ret_sql, &sort);
	keys = take_text(arena, ret_sql);

	/* names $3 also where no condition has a value; nobody reads it */
	sql_add(ret_sql, "WITH given AS (SELECT " SQL_VALUES "), matched AS MATERIALIZED (SELECT c.id");
	buf_add_str(&ret_sql->text, keys);
	sql_add(ret_sql, " FROM customers c WHERE ");
	buf_add_str(&ret_sql->text, condition);
	sql_add(ret_sql,
	        " LIMIT " MAX_TEXT " + 1), total AS MATERIALIZED (SELECT count(*) AS n FROM matched), page AS (");
	add_part(ret_sql, &sort, "(SELECT *", STR(""), " FROM matched WHERE (SELECT n FROM total) <= " MAX_TEXT,
	        STR(""));
	sql_add(ret_sql, " UNION ALL ");
	add_part(ret_sql, &sort, "(SELECT c.id", keys,
	        " FROM customers c WHERE (SELECT n FROM total) > " MAX_TEXT " AND ", condition);
	sql_add(ret_sql,
	        ") SELECT least(t.n, " MAX_TEXT "), " CUSTOMER_ROW_COLUMNS " FROM total t LEFT JOIN (page p JOIN "
	        "customers c ON c.workspace_id = $1 AND c.id = p.id) ON true ORDER BY ");
	sort_add_order(ret_sql, &sort, "p.");
	buf_add_char(&ret_sql->text, '\0');
	return true;
}

void customer_search_window(int64_t number, int64_t size, int64_t *ret_limit, int64_t *ret_offset)
{
	int64_t offset = number < CUSTOMER_SEARCH_MAX ? number * size : CUSTOMER_SEARCH_MAX;
	int64_t left;

	if (offset > CUSTOMER_SEARCH_MAX)
		offset = CUSTOMER_SEARCH_MAX;
	left = CUSTOMER_SEARCH_MAX - offset;
	*ret_limit = size < left ? size : left;
	*ret_offset = offset;
}
