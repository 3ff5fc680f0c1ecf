#include "gateway/multipart.h"

/* --- header values: type; name=value; name="value" --- */

/* Cuts the next parameter off *rest. A quoted value leaves without its quotes, still escaped. */
static bool next_param(struct str *rest, struct str *ret_name, struct str *ret_value)
{
	const char *p = rest->p, *end = rest->p + rest->n;

	while (p < end && (*p == ';' || *p == ' ' || *p == '\t'))
		p++;
	const char *name = p;
	while (p < end && *p != '=' && *p != ';')
		p++;
	*ret_name = str_trim((struct str){name, (size_t)(p - name)});
	*ret_value = (struct str){p, 0};
	if (p < end && *p == '=') {
		bool quoted = ++p < end && *p == '"';
		const char *value = p += quoted;
		while (p < end && *p != (quoted ? '"' : ';')) {
			if (quoted && *p == '\\' && p + 1 < end)
				p++;
			p++;
		}
		*ret_value = (struct str){value, (size_t)(p - value)};
		if (!quoted)
			*ret_value = str_trim(*ret_value);
		else if (p < end)
			p++;
	}
	*rest = (struct str){p, (size_t)(end - p)};
	return ret_name->n > 0;
}

/* The type in front of the parameters. */
static struct str cut_type(struct str *rest)
{
	const char *end = rest->n ? memchr(rest->p, ';', rest->n) : NULL;
	size_t n = end ? (size_t)(end - rest->p) : rest->n;
	struct str type = str_trim((struct str){rest->p, n});

	*rest = (struct str){rest->p + n, rest->n - n};
	return type;
}

/* Characters of RFC 2046; a blank may not be the last. */
static bool is_boundary(struct str text)
{
	static const char others[] = "'()+_,-./:=? ";

	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (!letter && !memchr(others, c, sizeof(others) - 1))
			return false;
	}
	return text.n >= 1 && text.n <= MULTIPART_BOUNDARY_MAX && text.p[text.n - 1] != ' ';
}

bool multipart_boundary(struct str content_type, char out[MULTIPART_BOUNDARY_MAX], size_t *ret_n, struct err *err)
{
	struct str rest = content_type, name, value;

	if (!content_type.p || !str_eq_nocase(cut_type(&rest), STR("multipart/form-data")))
		return err_set(err, ERR_MEDIA_TYPE, "The content type of the request must be multipart/form-data");
	while (next_param(&rest, &name, &value)) {
		if (!str_eq_nocase(name, STR("boundary")))
			continue;
		if (!is_boundary(value))
			break;
		memcpy(out, value.p, value.n);
		*ret_n = value.n;
		return true;
	}
	return err_set(
	        err, ERR_MEDIA_TYPE, "The content type multipart/form-data must name a boundary of 1 to 70 characters");
}

/* --- headers of a part --- */

static enum multipart_event broken(struct multipart *reader, const char *why)
{
	reader->state = MULTIPART_BROKEN;
	reader->why = why;
	return MULTIPART_BAD;
}

/* What browsers escape in names: %22, %0D and %0A; others put a backslash in front of quotes and backslashes.
   Everything else stands for itself. */
static size_t unescape(struct str text, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++) {
		int code = text.p[i] == '%' && i + 2 < text.n
		                   ? str_hex_digit(text.p[i + 1]) * 16 + str_hex_digit(text.p[i + 2])
		                   : -1;
		if (code == '"' || code == '\r' || code == '\n') {
			out[n++] = (char)code;
			i += 2;
		} else {
			if (text.p[i] == '\\' && i + 1 < text.n && (text.p[i + 1] == '"' || text.p[i + 1] == '\\'))
				i++;
			out[n++] = text.p[i];
		}
	}
	return n;
}

static bool keep_name(struct str value, char bytes[MULTIPART_NAME_MAX], struct str *ret_name)
{
	if (value.n > MULTIPART_NAME_MAX)
		return false;
	*ret_name = (struct str){bytes, unescape(value, bytes)};
	return str_is_utf8(*ret_name) && !memchr(bytes, '\0', ret_name->n);
}

static const char *take_disposition(struct multipart *reader, struct str value)
{
	struct str rest = value, name, text;

	if (!str_eq_nocase(cut_type(&rest), STR("form-data")))
		return "A part's Content-Disposition is not form-data";
	while (next_param(&rest, &name, &text)) {
		if (str_eq_nocase(name, STR("name")) && !keep_name(text, reader->name_bytes, &reader->name))
			return "A part's name is not valid";
		if (str_eq_nocase(name, STR("filename")) && !keep_name(text, reader->filename_bytes, &reader->filename))
			return "A part's file name is not valid";
	}
	return NULL;
}

/* RFC 7578 knows no encodings any more; those that change nothing are still sent. */
static bool is_identity(struct str encoding)
{
	return str_eq_nocase(encoding, STR("binary")) || str_eq_nocase(encoding, STR("8bit")) ||
	       str_eq_nocase(encoding, STR("7bit"));
}

static const char *take_header(struct multipart *reader, struct str line)
{
	const char *colon = memchr(line.p, ':', line.n);

	if (!colon)
		return "A header of a part has no colon";
	struct str name = {line.p, (size_t)(colon - line.p)};
	struct str value = str_trim((struct str){colon + 1, line.n - name.n - 1});
	if (str_eq_nocase(name, STR("Content-Disposition")))
		return take_disposition(reader, value);
	if (str_eq_nocase(name, STR("Content-Transfer-Encoding")) && !is_identity(value))
		return "A part's Content-Transfer-Encoding is not supported";
	return NULL;
}

/* The headers up to the empty line are there. */
static enum multipart_event begin_part(struct multipart *reader)
{
	struct str rest = {reader->header, reader->header_bytes}, line;

