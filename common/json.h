#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include "common/err.h"
#include "common/str.h"

struct arena;
struct buf;
struct uuid;

/*
 * JSON values (RFC 8259) as a tree in an arena. Numbers keep the text they came with, so that 19.99 or a 19-digit id
 * leave exactly as they arrived; that, the pointers in errors and the cost per request are why this is not a library.
 */
enum json_type { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
	struct str key;    /* member name, decoded; absent for items and the root */
	struct json *next; /* next member or item of the same parent */
	enum json_type type;
	uint32_t count;            /* members or items */
	struct str text;           /* NUMBER: its text; STRING: decoded UTF-8, never holds NUL */
	struct json *first, *last; /* ARRAY, OBJECT */
};

#define json_each(item, parent) (struct json *item = (parent)->first; item; item = item->next)

/* Bounds of a document; the text's length is bounded by the caller. Parsing takes at most JSON_BYTES_PER_TEXT_BYTE of
   the arena for each byte of the text, and 1024 more. */
#define JSON_BYTES_PER_TEXT_BYTE 40
#define JSON_MAX_DEPTH 64
/* Of what clients send. It is stored with something around it, an item in its list in its customer for one, and what is
   stored must be read again. */
#define JSON_MAX_SENT_DEPTH 32
/* Digits of a number on either side of its point once the exponent is applied: every number is a finite double, and
   what PostgreSQL's jsonb makes of it (it writes numbers out in full) is read again. */
#define JSON_MAX_DIGITS 308

/*
 * Parses one whole document. Strings without escapes point into `text`, which must live as long as the tree.
 * Refused with ERR_INVALID, a sentence and a JSON pointer: malformed text, invalid UTF-8, NUL (also \u0000), lone
 * surrogates, duplicate keys, more than JSON_MAX_DEPTH levels, numbers over the bounds above, bytes behind the end.
 */
struct json *json_parse(struct arena *arena, struct str text, struct err *err) must_check;
/* The same with JSON_MAX_SENT_DEPTH levels. */
struct json *json_parse_sent(struct arena *arena, struct str text, struct err *err) must_check;

/* Makers. Strings are not copied: they must live as long as the tree. */
struct json *json_new(struct arena *arena, enum json_type type);
struct json *json_new_str(struct arena *arena, struct str text);
struct json *json_new_i64(struct arena *arena, int64_t value);
struct json *json_new_bool(struct arena *arena, bool value);

/* Sets a member (replaces one with the same key in place). The key is not copied. Returns value. */
struct json *json_set(struct json *object, struct str key, struct json *value);
struct json *json_append(struct json *array, struct json *item);
/* Appends without looking for the key: only for objects whose keys the caller knows to be distinct. */
struct json *json_add(struct json *object, struct str key, struct json *value);
bool json_remove(struct json *object, struct str key);
/* Gives a value the content of another one, which is taken over; its key and its place among others stay. */
void json_assign(struct json *value, const struct json *content);

/* Member of an object, NULL when absent or when value is NULL or no object. JSON null is returned as a value. */
struct json *json_get(const struct json *value, struct str key);
#define json_member(value, literal) json_get((value), STR(literal))

/* The members of an object in order of their keys, for looking up many. The object must stay as it is. */
struct json_index {
	const struct json **members; /* in the arena */
	size_t n;
};
/* NULL and what is no object have no members. */
struct json_index json_index_new(struct arena *arena, const struct json *object);
const struct json *json_index_get(const struct json_index *index, struct str key);

/* Follows a dotted path of object members ("base.contacts.email"); NULL when a step is missing. */
struct json *json_path(const struct json *value, struct str dotted_path);

/* Like json_path, but makes missing objects on the way (a null or scalar on the way is replaced); returns the parent
   object of the last step and the last step's name. Names point into dotted_path. */
struct json *json_path_make(struct arena *arena, struct json *value, struct str dotted_path, struct str *ret_name);

bool json_is_null(const struct json *value); /* also true for NULL (absent) */
bool json_is(const struct json *value, enum json_type type);
bool json_is_true(const struct json *value);
struct str json_text(const struct json *value); /* STRING: its text, else STR_NONE */
/* NUMBER that is a whole number within int64 (also 1.0 or 1e2); false otherwise. */
bool json_to_i64(const struct json *value, int64_t *ret_value);
/* NUMBER as a double, for range checks only; 0 when not a number. */
double json_to_double(const struct json *value);

/* Deep copy into arena; strings are copied when copy_strings. */
struct json *json_copy(struct arena *arena, const struct json *value, bool copy_strings);

/* The same value in another place: what it holds is shared, and must stay as it is. It has no key. */
struct json *json_alias(struct arena *arena, const struct json *value);

/* Same value: members in any order, numbers by value (1.0 equals 1), strings by bytes. */
bool json_equal(const struct json *a, const struct json *b);

/* Levels of arrays and objects: 0 for a scalar. */
size_t json_depth(const struct json *value);

/* Writes compact JSON. */
void json_write(struct buf *buf, const struct json *value);
void json_write_string(struct buf *buf, struct str s);
/* A string: an id, or a time as the API writes it. */
void json_write_uuid(struct buf *buf, const struct uuid *id);
void json_write_time(struct buf *buf, int64_t time_us);

/* Adds "/<token>" with ~ and / escaped (RFC 6901). */
void json_pointer_add(struct buf *pointer, struct str token);
/* The name that such a token stands for, in the arena; a lone ~ stays. */
struct str json_pointer_token(struct arena *arena, struct str token);

#endif
