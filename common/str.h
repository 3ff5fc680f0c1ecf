#ifndef COMMON_STR_H
#define COMMON_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* A view of bytes: not owned, not NUL-terminated unless its maker says so. {NULL, 0} means "absent". */
struct str {
	const char *p;
	size_t n;
};

/* The empty text before it makes anything but a literal an error: of a pointer sizeof would be the length. */
#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_NONE ((struct str){NULL, 0})
/* For "%.*s". */
#define STR_ARG(s) (int)(s).n, (s).p

static inline struct str str_of(const char *c_string)
{
	return (struct str){c_string, c_string ? strlen(c_string) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_is(struct str a, const char *c_string)
{
	return str_eq(a, str_of(c_string));
}

static inline bool str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && memcmp(s.p, prefix.p, prefix.n) == 0;
}

/* Byte order, the shorter first: the "C" collation, whatever the locale. */
int str_compare(struct str a, struct str b);

/* ASCII only. */
bool str_eq_nocase(struct str a, struct str b);

/* Cuts the part before `separator` off the front of *rest; false when *rest is absent. The last part leaves *rest
 * absent. */
bool str_split(struct str *rest, char separator, struct str *ret_part);

/* Without the blanks and tabs at both ends. */
struct str str_trim(struct str s);

/* Strict decimal without sign or blanks; false on anything else or above max. */
bool str_to_u64(struct str s, uint64_t max, uint64_t *ret_value);

/* The value of a hexadecimal digit of either case, -1 of anything else. */
static inline int str_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Length in bytes (1 to 4) of the well-formed UTF-8 sequence at the start of s; 0 when there is none. */
size_t str_utf8_step(struct str s);

/* Characters (code points) of well-formed UTF-8. */
size_t str_utf8_length(struct str s);

/* The longest start of s that has at most max_bytes and does not end inside a sequence. */
struct str str_utf8_cut(struct str s, size_t max_bytes);

/* True when s is well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool str_is_utf8(struct str s);

#endif
