#include "tests/unit/unit.h"

#include "gateway/multipart.h"

/* What a reader made of a body, as text: "<name|filename>contents;" for each part, then "." at the end or "!" when it
   is bad. */
struct trace {
	char text[4096];
	size_t n;
	bool ended;
};

static void add(struct trace *trace, const char *p, size_t n)
{
	assert_true(trace->n + n < sizeof(trace->text));
	memcpy(trace->text + trace->n, p, n);
	trace->n += n;
}

static void add_part(struct trace *trace, const struct multipart *reader)
{
	add(trace, "<", 1);
	add(trace, reader->name.p, reader->name.n);
	if (reader->filename.p) {
		add(trace, "|", 1);
		add(trace, reader->filename.p, reader->filename.n);
	}
	add(trace, ">", 1);
}

static void take(struct multipart *reader, struct str bytes, struct trace *trace)
{
	struct str rest = bytes, data;

	while (!trace->ended) {
		switch (multipart_next(reader, &rest, &data)) {
		case MULTIPART_MORE:
			return;
		case MULTIPART_PART:
			add_part(trace, reader);
			break;
		case MULTIPART_DATA:
			assert_true(data.n > 0);
			add(trace, data.p, data.n);
			break;
		case MULTIPART_PART_END:
			add(trace, ";", 1);
			break;
		case MULTIPART_DONE:
			add(trace, ".", 1);
			trace->ended = true;
			break;
		case MULTIPART_BAD:
			assert_non_null(reader->why);
			add(trace, "!", 1);
			trace->ended = true;
			break;
		}
	}
}

/* The body in pieces: two cuts at any two places. */
static void read_cut(struct str body, size_t first, size_t second, struct trace *trace)
{
	struct multipart reader;

	*trace = (struct trace){0};
	multipart_init(&reader, STR("xYz"));
	take(&reader, (struct str){body.p, first}, trace);
	take(&reader, (struct str){body.p + first, second - first}, trace);
	take(&reader, (struct str){body.p + second, body.n - second}, trace);
}

#define HEAD(name) "Content-Disposition: form-data; name=\"" name "\"\r\n\r\n"
#define FILE_HEAD "Content-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\nContent-Type: text/csv\r\n\r\n"

static const struct {
	const char *name, *body, *want;
} cases[] = {
        {"two parts", "--xYz\r\n" HEAD("operation") "UPSERT\r\n--xYz\r\n" FILE_HEAD "a,b\r\n1,2\r\n\r\n--xYz--\r\n",
                "<operation>UPSERT;<file|a.csv>a,b\r\n1,2\r\n;."},
        {"an empty part", "--xYz\r\n" HEAD("a") "\r\n--xYz--", "<a>;."},
        {"what almost is a boundary", "--xYz\r\n" HEAD("a") "\r\n--xY\r\n--xy\r\r\n-\r\n--x\r\n\r\n--xYz--",
                "<a>\r\n--xY\r\n--xy\r\r\n-\r\n--x\r\n;."},
        {"a boundary inside a line", "--xYz\r\n" HEAD("a") "1--xYz2\n--xYz\r\n--xYz--", "<a>1--xYz2\n--xYz;."},
        {"a preamble and an epilogue", "words\r\n--xY\r\n--xYz \t\r\n" HEAD("a") "1\r\n--xYz--\r\nmore\r\n--xYz\r\n",
                "<a>1;."},
        {"a preamble that starts with a line end", "\r\n--xYz\r\n" HEAD("a") "1\r\n--xYz--", "<a>1;."},
        {"no part", "--xYz--\r\n", "."},
        {"names with escapes",
                "--xYz\r\nContent-Disposition: form-data; name=\"file\"; "
                "filename=\"a%22b\\\"c%20.csv\"\r\n\r\n\r\n--xYz--",
                "<file|a\"b\"c%20.csv>;."},
        {"names without quotes, in capitals", "--xYz\r\nCONTENT-DISPOSITION: Form-Data; NAME=a\r\n\r\n1\r\n--xYz--",
                "<a>1;."},
        {"an empty file name",
                "--xYz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\"\r\n\r\n\r\n--xYz--",
                "<file|>;."},
        {"the end is missing", "--xYz\r\n" HEAD("a") "1\r\n--xYz", "<a>1;"},
        {"no name", "--xYz\r\nContent-Disposition: form-data\r\n\r\n1\r\n--xYz--", "!"},
        {"no headers", "--xYz\r\n\r\n1\r\n--xYz--", "!"},
        {"another disposition", "--xYz\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--xYz--", "!"},
        {"an encoding", "--xYz\r\nContent-Transfer-Encoding: base64\r\n" HEAD("a") "1\r\n--xYz--", "!"},
        {"no encoding", "--xYz\r\nContent-Transfer-Encoding: Binary\r\n" HEAD("a") "1\r\n--xYz--", "<a>1;."},
        {"a header without colon", "--xYz\r\nwords\r\n" HEAD("a") "1\r\n--xYz--", "!"},
        {"text behind a boundary", "--xYz\r\n" HEAD("a") "1\r\n--xYzz\r\n", "<a>1;!"},
        {"one hyphen behind a boundary", "--xYz\r\n" HEAD("a") "1\r\n--xYz-\r\n", "<a>1;!"},
        {"a name that is no UTF-8", "--xYz\r\nContent-Disposition: form-data; name=\"\xff\"\r\n\r\n1\r\n--xYz--", "!"},
        {"only words", "nothing of this kind", ""},
};