	reader->name = reader->filename = STR_NONE;
	while (str_split(&rest, '\n', &line)) {
		if (line.n && line.p[line.n - 1] == '\r')
			line.n--;
		const char *why = line.n ? take_header(reader, line) : NULL;
		if (why)
			return broken(reader, why);
	}
	if (!reader->name.p)
		return broken(reader, "A part has no name");
	reader->state = MULTIPART_CONTENTS;
	reader->matched = 0;
	return MULTIPART_PART;
}

/* True when the lines end with an empty one. */
static bool headers_end(const struct multipart *reader)
{
	struct str text = {reader->header, reader->header_bytes};

	return (text.n == 2 && memcmp(text.p, "\r\n", 2) == 0) ||
	       (text.n >= 4 && memcmp(text.p + text.n - 4, "\r\n\r\n", 4) == 0);
}

static enum multipart_event take_headers(struct multipart *reader, struct str *input)
{
	while (input->n) {
		if (reader->header_bytes == MULTIPART_HEADER_MAX)
			return broken(reader, "The headers of a part are too long");
		reader->header[reader->header_bytes++] = *input->p++;
		input->n--;
		if (headers_end(reader))
			return begin_part(reader);
	}
	return MULTIPART_MORE;
}

/* --- boundaries --- */

void multipart_init(struct multipart *reader, struct str boundary)
{
	*reader = (struct multipart){.state = MULTIPART_PREAMBLE};
	memcpy(reader->delimiter, "\r\n--", 4);
	memcpy(reader->delimiter + 4, boundary.p, boundary.n);
	reader->delimiter_bytes = 4 + boundary.n;
	/* the line end in front of the first boundary may be missing */
	reader->matched = 2;
}

/* One byte in the search for the delimiter. Its CR stands only at its start, so that what has been matched is given up
   as a whole. */
static bool match(struct multipart *reader, char c)
{
	if (c == reader->delimiter[reader->matched]) {
		reader->matched++;
		return true;
	}
	reader->matched = c == '\r';
	return false;
}

static enum multipart_event take_preamble(struct multipart *reader, struct str *input)
{
	while (input->n) {
		match(reader, *input->p++);
		input->n--;
		if (reader->matched == reader->delimiter_bytes) {
			reader->matched = 0;
			reader->state = MULTIPART_DELIMITED;
			break;
		}
	}
	return MULTIPART_MORE;
}

/* The line of a boundary. */
static enum multipart_event take_line(struct multipart *reader, struct str *input)
{
	char c = *input->p++;

	input->n--;
	if (reader->state == MULTIPART_CLOSING) {
		if (c != '-')
			return broken(reader, "A boundary is followed by other text");
		reader->state = MULTIPART_ENDED;
		return MULTIPART_DONE;
	}
	if (reader->state == MULTIPART_LINE_FEED) {
		if (c != '\n')
			return broken(reader, "A boundary is followed by other text");
		reader->state = MULTIPART_HEADERS;
		reader->header_bytes = 0;
	} else if (c == '-' && reader->state == MULTIPART_DELIMITED) {
		reader->state = MULTIPART_CLOSING;
	} else if (c == '\r') {
		reader->state = MULTIPART_LINE_FEED;
	} else if (c == ' ' || c == '\t') {
		reader->state = MULTIPART_LINE_END;
	} else {
		return broken(reader, "A boundary is followed by other text");
	}
	return MULTIPART_MORE;
}

/* Bytes that cannot begin the delimiter, as one piece. */
static enum multipart_event take_run(struct str *input, struct str *ret_data)
{
	const char *stop = memchr(input->p, '\r', input->n);
	size_t n = stop ? (size_t)(stop - input->p) : input->n;

	*ret_data = (struct str){input->p, n};
	*input = (struct str){input->p + n, input->n - n};
	return MULTIPART_DATA;
}

static enum multipart_event take_contents(struct multipart *reader, struct str *input, struct str *ret_data)
{
	while (input->n) {
		size_t held = reader->matched;
		if (held == 0 && *input->p != '\r')
			return take_run(input, ret_data);
		if (*input->p != reader->delimiter[held]) {
			/* what looked like the delimiter was contents; the byte is looked at again */
			reader->matched = 0;
			*ret_data = (struct str){reader->delimiter, held};
			return MULTIPART_DATA;
		}
		reader->matched++;
		input->p++;
		input->n--;
		if (reader->matched == reader->delimiter_bytes) {
			reader->matched = 0;
			reader->state = MULTIPART_DELIMITED;
			return MULTIPART_PART_END;
		}
	}
	return MULTIPART_MORE;
}

enum multipart_event multipart_next(struct multipart *reader, struct str *input, struct str *ret_data)
{
	enum multipart_event event = MULTIPART_MORE;

	while (event == MULTIPART_MORE && (input->n || reader->state == MULTIPART_BROKEN)) {
		switch (reader->state) {
		case MULTIPART_PREAMBLE:
			event = take_preamble(reader, input);
			break;
		case MULTIPART_DELIMITED:
		case MULTIPART_CLOSING:
		case MULTIPART_LINE_END:
		case MULTIPART_LINE_FEED:
			event = take_line(reader, input);
			break;
		case MULTIPART_HEADERS:
			event = take_headers(reader, input);
			break;
		case MULTIPART_CONTENTS:
			event = take_contents(reader, input, ret_data);
			break;
		case MULTIPART_ENDED: /* the epilogue */
			*input = (struct str){input->p + input->n, 0};
			break;
		case MULTIPART_BROKEN:
			return MULTIPART_BAD;
		}
	}
	return event;
}

bool multipart_is_complete(const struct multipart *reader)
{
	return reader->state == MULTIPART_ENDED;
}
