#include "common/err.h"

#include <stdarg.h>
#include <stdio.h>

static const struct err_row {
	int http_status;
	enum err_class class;
	const char *sentence;
} rows[] = {[ERR_NONE] = {200, ERR_CLASS_REJECT, "No error"},
#define X(name, status, class, sentence) [ERR_##name] = {status, ERR_CLASS_##class, sentence},
        ERR_CODES(X)
#undef X
};

int err_http_status(enum err_code code)
{
	return rows[code].http_status;
}

enum err_class err_class(enum err_code code)
{
	return rows[code].class;
}

const char *err_sentence(enum err_code code)
{
	return rows[code].sentence;
}

/* snprintf may have cut inside a UTF-8 sequence: the last bytes of a full array go, up to a character's end. */
static void trim_to_character(char *text, size_t size)
{
	text[str_utf8_cut(str_of(text), size - 4).n] = '\0';
}

bool err_set(struct err *err, enum err_code code, const char *format, ...)
{
	va_list args;

	if (!err)
		return false;
	err->code = code;
	err->pointer[0] = '\0';
	va_start(args, format);
	vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);
	trim_to_character(err->message, sizeof(err->message));
	return false;
}

void err_set_pointer(struct err *err, struct str pointer)
{
	struct str cut = str_utf8_cut(pointer, sizeof(err->pointer) - 1);

	if (cut.n)
		memcpy(err->pointer, cut.p, cut.n);
	err->pointer[cut.n] = '\0';
}

bool err_wrap(struct err *err, const char *format, ...)
{
	char words[sizeof(err->message)];
	char message[sizeof(err->message)];
	va_list args;

	if (!err)
		return false;
	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	memcpy(message, err->message, sizeof(message));
	if (snprintf(err->message, sizeof(err->message), "%s: %s", words, message) >= (int)sizeof(err->message))
		trim_to_character(err->message, sizeof(err->message));
	return false;
}
