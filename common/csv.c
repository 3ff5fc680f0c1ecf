#include "common/csv.h"

#include "common/arena.h"

#define BYTE_ORDER_MARK "\xEF\xBB\xBF"

/* One row in work. `open`: the text breaks off before the row ends; `in_quotes`: before a cell's closing quote. */
struct reading {
	struct arena *arena;
	const char *at, *end;
	bool at_end;
	bool open, in_quotes;
	struct csv_row *row;
	size_t capacity;
};

static void set_fault(struct reading *reading, const char *fault)
{
	if (!reading->row->fault)
		reading->row->fault = fault;
}

static void add_cell(struct reading *reading, struct str text, bool quoted)
{
	struct csv_row *row = reading->row;

	if (row->n_cells == CSV_COLUMNS) {
		set_fault(reading, "the row has too many cells");
		return;
	}
	if (row->n_cells == reading->capacity) {
		size_t capacity = reading->capacity ? reading->capacity * 4 : 16;
		struct csv_cell *cells = arena_alloc(reading->arena, capacity * sizeof(*cells));
		if (row->n_cells)
			memcpy(cells, row->cells, row->n_cells * sizeof(*cells));
		row->cells = cells;
		reading->capacity = capacity;
	}
	row->cells[row->n_cells++] = (struct csv_cell){.text = text, .quoted = quoted};
}

/* Up to the next comma or the end of the line; `from` is where the cell begins. */
static void read_plain(struct reading *reading, const char *from)
{
	const char *p = reading->at;

	while (p < reading->end && *p != ',' && *p != '\n') {
		if (*p == '"')
			set_fault(reading, "a quote stands inside a cell that does not begin with one");
		p++;
	}
	reading->at = p;
	if (p == reading->end && !reading->at_end) {
		reading->open = true;
		return;
	}
	size_t n = (size_t)(p - from);
	if ((p == reading->end || *p == '\n') && n && from[n - 1] == '\r')
		n--;
	if (memchr(from, '\r', n))
		set_fault(reading, "a carriage return stands inside a cell without quotes");
	add_cell(reading, (struct str){from, n}, false);
}

static struct str undouble(struct arena *arena, struct str text)
{
	char *copy = arena_alloc(arena, text.n);
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++) {
		copy[n++] = text.p[i];
		if (text.p[i] == '"')
			i++;
	}
	return (struct str){copy, n};
}

/* Finds the closing quote; NULL when it is not there. */
static const char *closing_quote(const char *p, const char *end, bool *ret_doubled)
{
	*ret_doubled = false;
	while ((p = memchr(p, '"', (size_t)(end - p)))) {
		if (p + 1 == end || p[1] != '"')
			return p;
		*ret_doubled = true;
		p += 2;
	}
	return NULL;
}

static void read_quoted(struct reading *reading)
{
	const char *from = reading->at + 1, *p;
	bool doubled;

	p = closing_quote(from, reading->end, &doubled);
	/* a quote at the end of the bytes may be half of a doubled one; CR may be half of CRLF */
	if (!p || (!reading->at_end && (p + 1 == reading->end || (p[1] == '\r' && p + 2 == reading->end)))) {
		reading->open = true;
		reading->in_quotes = !p;
		return;
	}
	struct str text = {from, (size_t)(p - from)};
	add_cell(reading, doubled ? undouble(reading->arena, text) : text, true);
	reading->at = ++p;
	if (p < reading->end && *p == '\r' && (p + 1 == reading->end || p[1] == '\n'))
		reading->at = ++p;
	if (p == reading->end || *p == ',' || *p == '\n')
		return;
	/* what stands behind the quote is passed over as if it were a cell, and is none */
	size_t n_cells = reading->row->n_cells;
	set_fault(reading, "text follows the closing quote of a cell");
	read_plain(reading, p);
	reading->row->n_cells = n_cells;
}

static void read_row(struct reading *reading)
{
	for (;;) {
		if (reading->at < reading->end && *reading->at == '"')
			read_quoted(reading);
		else
			read_plain(reading, reading->at);
		if (reading->open || reading->at == reading->end)
			return;
		if (*reading->at++ == '\n')
			return;
	}
}

/* Bytes of the mark and of empty lines at the front. */
static size_t passed_over(struct str bytes, bool at_start, bool at_end)
{
	const char *p = bytes.p, *end = bytes.p + bytes.n;

	if (at_start && str_starts(bytes, STR(BYTE_ORDER_MARK)))
		p += sizeof(BYTE_ORDER_MARK) - 1;
	while (p < end && (*p == '\n' || (*p == '\r' && (p + 1 < end ? p[1] == '\n' : at_end))))
		p++;
	return (size_t)(p - bytes.p);
}

