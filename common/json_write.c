#include "common/json.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/uuid.h"

/* How a byte is written inside a string: 0 as it is, 'u' as \u00XX, else behind a backslash. Bytes above 0x7f are UTF-8
   and pass. */
static const char escapes[256] = {
        [0x00] = 'u',
        [0x01] = 'u',
        [0x02] = 'u',
        [0x03] = 'u',
        [0x04] = 'u',
        [0x05] = 'u',
        [0x06] = 'u',
        [0x07] = 'u',
        ['\b'] = 'b',
        ['\t'] = 't',
        ['\n'] = 'n',
        [0x0b] = 'u',
        ['\f'] = 'f',
        ['\r'] = 'r',
        [0x0e] = 'u',
        [0x0f] = 'u',
        [0x10] = 'u',
        [0x11] = 'u',
        [0x12] = 'u',
        [0x13] = 'u',
        [0x14] = 'u',
        [0x15] = 'u',
        [0x16] = 'u',
        [0x17] = 'u',
        [0x18] = 'u',
        [0x19] = 'u',
        [0x1a] = 'u',
        [0x1b] = 'u',
        [0x1c] = 'u',
        [0x1d] = 'u',
        [0x1e] = 'u',
        [0x1f] = 'u',
        ['"'] = '"',
        ['\\'] = '\\',
};

static void write_escape(struct buf *buf, unsigned char c)
{
	static const char digits[] = "0123456789abcdef";
	char escape = escapes[c];

	buf_add_char(buf, '\\');
	buf_add_char(buf, escape);
	if (escape == 'u') {
		buf_add_literal(buf, "00");
		buf_add_char(buf, digits[c >> 4]);
		buf_add_char(buf, digits[c & 15]);
	}
}

void json_write_string(struct buf *buf, struct str s)
{
	size_t start = 0;

	buf_add_char(buf, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (!escapes[(unsigned char)s.p[i]])
			continue;
		buf_add(buf, s.p + start, i - start);
		write_escape(buf, (unsigned char)s.p[i]);
		start = i + 1;
	}
	if (s.n > start)
		buf_add(buf, s.p + start, s.n - start);
	buf_add_char(buf, '"');
}

static void write_children(struct buf *buf, const struct json *parent)
{
	for
		json_each(child, parent)
		{
			if (child != parent->first)
				buf_add_char(buf, ',');
			if (parent->type == JSON_OBJECT) {
				json_write_string(buf, child->key);
				buf_add_char(buf, ':');
			}
			json_write(buf, child);
		}
}

void json_write(struct buf *buf, const struct json *value)
{
	switch (value->type) {
	case JSON_NULL:
		buf_add_literal(buf, "null");
		break;
	case JSON_FALSE:
		buf_add_literal(buf, "false");
		break;
	case JSON_TRUE:
		buf_add_literal(buf, "true");
		break;
	case JSON_NUMBER:
		buf_add_str(buf, value->text);
		break;
	case JSON_STRING:
		json_write_string(buf, value->text);
		break;
	case JSON_ARRAY:
		buf_add_char(buf, '[');
		write_children(buf, value);
		buf_add_char(buf, ']');
		break;
	case JSON_OBJECT:
		buf_add_char(buf, '{');
		write_children(buf, value);
		buf_add_char(buf, '}');
		break;
	}
}

void json_write_uuid(struct buf *buf, const struct uuid *id)
{
	char text[UUID_TEXT_BYTES + 1];

	uuid_format(id, text);
	buf_add_char(buf, '"');
	buf_add(buf, text, UUID_TEXT_BYTES);
	buf_add_char(buf, '"');
}

void json_write_time(struct buf *buf, int64_t time_us)
{
	char text[TIME_TEXT_BYTES + 1];

	time_format(time_us, text);
	buf_add_char(buf, '"');
	buf_add(buf, text, TIME_TEXT_BYTES);
	buf_add_char(buf, '"');
}

void json_pointer_add(struct buf *pointer, struct str token)
{
	buf_add_char(pointer, '/');
	for (size_t i = 0; i < token.n; i++) {
		if (token.p[i] == '~')
			buf_add_literal(pointer, "~0");
		else if (token.p[i] == '/')
			buf_add_literal(pointer, "~1");
		else
			buf_add_char(pointer, token.p[i]);
	}
}

struct str json_pointer_token(struct arena *arena, struct str token)
{
	struct buf name;

	buf_init(&name, arena, token.n);
	for (size_t i = 0; i < token.n; i++) {
		char next = token.p[i] == '~' && i + 1 < token.n ? token.p[i + 1] : 0;

		buf_add_char(&name, next == '1' ? '/' : token.p[i]);
		i += next == '0' || next == '1';
	}
	return buf_str(&name);
}
