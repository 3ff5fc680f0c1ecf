#include "common/json.h"

#include "common/arena.h"
#include "common/buf.h"
#include "common/key_table.h"

#include <stdio.h>

/* What the scanner of strings does with a byte. */
enum byte_class { PLAIN, QUOTE, BACKSLASH, CONTROL, UTF8 };

static const uint8_t byte_classes[256] = {
        [0x00 ... 0x1f] = CONTROL,
        ['"'] = QUOTE,
        ['\\'] = BACKSLASH,
        [0x80 ... 0xff] = UTF8,
};

struct parser {
	struct arena *arena;
	const char *start, *p, *end;
	struct err *err;
	struct json *open[JSON_MAX_DEPTH]; /* arrays and objects around the present place, the outermost first */
	size_t depth, max_depth;
};

static bool parse_value(struct parser *parser, struct json *value);

static void add_child_token(struct buf *pointer, const struct json *parent)
{
	char index[16];

	if (parent->type == JSON_OBJECT) {
		json_pointer_add(pointer, parent->last->key);
		return;
	}
	snprintf(index, sizeof(index), "%u", parent->count - 1);
	json_pointer_add(pointer, str_of(index));
}

/* A value joins its parent before it is parsed, so the last child of every open container is the way to the fault. */
static bool fail_at(struct parser *parser, const char *at, size_t n_tokens, const char *what)
{
	struct buf pointer;

	err_set(parser->err, ERR_INVALID, "the JSON text is not valid: %s at byte %zu", what,
	        (size_t)(at - parser->start));
	if (!parser->err)
		return false;
	buf_init(&pointer, parser->arena, sizeof(parser->err->pointer));
	/* What does not fit into the error is not worth making. */
	for (size_t i = 0; i < n_tokens && pointer.n < sizeof(parser->err->pointer); i++)
		add_child_token(&pointer, parser->open[i]);
	err_set_pointer(parser->err, buf_str(&pointer));
	return false;
}

/* The fault is the present value. */
static bool fail_value(struct parser *parser, const char *at, const char *what)
{
	return fail_at(parser, at, parser->depth, what);
}

/* The fault is in the present array or object, between its children. */
static bool fail_container(struct parser *parser, const char *what)
{
	return fail_at(parser, parser->p, parser->depth - 1, what);
}

static void skip_blanks(struct parser *parser)
{
	while (parser->p < parser->end &&
	        (*parser->p == ' ' || *parser->p == '\n' || *parser->p == '\r' || *parser->p == '\t'))
		parser->p++;
}

static bool take(struct parser *parser, char c)
{
	if (parser->p == parser->end || *parser->p != c)
		return false;
	parser->p++;
	return true;
}

/* Goes to the closing quote, or to the byte that does not belong; *ret_fault says what is wrong with that one. */
static const char *scan_string(const char *p, const char *end, bool *ret_escaped, const char **ret_fault)
{
	size_t step;

	for (; p < end; p++) {
		switch (byte_classes[(unsigned char)*p]) {
		case PLAIN:
			break;
		case QUOTE:
			return p;
		case BACKSLASH:
			*ret_escaped = true;
			/* The escaped byte is looked at when it is decoded; here it only must not end the string. */
			p += p + 1 < end;
			break;
		case CONTROL:
			*ret_fault = "control character in a string";
			return p;
		default:
			step = str_utf8_step((struct str){p, (size_t)(end - p)});
			if (!step) {
				*ret_fault = "bytes that are not UTF-8";
				return p;
			}
			p += step - 1;
		}
	}
	*ret_fault = "string without an end";
	return p;
}

static bool read_hex4(const char *p, const char *end, uint32_t *ret_value)
{
	uint32_t value = 0;

	if (end - p < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		int digit = str_hex_digit(p[i]);

		if (digit < 0)
			return false;
		value = value << 4 | (uint32_t)digit;
	}
	*ret_value = value;
	return true;
}

