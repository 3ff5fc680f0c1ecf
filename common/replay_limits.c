#include "common/replay_limits.h"

static bool parse_one(struct str part, int64_t *limits, size_t n)
{
	struct str rest = part, number, offset;
	uint64_t partition, limit;

	if (!str_split(&rest, ':', &number) || !str_split(&rest, ':', &offset) || rest.p ||
	        !str_to_u64(number, n - 1, &partition) || !str_to_u64(offset, INT64_MAX, &limit))
		return false;
	limits[partition] = (int64_t)limit;
	return true;
}

bool replay_limits_parse(struct str text, int64_t *limits, size_t n, struct err *err)
{
	struct str rest = text, part;

	memset(limits, 0, n * sizeof(*limits));
	while (str_split(&rest, ',', &part))
		if (!parse_one(part, limits, n))
			return err_set(err, ERR_INVALID, "CONTACTHUB_REPLAY_UNTIL must be PARTITION:OFFSET,...");
	return true;
}