/* A forgotten quote takes all that follows into its cell: the cell is told, not how long it has become. */
static const char *endless(const struct reading *reading)
{
	size_t cell = reading->row->n_cells + 1;

	if (!reading->in_quotes)
		return arena_printf(reading->arena, "it has more than %d bytes", CSV_ROW_BYTES);
	if (reading->at_end)
		return arena_printf(reading->arena, "the quote that begins its cell %zu never ends", cell);
	return arena_printf(
	        reading->arena, "the quote that begins its cell %zu does not end within %d bytes", cell, CSV_ROW_BYTES);
}

enum csv_status csv_next(struct arena *arena, struct str bytes, bool at_start, bool at_end, struct csv_row *ret_row)
{
	struct reading reading = {.arena = arena, .end = bytes.p + bytes.n, .at_end = at_end, .row = ret_row};
	bool mark_is_open = at_start && !at_end && bytes.n < sizeof(BYTE_ORDER_MARK) - 1;
	size_t skip = mark_is_open ? 0 : passed_over(bytes, at_start, at_end);

	*ret_row = (struct csv_row){.skip = skip, .n_bytes = skip};
	if (mark_is_open)
		return CSV_MORE;
	if (skip == bytes.n)
		return at_end ? CSV_END : CSV_MORE;
	reading.at = bytes.p + skip;
	read_row(&reading);
	size_t n = (size_t)(reading.at - bytes.p) - skip;
	if (n > CSV_ROW_BYTES || (reading.open && (at_end || bytes.n - skip > CSV_ROW_BYTES))) {
		ret_row->fault = endless(&reading);
		return CSV_ENDLESS;
	}
	if (reading.open)
		return CSV_MORE;
	ret_row->n_bytes = skip + n;
	return CSV_ROW;
}

/* --- counting --- */

/* Where in a row the next byte stands. */
enum place {
	PLACE_MARK, /* at the beginning of the file, or in its mark */
	PLACE_ROW,
	PLACE_ROW_CR, /* CR of an empty line, if LF follows */
	PLACE_CELL,
	PLACE_PLAIN,
	PLACE_QUOTED,
	PLACE_QUOTE, /* closes the cell, or is doubled */
};

void csv_counter_init(struct csv_counter *counter)
{
	*counter = (struct csv_counter){.place = PLACE_MARK};
}

/* In a cell without quotes, or behind one with them. */
static enum place in_cell(struct csv_counter *counter, char c)
{
	counter->rows += c == '\n';
	return c == '\n' ? PLACE_ROW : c == ',' ? PLACE_CELL : PLACE_PLAIN;
}

static enum place at_cell(struct csv_counter *counter, char c)
{
	return c == '"' ? PLACE_QUOTED : in_cell(counter, c);
}

/* An empty line is no row. */
static enum place at_row(struct csv_counter *counter, char c)
{
	return c == '\n' ? PLACE_ROW : c == '\r' ? PLACE_ROW_CR : at_cell(counter, c);
}

static enum place in_mark(struct csv_counter *counter, char c)
{
	if (c == BYTE_ORDER_MARK[counter->mark_bytes])
		return ++counter->mark_bytes < sizeof(BYTE_ORDER_MARK) - 1 ? PLACE_MARK : PLACE_ROW;
	return counter->mark_bytes ? in_cell(counter, c) : at_row(counter, c);
}

static enum place place_after(struct csv_counter *counter, char c)
{
	switch ((enum place)counter->place) {
	case PLACE_MARK:
		return in_mark(counter, c);
	case PLACE_ROW:
		return at_row(counter, c);
	case PLACE_ROW_CR:
		return c == '\n' ? PLACE_ROW : in_cell(counter, c);
	case PLACE_CELL:
		return at_cell(counter, c);
	case PLACE_QUOTED:
		return c == '"' ? PLACE_QUOTE : PLACE_QUOTED;
	case PLACE_QUOTE:
		return c == '"' ? PLACE_QUOTED : in_cell(counter, c);
	case PLACE_PLAIN:
		break;
	}
	return in_cell(counter, c);
}

void csv_counter_add(struct csv_counter *counter, struct str bytes)
{
	for (size_t i = 0; i < bytes.n; i++)
		counter->place = place_after(counter, bytes.p[i]);
}

int64_t csv_counter_rows(const struct csv_counter *counter)
{
	bool open = counter->place == PLACE_CELL || counter->place == PLACE_PLAIN || counter->place == PLACE_QUOTE ||
	            (counter->place == PLACE_MARK && counter->mark_bytes);

	return counter->rows + open;
}