static size_t put_utf8(char *out, uint32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* Reads what follows "\u", with the second half of a surrogate pair. Returns NULL or the fault. */
static const char *read_unicode(const char **p, const char *end, uint32_t *ret_c)
{
	uint32_t c, low;

	if (!read_hex4(*p, end, &c))
		return "\\u without four hexadecimal digits";
	*p += 4;
	if (c == 0)
		return "\\u0000, which cannot be stored,";
	if (c >= 0xdc00 && c <= 0xdfff)
		return "second half of a surrogate pair without the first";
	if (c >= 0xd800 && c <= 0xdbff) {
		if (end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u' || !read_hex4(*p + 2, end, &low) ||
		        low < 0xdc00 || low > 0xdfff)
			return "first half of a surrogate pair without the second";
		*p += 6;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	*ret_c = c;
	return NULL;
}

/* Decodes the escape behind a backslash at *p. Returns NULL or the fault. */
static const char *decode_escape(const char **p, const char *end, char **out)
{
	static const char plain[256] = {['"'] = '"',
	        ['\\'] = '\\',
	        ['/'] = '/',
	        ['b'] = '\b',
	        ['f'] = '\f',
	        ['n'] = '\n',
	        ['r'] = '\r',
	        ['t'] = '\t'};
	char name = *(*p)++;
	const char *fault;
	uint32_t c;

	if (name == 'u') {
		fault = read_unicode(p, end, &c);
		if (!fault)
			*out += put_utf8(*out, c);
		return fault;
	}
	if (!plain[(unsigned char)name])
		return "unknown escape";
	*(*out)++ = plain[(unsigned char)name];
	return NULL;
}

/* raw is what stood between the quotes. An escape is never shorter than what it stands for. */
static const char *decode_string(struct parser *parser, struct str raw, struct str *ret_text, const char **ret_fault)
{
	const char *p = raw.p, *end = raw.p + raw.n;
	char *text = arena_alloc(parser->arena, raw.n);
	char *out = text;

	while (p < end) {
		const char *at = p;

		if (*p != '\\') {
			*out++ = *p++;
			continue;
		}
		p++;
		*ret_fault = decode_escape(&p, end, &out);
		if (*ret_fault)
			return at;
	}
	*ret_text = (struct str){text, (size_t)(out - text)};
	return NULL;
}

/* Returns NULL, or the place of the fault. The opening quote is taken already. */
static const char *parse_string(struct parser *parser, struct str *ret_text, const char **ret_fault)
{
	const char *start = parser->p;
	const char *fault = NULL;
	bool escaped = false;
	const char *end = scan_string(start, parser->end, &escaped, &fault);

	if (fault) {
		*ret_fault = fault;
		return end;
	}
	parser->p = end + 1;
	*ret_text = (struct str){start, (size_t)(end - start)};
	return escaped ? decode_string(parser, *ret_text, ret_text, ret_fault) : NULL;
}

static bool parse_string_value(struct parser *parser, struct json *value)
{
	const char *what = NULL;
	const char *at = parse_string(parser, &value->text, &what);

	value->type = JSON_STRING;
	return !at || fail_value(parser, at, what);
}

static size_t take_digits(struct parser *parser)
{
	const char *start = parser->p;

	while (parser->p < parser->end && *parser->p >= '0' && *parser->p <= '9')
		parser->p++;
	return (size_t)(parser->p - start);
}

/* Reads e, sign and digits, which stop counting where they are out of bounds anyway. */
static bool take_exponent(struct parser *parser, int *ret_exponent)
{
	bool negative;
	const char *digits;
	int exponent = 0;

	*ret_exponent = 0;
	if (!take(parser, 'e') && !take(parser, 'E'))
		return true;
	negative = take(parser, '-');
	if (!negative)
		take(parser, '+');
	digits = parser->p;
	if (!take_digits(parser))
		return false;
	for (; digits < parser->p && exponent <= 2 * JSON_MAX_DIGITS; digits++)
		exponent = exponent * 10 + (*digits - '0');
	*ret_exponent = negative ? -exponent : exponent;
	return true;
}

static bool digits_in_bounds(size_t n_whole, size_t n_fraction, int exponent)
{
	if (n_whole > JSON_MAX_DIGITS || n_fraction > JSON_MAX_DIGITS)
		return false;
	return (int)n_whole + exponent <= JSON_MAX_DIGITS && (int)n_fraction - exponent <= JSON_MAX_DIGITS;
}

static bool parse_number(struct parser *parser, struct json *value)
{
	const char *start = parser->p;
	size_t n_whole, n_fraction = 0;
	int exponent;

	take(parser, '-');
	n_whole = take_digits(parser);
	if (!n_whole || (n_whole > 1 && parser->p[-(ptrdiff_t)n_whole] == '0'))
		return fail_value(parser, start, "number that is not well-formed");
	if (take(parser, '.')) {
		n_fraction = take_digits(parser);
		if (!n_fraction)
			return fail_value(parser, start, "number that is not well-formed");
	}
	if (!take_exponent(parser, &exponent))
		return fail_value(parser, start, "number that is not well-formed");
	if (!digits_in_bounds(n_whole, n_fraction, exponent))
		return fail_value(parser, start, "number with too many digits");
	value->type = JSON_NUMBER;
	value->text = (struct str){start, (size_t)(parser->p - start)};
	return true;
}

static bool parse_word(struct parser *parser, struct json *value, struct str word, enum json_type type)
{
	if (!str_starts((struct str){parser->p, (size_t)(parser->end - parser->p)}, word))
		return fail_value(parser, parser->p, "unexpected text");
	parser->p += word.n;
	value->type = type;
	return true;
}

static bool open_container(struct parser *parser, struct json *container, enum json_type type)
{
	container->type = type;
	if (parser->depth == parser->max_depth)
		return fail_value(parser, parser->p, "nesting that is too deep");
	parser->p++;
	parser->open[parser->depth++] = container;
	skip_blanks(parser);
	return true;
}

static bool parse_array(struct parser *parser, struct json *array)
{
	if (!open_container(parser, array, JSON_ARRAY))
		return false;
	if (take(parser, ']')) {
		parser->depth--;
		return true;
	}
	do {
		if (!parse_value(parser, json_append(array, json_new(parser->arena, JSON_NULL))))
			return false;
		skip_blanks(parser);
	} while (take(parser, ','));
	if (!take(parser, ']'))
		return fail_container(parser, "no , or ] where one belongs");
	parser->depth--;
	return true;
}

static bool parse_member(struct parser *parser, struct json *object, struct key_table *keys)
{
	struct json *value = json_new(parser->arena, JSON_NULL);
	const char *what = NULL;
	const char *key_start, *fault;
	struct str key;

	skip_blanks(parser);
	key_start = parser->p;
	if (!take(parser, '"'))
		return fail_container(parser, "no member name where one belongs");
	fault = parse_string(parser, &key, &what);
	if (fault) {
		parser->p = fault;
		return fail_container(parser, what);
	}
	json_add(object, key, value);
	if (key_table_add(keys, &value->key) != &value->key)
		return fail_value(parser, key_start, "member name that stands there twice");
	skip_blanks(parser);
	if (!take(parser, ':'))
		return fail_value(parser, parser->p, "no : where one belongs");
	return parse_value(parser, value);
}

static bool parse_object(struct parser *parser, struct json *object)
{
	struct key_table keys;

	key_table_init(&keys, parser->arena, 0);
	if (!open_container(parser, object, JSON_OBJECT))
		return false;
	if (take(parser, '}')) {
		parser->depth--;
		return true;
	}
	do {
		if (!parse_member(parser, object, &keys))
			return false;
		skip_blanks(parser);
	} while (take(parser, ','));
	if (!take(parser, '}'))
		return fail_container(parser, "no , or } where one belongs");
	parser->depth--;
	return true;
}

static bool parse_value(struct parser *parser, struct json *value)
{
	skip_blanks(parser);
	if (parser->p == parser->end)
		return fail_value(parser, parser->p, "no value where one belongs");
	switch (*parser->p) {
	case '"':
		parser->p++;
		return parse_string_value(parser, value);
	case '{':
		return parse_object(parser, value);
	case '[':
		return parse_array(parser, value);
	case 't':
		return parse_word(parser, value, STR("true"), JSON_TRUE);
	case 'f':
		return parse_word(parser, value, STR("false"), JSON_FALSE);
	case 'n':
		return parse_word(parser, value, STR("null"), JSON_NULL);
	case '-':
	case '0' ... '9':
		return parse_number(parser, value);
	default:
		return fail_value(parser, parser->p, "unexpected text");
	}
}

static struct json *parse(struct arena *arena, struct str given, size_t max_depth, struct err *err)
{
	struct str text = given.p ? given : STR("");
	struct parser parser = {.arena = arena,
	        .start = text.p,
	        .p = text.p,
	        .end = text.p + text.n,
	        .err = err,
	        .max_depth = max_depth};
	struct json *root = json_new(arena, JSON_NULL);

	if (!parse_value(&parser, root))
		return NULL;
	skip_blanks(&parser);
	if (parser.p != parser.end) {
		fail_value(&parser, parser.p, "more text behind the end");
		return NULL;
	}
	return root;
}

struct json *json_parse(struct arena *arena, struct str text, struct err *err)
{
	return parse(arena, text, JSON_MAX_DEPTH, err);
}

struct json *json_parse_sent(struct arena *arena, struct str text, struct err *err)
{
	return parse(arena, text, JSON_MAX_SENT_DEPTH, err);
}
