/* The reader of CSV files: what rows are made of, wherever the pieces of the file are cut. */

#include "common/arena.h"
#include "common/buf.h"
#include "common/csv.h"
#include "unit.h"

/* Rows are written as <cell><"quoted cell">...; a row at fault ends with !, a file that cannot be read on with ?. */
static const struct {
	const char *name, *text, *rows;
} cases[] = {
        {"nothing", "", ""},
        {"one row", "a,b,c\r\n", "<a><b><c>\n"},
        {"no end of line at the end", "a,b\r\nc,d", "<a><b>\n<c><d>\n"},
        {"LF alone", "a\nb\n", "<a>\n<b>\n"},
        {"empty cells", ",\r\na,,\r\n", "<><>\n<a><><>\n"},
        {"empty cell at the end of the file", "a,", "<a><>\n"},
        {"empty lines", "\r\na\r\n\n\r\nb\r\n\r\n", "<a>\n<b>\n"},
        {"nothing but empty lines", "\n\r\n\n", ""},
        {"carriage return alone at the end", "a\r\n\r", "<a>\n"},
        {"quotes", "\"a\",\"b,c\",\"\"\r\n", "<\"a\"><\"b,c\"><\"\">\n"},
        {"doubled quotes", "\"a\"\"b\",\"\"\"\"\r\n", "<\"a\"b\"><\"\"\">\n"},
        {"line breaks in quotes", "\"a\r\nb\",c\nd\n", "<\"a\r\nb\"><c>\n<d>\n"},
        {"quoted cell at the end of the file", "a,\"b\"", "<a><\"b\">\n"},
        {"quoted empty line", "\"\"\r\na\r\n", "<\"\">\n<a>\n"},
        {"blanks belong to cells", " a , b\r\n", "< a >< b>\n"},
        {"mark at the beginning",
                "\xEF\xBB\xBF"
                "a\r\nb\r\n",
                "<a>\n<b>\n"},
        {"mark before a quote", "\xEF\xBB\xBF\"a\"\r\n", "<\"a\">\n"},
        {"mark and nothing else", "\xEF\xBB\xBF", ""},
        {"half a mark", "\xEF\xBB", "<\xEF\xBB>\n"},
        {"mark in the middle is text",
                "a\r\n\xEF\xBB\xBF"
                "b\r\n",
                "<a>\n<\xEF\xBB\xBF"
                "b>\n"},
        {"quote inside a cell", "a\"b,c\r\nd\r\n", "<a\"b><c>!\n<d>\n"},
        {"text behind a quote", "\"a\"b,c\r\nd\r\n", "<\"a\"><c>!\n<d>\n"},
        {"carriage return inside a cell", "a\rb\r\nc\r\n", "<a\rb>!\n<c>\n"},
        {"carriage return behind a quote", "\"a\"\rb\r\nc\r\n", "<\"a\">!\n<c>\n"},
        {"no closing quote", "a\r\n\"b\r\nc\r\n", "<a>\n?"},
        {"quote at the very end", "\"", "?"},
};

struct reader {
	struct arena *arena;
	struct buf rows;
	int64_t n_rows;
	struct str rest; /* not read yet */
	bool at_start;
	bool over;
};

static void write_row(struct reader *reader, const struct csv_row *row)
{
	for (size_t i = 0; i < row->n_cells; i++) {
		const char *quote = row->cells[i].quoted ? "\"" : "";
		buf_printf(&reader->rows, "<%s%.*s%s>", quote, STR_ARG(row->cells[i].text), quote);
	}
	buf_printf(&reader->rows, "%s\n", row->fault ? "!" : "");
}

/* Reads what can be read when the file is known up to `end`. */
static void read_up_to(struct reader *reader, const char *end, bool at_end)
{
	while (!reader->over) {
		struct csv_row row;
		struct str bytes = {reader->rest.p, (size_t)(end - reader->rest.p)};
		/* a copy without anything behind it: what lies behind the cut must not be looked at */
		char *copy = arena_alloc(reader->arena, bytes.n + 1);
		memcpy(copy, bytes.p, bytes.n);
		enum csv_status status =
		        csv_next(reader->arena, (struct str){copy, bytes.n}, reader->at_start, at_end, &row);
		if (status == CSV_ROW)
			write_row(reader, &row);
		reader->n_rows += status == CSV_ROW;
		if (status == CSV_ENDLESS)
			buf_add_char(&reader->rows, '?');
		reader->over = status == CSV_ENDLESS || status == CSV_END;
		reader->rest.p += row.n_bytes;
		reader->rest.n -= row.n_bytes;
		reader->at_start = reader->at_start && !row.n_bytes;
		if (status == CSV_MORE)
			return;
	}
}

static struct reader begin(struct arena *arena, struct str text)
{
	struct reader reader = {.arena = arena, .rest = text, .at_start = true};

	buf_init(&reader.rows, arena, 256);
	return reader;
}

static void check(const char *name, size_t cut, const struct reader *reader, const char *rows)
{
	if (!str_is(buf_str(&reader->rows), rows))
		CASE_FAIL(name, "cut at %zu: \"%.*s\" is not \"%s\"", cut, (int)reader->rows.n, reader->rows.p, rows);
}

