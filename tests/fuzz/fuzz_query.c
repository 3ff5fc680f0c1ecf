#include "tests/fuzz/fuzz.h"

#include "common/arena.h"
#include "common/json.h"
#include "gateway/customer_search.h"

#define LIMIT_BYTES ((size_t)256 * 1024 * 1024)

static struct json *declared;

static const struct json *extended(const void *context, struct str set)
{
	(void)context;
	(void)set;
	return declared;
}

static void declare(void)
{
	static const char text[] =
	        "{\"n\":{\"type\":\"number\"},\"b\":{\"type\":\"boolean\"},\"d\":{\"type\":\"string\","
	        "\"format\":\"date\"},\"t\":{\"type\":\"string\",\"format\":\"date-time\"},\"l\":{\"type\":"
	        "\"array\",\"items\":{\"type\":\"string\"}},\"q\\\"\":{\"type\":\"string\"}}";
	static struct arena *arena;

	if (!arena) {
		arena = arena_new(LIMIT_BYTES);
		declared = json_parse(arena, str_of(text), NULL);
	}
	FUZZ_CHECK(declared);
}

/* The text is ours alone: one statement, whole, with our five parameters, and of printable ASCII. */
static void check_text(struct str text)
{
	int depth = 0;

	for (size_t i = 0; i + 1 < text.n; i++) {
		char c = text.p[i];
		depth += (c == '(') - (c == ')');
		FUZZ_CHECK(depth >= 0 && c >= ' ' && c <= '~' && c != ';');
		FUZZ_CHECK(c != '$' || (text.p[i + 1] >= '1' && text.p[i + 1] <= '5') || text.p[i + 1] == '\'');
	}
	FUZZ_CHECK(depth == 0 && text.n && text.p[text.n - 1] == '\0');
}

static void check_error(const struct err *err)
{
	FUZZ_CHECK(err->code == ERR_INVALID && err->message[0]);
	FUZZ_CHECK(!err->pointer[0] || err->pointer[0] == '/');
	FUZZ_CHECK(str_is_utf8(str_of(err->pointer)) && str_is_utf8(str_of(err->message)));
}

/* A line with an order, the rest is the query. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct arena *arena = arena_new(LIMIT_BYTES);
	struct customer_search search = {.source = {.extended = extended}, .query = {(const char *)bytes, n}};
	struct str order = STR_NONE;
	struct err err = {.code = ERR_NONE};
	struct sql sql;

	declare();
	if (n)
		str_split(&search.query, '\n', &order);
	if (!sort_parse(&search.sort, &search.source, order, &err)) {
		check_error(&err);
	} else if (!customer_search_sql(arena, &search, &sql, &err)) {
		check_error(&err);
	} else {
		check_text(buf_str(&sql.text));
		for (size_t i = 1; i <= sql_count(&sql); i++)
			FUZZ_CHECK(str_is_utf8(sql_value(&sql, i)));
	}
	arena_free(arena);
	return 0;
}
