#ifndef COMMON_DECIMAL_H
#define COMMON_DECIMAL_H

#include "common/str.h"

/*
 * Exact decimal numbers read from JSON number text, for comparison without the rounding of doubles: 0.1 is 0.1 and a
 * 19-digit id keeps its last digit. The value is 0.d1d2d3... * 10^point, with leading and trailing zeros left out.
 */
struct decimal {
	struct str digits; /* view into the text; may hold the point, which is skipped */
	int32_t point;
	bool negative; /* never for zero */
};

/* The text must be a JSON number. Exponents saturate at +-1000000. */
struct decimal decimal_read(struct str number);

/* < 0, 0, > 0 */
int decimal_compare(const struct decimal *a, const struct decimal *b);

bool decimal_is_integer(const struct decimal *value);

/* False when it has a fraction or is outside int64. */
bool decimal_to_i64(const struct decimal *value, int64_t *ret_value);

#endif