static void every_cut_reads_the_same(void **state)
{
	struct trace trace;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str body = str_of(cases[i].body);
		for (size_t first = 0; first <= body.n; first++) {
			for (size_t second = first; second <= body.n; second++) {
				read_cut(body, first, second, &trace);
				if (!str_eq((struct str){trace.text, trace.n}, str_of(cases[i].want)))
					CASE_FAIL(cases[i].name, "cut at %zu and %zu: %.*s", first, second,
					        (int)trace.n, trace.text);
			}
		}
	}
}

static void one_byte_at_a_time_reads_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str body = str_of(cases[i].body);
		struct multipart reader;
		struct trace trace = {0};
		multipart_init(&reader, STR("xYz"));
		for (size_t at = 0; at < body.n; at++)
			take(&reader, (struct str){body.p + at, 1}, &trace);
		if (!str_eq((struct str){trace.text, trace.n}, str_of(cases[i].want)))
			CASE_FAIL(cases[i].name, "%.*s", (int)trace.n, trace.text);
	}
}

static void headers_are_bounded(void **state)
{
	static const char head[] = "--xYz\r\nX-Long: ";
	char many[MULTIPART_HEADER_MAX + 64];
	struct multipart reader;
	struct trace trace = {0};

	(void)state;
	memset(many, 'a', sizeof(many));
	multipart_init(&reader, STR("xYz"));
	take(&reader, str_of(head), &trace);
	take(&reader, (struct str){many, sizeof(many)}, &trace);
	assert_str(((struct str){trace.text, trace.n}), "!");
}

static void boundaries_come_from_the_content_type(void **state)
{
	static const struct {
		const char *type, *want; /* NULL = refused */
	} types[] = {
	        {"multipart/form-data; boundary=abc", "abc"},
	        {"Multipart/Form-Data; charset=utf-8; BOUNDARY=\"a b:c\"", "a b:c"},
	        {"multipart/form-data;boundary=----WebKitFormBoundary0aZ", "----WebKitFormBoundary0aZ"},
	        {"multipart/form-data", NULL},
	        {"multipart/form-data; boundary=", NULL},
	        {"multipart/form-data; boundary=\"abc \"", NULL},
	        {"multipart/form-data; boundary=a\"b", NULL},
	        {"multipart/form-data; "
	         "boundary=12345678901234567890123456789012345678901234567890123456789012345678901",
	                NULL},
	        {"multipart/mixed; boundary=abc", NULL},
	        {"application/json", NULL},
	        {"", NULL},
	};
	char text[MULTIPART_BOUNDARY_MAX];
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct err err = {0};
		bool good = multipart_boundary(str_of(types[i].type), text, &n, &err);
		if (good != !!types[i].want || (good && !str_is((struct str){text, n}, types[i].want)))
			CASE_FAIL(types[i].type, "%s", good ? "accepted" : err.message);
		assert_int_equal(err.code, good ? ERR_NONE : ERR_MEDIA_TYPE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_cut_reads_the_same),
	        cmocka_unit_test(one_byte_at_a_time_reads_the_same),
	        cmocka_unit_test(headers_are_bounded),
	        cmocka_unit_test(boundaries_come_from_the_content_type),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
