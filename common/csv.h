#ifndef COMMON_CSV_H
#define COMMON_CSV_H

#include "common/str.h"

struct arena;

/*
 * Reader of comma separated values (RFC 4180) that comes piece by piece: the caller keeps the bytes from the beginning
 * of a row on and adds more until the row is whole. Pure. Beyond the RFC it takes LF alone as the end of a row, passes
 * over a byte order mark at the beginning of the file and over empty lines.
 *
 * A row at fault ends where the text says so all the same, and the next one is read: quotes at a wrong place mean
 * nothing until the end of the line. Only a row that has no end within CSV_ROW_BYTES leaves nothing to go on with.
 */
#define CSV_ROW_BYTES (256 * 1024)
#define CSV_COLUMNS 512

struct csv_cell {
	struct str text; /* points into the bytes, or into the arena where quotes were doubled; never absent */
	bool quoted;
};

struct csv_row {
	struct csv_cell *cells; /* in the arena */
	size_t n_cells;
	size_t n_bytes;    /* with the end of the line: the next row begins there */
	size_t skip;       /* of them: empty lines (and a mark) before the row */
	const char *fault; /* a sentence, or NULL; cells may be missing */
};

enum csv_status {
	CSV_ROW,
	CSV_MORE,    /* no whole row yet; n_bytes tells how many bytes need not be kept (empty lines) */
	CSV_END,     /* nothing is left; n_bytes as above */
	CSV_ENDLESS, /* the row is larger than CSV_ROW_BYTES, or has no closing quote: `fault` tells which */
};

/*
 * bytes: from the beginning of a row on. at_start: it is the beginning of the file. at_end: nothing follows them. What
 * a row that is not whole took from the arena (up to 20 KB and the row once more) is of no use: give large pieces.
 */
enum csv_status csv_next(struct arena *arena, struct str bytes, bool at_start, bool at_end, struct csv_row *ret_row);

/*
 * How many rows csv_next will find in a file, the header among them, while the file goes by in pieces of any size: it
 * keeps nothing. A row without a closing quote is none; rows larger than CSV_ROW_BYTES count.
 */
struct csv_counter {
	int64_t rows; /* that have ended */
	unsigned place, mark_bytes;
};

void csv_counter_init(struct csv_counter *counter);
void csv_counter_add(struct csv_counter *counter, struct str bytes);
/* When nothing follows. */
int64_t csv_counter_rows(const struct csv_counter *counter);

#endif