/* The counter, given the file in two pieces, finds the rows that the reader has found. */
static void check_count(const char *name, size_t cut, const struct reader *reader, struct str text)
{
	struct csv_counter counter;

	csv_counter_init(&counter);
	csv_counter_add(&counter, (struct str){text.p, cut});
	csv_counter_add(&counter, (struct str){text.p + cut, text.n - cut});
	if (csv_counter_rows(&counter) != reader->n_rows)
		CASE_FAIL(name, "cut at %zu: %lld rows are counted, %lld are there", cut,
		        (long long)csv_counter_rows(&counter), (long long)reader->n_rows);
}

static void rows_are_the_same_wherever_the_file_is_cut(void **state)
{
	struct arena *arena = arena_new(16 * 1024 * 1024);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str text = str_of(cases[i].text);
		for (size_t cut = 0; cut <= text.n; cut++) {
			arena_reset(arena);
			struct reader reader = begin(arena, text);
			read_up_to(&reader, text.p + cut, false);
			read_up_to(&reader, text.p + text.n, true);
			check(cases[i].name, cut, &reader, cases[i].rows);
			check_count(cases[i].name, cut, &reader, text);
		}
		arena_reset(arena);
		struct reader reader = begin(arena, text);
		for (size_t at = 0; at <= text.n; at++)
			read_up_to(&reader, text.p + at, at == text.n);
		check(cases[i].name, text.n, &reader, cases[i].rows);
	}
	arena_free(arena);
}

/* A row of n bytes: a quoted cell. */
static char *row_of(struct arena *arena, size_t n)
{
	char *text = arena_alloc(arena, n + 2);

	memset(text, 'x', n);
	text[0] = text[n - 2] = '"';
	text[n - 1] = '\n';
	return text;
}

static void rows_have_a_largest_size(void **state)
{
	struct arena *arena = arena_new(16 * 1024 * 1024);
	struct csv_row row;
	size_t most = CSV_ROW_BYTES;

	(void)state;
	assert_int_equal(csv_next(arena, (struct str){row_of(arena, most), most}, false, false, &row), CSV_ROW);
	assert_int_equal(
	        csv_next(arena, (struct str){row_of(arena, most + 1), most + 1}, false, false, &row), CSV_ENDLESS);
	/* not closed yet, and it never will be in time */
	assert_int_equal(
	        csv_next(arena, (struct str){row_of(arena, most + 9), most + 1}, false, false, &row), CSV_ENDLESS);
	assert_int_equal(csv_next(arena, (struct str){row_of(arena, most + 9), most}, false, false, &row), CSV_MORE);
	arena_free(arena);
}

/* What is said of a row without an end; `at_end`: the file ends with its text. */
static void check_fault(const char *text, size_t n, bool at_end, const char *fault)
{
	struct arena *arena = arena_new(16 * 1024 * 1024);
	struct csv_row row;

	assert_int_equal(csv_next(arena, (struct str){text, n}, false, at_end, &row), CSV_ENDLESS);
	assert_non_null(row.fault);
	assert_string_equal(row.fault, fault);
	arena_free(arena);
}

static void rows_without_an_end_say_why(void **state)
{
	struct arena *arena = arena_new(16 * 1024 * 1024);
	size_t n = CSV_ROW_BYTES + 1;
	char *plain = arena_alloc(arena, n);

	(void)state;
	memset(plain, 'x', n);
	check_fault("\"a\"b,\"c\nd,e\n", 12, true, "the quote that begins its cell 2 never ends");
	check_fault("a,b,\"\"\"\n", 8, true, "the quote that begins its cell 3 never ends");
	check_fault(
	        row_of(arena, n + 8), n, false, "the quote that begins its cell 1 does not end within 262144 bytes");
	check_fault(row_of(arena, n), n, true, "it has more than 262144 bytes");
	check_fault(plain, n, true, "it has more than 262144 bytes");
	arena_free(arena);
}

static void rows_have_a_most_of_cells(void **state)
{
	struct arena *arena = arena_new(16 * 1024 * 1024);
	char text[CSV_COLUMNS + 1];
	struct csv_row row;

	(void)state;
	memset(text, ',', sizeof(text));
	text[CSV_COLUMNS - 1] = '\n';
	assert_int_equal(csv_next(arena, (struct str){text, CSV_COLUMNS}, false, true, &row), CSV_ROW);
	assert_null(row.fault);
	assert_int_equal(row.n_cells, CSV_COLUMNS);
	text[CSV_COLUMNS - 1] = ',';
	text[CSV_COLUMNS] = '\n';
	assert_int_equal(csv_next(arena, (struct str){text, sizeof(text)}, false, true, &row), CSV_ROW);
	assert_non_null(row.fault);
	assert_int_equal(row.n_bytes, sizeof(text));
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(rows_are_the_same_wherever_the_file_is_cut),
	        cmocka_unit_test(rows_have_a_largest_size),
	        cmocka_unit_test(rows_without_an_end_say_why),
	        cmocka_unit_test(rows_have_a_most_of_cells),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
