#include "common/str.h"

int str_compare(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int order = n ? memcmp(a.p, b.p, n) : 0;

	if (order)
		return order;
	return (a.n > b.n) - (a.n < b.n);
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool str_eq_nocase(struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++) {
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	}
	return true;
}

bool str_split(struct str *rest, char separator, struct str *ret_part)
{
	const char *found;

	if (!rest->p)
		return false;
	found = rest->n ? memchr(rest->p, separator, rest->n) : NULL;
	if (!found) {
		*ret_part = *rest;
		*rest = STR_NONE;
		return true;
	}
	*ret_part = (struct str){rest->p, (size_t)(found - rest->p)};
	rest->n -= ret_part->n + 1;
	rest->p = found + 1;
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct str str_trim(struct str s)
{
	while (s.n && is_blank(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

bool str_to_u64(struct str s, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (!s.n)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		uint64_t digit = (uint64_t)(unsigned char)s.p[i] - '0';

		if (digit > 9 || digit > max || value > (max - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*ret_value = value;
	return true;
}

/* Well-formed sequences by first byte: their length and what the second byte may be (RFC 3629 section 4). */
static const struct utf8_row {
	uint8_t first_from, first_to, second_from, second_to, n;
} utf8_rows[] = {
        {.first_from = 0x00, .first_to = 0x7f, .n = 1},
        {.first_from = 0xc2, .first_to = 0xdf, .second_from = 0x80, .second_to = 0xbf, .n = 2},
        {.first_from = 0xe0, .first_to = 0xe0, .second_from = 0xa0, .second_to = 0xbf, .n = 3},
        {.first_from = 0xe1, .first_to = 0xec, .second_from = 0x80, .second_to = 0xbf, .n = 3},
        {.first_from = 0xed, .first_to = 0xed, .second_from = 0x80, .second_to = 0x9f, .n = 3},
        {.first_from = 0xee, .first_to = 0xef, .second_from = 0x80, .second_to = 0xbf, .n = 3},
        {.first_from = 0xf0, .first_to = 0xf0, .second_from = 0x90, .second_to = 0xbf, .n = 4},
        {.first_from = 0xf1, .first_to = 0xf3, .second_from = 0x80, .second_to = 0xbf, .n = 4},
        {.first_from = 0xf4, .first_to = 0xf4, .second_from = 0x80, .second_to = 0x8f, .n = 4},
};

static bool is_continuation(char c)
{
	return ((uint8_t)c & 0xc0) == 0x80;
}

static const struct utf8_row *utf8_row_of(uint8_t first)
{
	for (size_t i = 0; i < ARRAY_LEN(utf8_rows); i++) {
		if (first >= utf8_rows[i].first_from && first <= utf8_rows[i].first_to)
			return &utf8_rows[i];
	}
	return NULL;
}

size_t str_utf8_step(struct str s)
{
	const struct utf8_row *row = s.n ? utf8_row_of((uint8_t)s.p[0]) : NULL;

	if (!row || row->n > s.n)
		return 0;
	if (row->n > 1 && ((uint8_t)s.p[1] < row->second_from || (uint8_t)s.p[1] > row->second_to))
		return 0;
	for (size_t i = 2; i < row->n; i++) {
		if (!is_continuation(s.p[i]))
			return 0;
	}
	return row->n;
}

size_t str_utf8_length(struct str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += !is_continuation(s.p[i]);
	return n;
}

struct str str_utf8_cut(struct str s, size_t max_bytes)
{
	if (s.n <= max_bytes)
		return s;
	s.n = max_bytes;
	while (s.n && is_continuation(s.p[s.n]))
		s.n--;
	return s;
}

bool str_is_utf8(struct str s)
{
	size_t step;

	for (; s.n; s.p += step, s.n -= step) {
		step = str_utf8_step(s);
		if (!step)
			return false;
	}
	return true;
}
