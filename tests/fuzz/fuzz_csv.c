#include "tests/fuzz/fuzz.h"

#include "common/arena.h"
#include "common/csv.h"

#include <string.h>

#define INPUT_BYTES 65536
#define MAX_ROWS (INPUT_BYTES + 1)

/* What a reading found, as one number. */
static void mix(uint64_t *sum, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < n; i++)
		*sum = (*sum ^ p[i]) * 0x100000001b3u;
	*sum = (*sum ^ n) * 0x100000001b3u;
}

static void mix_row(uint64_t *sum, const struct csv_row *row)
{
	FUZZ_CHECK(row->n_cells <= CSV_COLUMNS && row->skip <= row->n_bytes);
	mix(sum, &row->n_cells, sizeof(row->n_cells));
	mix(sum, row->fault ? row->fault : "", row->fault ? strlen(row->fault) : 0);
	for (size_t i = 0; i < row->n_cells; i++) {
		mix(sum, &row->cells[i].quoted, sizeof(row->cells[i].quoted));
		mix(sum, row->cells[i].text.p, row->cells[i].text.n);
	}
}

static int64_t count_rows(struct str file, size_t step)
{
	struct csv_counter counter;

	csv_counter_init(&counter);
	for (size_t at = 0; at < file.n; at += step)
		csv_counter_add(&counter, (struct str){file.p + at, file.n - at < step ? file.n - at : step});
	return csv_counter_rows(&counter);
}

/* Reads the file with `step` more bytes at a time. */
static uint64_t read_file(struct arena *arena, struct str file, size_t step)
{
	size_t at = 0, have = 0;
	uint64_t sum = 0;
	bool at_start = true;

	for (int64_t rows = 0; rows < MAX_ROWS;) {
		struct csv_row row;
		enum csv_status status =
		        csv_next(arena, (struct str){file.p + at, have - at}, at_start, have == file.n, &row);
		FUZZ_CHECK(status == CSV_ENDLESS || at + row.n_bytes <= have);
		if (status != CSV_MORE)
			mix(&sum, &status, sizeof(status));
		if (status == CSV_END || status == CSV_ENDLESS) {
			FUZZ_CHECK(rows == count_rows(file, step));
			return sum;
		}
		at_start = at_start && !row.n_bytes;
		at += row.n_bytes;
		if (status == CSV_ROW) {
			mix_row(&sum, &row);
			FUZZ_CHECK(row.n_bytes > 0);
			rows++;
		}
		arena_reset(arena);
		if (status == CSV_ROW)
			continue;
		FUZZ_CHECK(have < file.n);
		have = file.n - have < step ? file.n : have + step;
	}
	FUZZ_CHECK(!"the file comes to an end");
	return 0;
}

/* The first byte says how the rest is cut; whatever the cuts, the rows are the same. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static struct arena *arena;

	if (n < 1 || n > INPUT_BYTES)
		return 0;
	if (!arena)
		arena = arena_new((size_t)64 * 1024 * 1024);
	struct str file = {(const char *)bytes + 1, n - 1};
	arena_reset(arena);
	uint64_t whole = read_file(arena, file, INPUT_BYTES);
	arena_reset(arena);
	FUZZ_CHECK(whole == read_file(arena, file, (size_t)bytes[0] + 1));
	return 0;
}
