#include "common/decimal.h"

#define EXPONENT_MAX 1000000

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int32_t read_exponent(struct str text)
{
	bool negative = text.n && text.p[0] == '-';
	int32_t value = 0;

	for (size_t i = 0; i < text.n; i++) {
		if (is_digit(text.p[i]) && value < EXPONENT_MAX)
			value = value * 10 + (text.p[i] - '0');
	}
	if (value > EXPONENT_MAX)
		value = EXPONENT_MAX;
	return negative ? -value : value;
}

static bool is_zero_or_point(char c)
{
	return c == '0' || c == '.';
}

/* Leaves zeros out at both ends; point moves with the ones before and behind it. */
static struct decimal normalise(struct str mantissa, int32_t exponent, bool negative)
{
	const char *found = mantissa.n ? memchr(mantissa.p, '.', mantissa.n) : NULL;
	const char *point = found ? found : mantissa.p + mantissa.n;
	const char *end = mantissa.p + mantissa.n;
	const char *p = mantissa.p;

	while (p < end && is_zero_or_point(*p))
		p++;
	while (end > p && is_zero_or_point(end[-1]))
		end--;
	if (p == end)
		return (struct decimal){.digits = STR("")};
	return (struct decimal){
	        .digits = {p, (size_t)(end - p)},
	        .point = exponent + (int32_t)(p < point ? point - p : point + 1 - p),
	        .negative = negative,
	};
}

struct decimal decimal_read(struct str number)
{
	bool negative = number.n && number.p[0] == '-';
	struct str mantissa = {number.p + negative, 0};
	int32_t exponent = 0;
	size_t i = negative;

	while (i < number.n && (is_digit(number.p[i]) || number.p[i] == '.'))
		i++;
	mantissa.n = i - negative;
	if (i < number.n)
		exponent = read_exponent((struct str){number.p + i + 1, number.n - i - 1});
	return normalise(mantissa, exponent, negative);
}

/* Next digit as '0' to '9'; '0' behind the end. */
static char next_digit(struct str *digits)
{
	if (digits->n && digits->p[0] == '.') {
		digits->p++;
		digits->n--;
	}
	if (!digits->n)
		return '0';
	digits->n--;
	return *digits->p++;
}

static int compare_magnitude(const struct decimal *a, const struct decimal *b)
{
	struct str left = a->digits, right = b->digits;

	if (!left.n || !right.n)
		return (left.n > 0) - (right.n > 0);
	if (a->point != b->point)
		return a->point < b->point ? -1 : 1;
	while (left.n || right.n) {
		int order = next_digit(&left) - next_digit(&right);

		if (order)
			return order;
	}
	return 0;
}

int decimal_compare(const struct decimal *a, const struct decimal *b)
{
	if (a->negative != b->negative)
		return a->negative ? -1 : 1;
	return a->negative ? compare_magnitude(b, a) : compare_magnitude(a, b);
}

static int32_t count_digits(struct str digits)
{
	bool has_point = digits.n && memchr(digits.p, '.', digits.n);

	return (int32_t)digits.n - has_point;
}

bool decimal_is_integer(const struct decimal *value)
{
	return count_digits(value->digits) <= value->point || !value->digits.n;
}

bool decimal_to_i64(const struct decimal *value, int64_t *ret_value)
{
	/* One more than INT64_MAX is the magnitude of INT64_MIN. */
	uint64_t max = (uint64_t)INT64_MAX + value->negative;
	struct str rest = value->digits;
	uint64_t magnitude = 0;

	if (!decimal_is_integer(value) || value->point > 19)
		return false;
	for (int32_t i = 0; i < value->point; i++) {
		uint64_t digit = (uint64_t)(next_digit(&rest) - '0');

		if (magnitude > max / 10 || magnitude * 10 > max - digit)
			return false;
		magnitude = magnitude * 10 + digit;
	}
	*ret_value = value->negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
	return true;
}
