#include "common/buf.h"

#include "common/arena.h"

#include <stdarg.h>
#include <stdio.h>

void buf_init(struct buf *buf, struct arena *arena, size_t capacity)
{
	*buf = (struct buf){.arena = arena, .p = arena_alloc(arena, capacity ? capacity : 1), .capacity = capacity};
}

void buf_grow(struct buf *buf, size_t n)
{
	size_t capacity = buf->capacity * 2;
	char *p;

	if (capacity < buf->n + n)
		capacity = buf->n + n;
	p = arena_alloc(buf->arena, capacity);
	if (buf->n)
		memcpy(p, buf->p, buf->n);
	buf->p = p;
	buf->capacity = capacity;
}

void buf_add_number(struct buf *buf, int64_t number)
{
	char digits[20], *p = digits + sizeof(digits);
	uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;

	do
		*--p = (char)('0' + rest % 10);
	while (rest /= 10);
	if (number < 0)
		*--p = '-';
	buf_add(buf, p, (size_t)(digits + sizeof(digits) - p));
}

void buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (n <= 0)
		return;
	/* One byte more for the NUL that vsnprintf writes; it does not count as added. */
	if ((size_t)n + 1 > buf->capacity - buf->n)
		buf_grow(buf, (size_t)n + 1);
	va_start(args, format);
	vsnprintf(buf->p + buf->n, (size_t)n + 1, format, args);
	va_end(args);
	buf->n += (size_t)n;
}
