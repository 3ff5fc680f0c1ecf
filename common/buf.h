#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include "common/str.h"

struct arena;

/* Growing byte buffer in an arena; the arena's limit bounds it. Old storage stays in the arena until its reset. */
struct buf {
	struct arena *arena;
	char *p;
	size_t n;
	size_t capacity;
};

void buf_init(struct buf *buf, struct arena *arena, size_t capacity);
/* Room for at least n more bytes behind the end. */
void buf_grow(struct buf *buf, size_t n);
/* In decimal. */
void buf_add_number(struct buf *buf, int64_t number);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* n bytes at the end for the caller to fill; they count as added. */
static inline char *buf_reserve(struct buf *buf, size_t n)
{
	if (n > buf->capacity - buf->n)
		buf_grow(buf, n);
	buf->n += n;
	return buf->p + buf->n - n;
}

static inline void buf_add(struct buf *buf, const void *bytes, size_t n)
{
	if (n)
		memcpy(buf_reserve(buf, n), bytes, n);
}

static inline void buf_add_char(struct buf *buf, char c)
{
	*buf_reserve(buf, 1) = c;
}

static inline void buf_add_str(struct buf *buf, struct str s)
{
	buf_add(buf, s.p, s.n);
}

static inline struct str buf_str(const struct buf *buf)
{
	return (struct str){buf->p, buf->n};
}

#define buf_add_literal(buf, literal) buf_add((buf), (literal), sizeof(literal) - 1)

#endif
