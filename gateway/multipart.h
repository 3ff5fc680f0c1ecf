#ifndef GATEWAY_MULTIPART_H
#define GATEWAY_MULTIPART_H

#include "common/err.h"
#include "common/str.h"

/*
 * Reader of multipart/form-data (RFC 7578, RFC 2046 section 5.1) over any cut of the input: pure, bounded, no memory of
 * its own besides the struct. The caller pulls events out of the bytes that it has:
 *
 *   struct str rest = bytes;
 *   while ((event = multipart_next(&reader, &rest, &data)) != MULTIPART_MORE) ...
 */
#define MULTIPART_BOUNDARY_MAX 70 /* RFC 2046 */
/* All header lines of a part. */
#define MULTIPART_HEADER_MAX 4096
#define MULTIPART_NAME_MAX 255

enum multipart_event {
	MULTIPART_MORE,     /* the input is used up */
	MULTIPART_PART,     /* a part begins: name and filename are known until the next one */
	MULTIPART_DATA,     /* *ret_data is the next piece of the part's contents, valid until the next call */
	MULTIPART_PART_END, /* the part is complete */
	MULTIPART_DONE,     /* the last boundary has come; what follows is ignored */
	MULTIPART_BAD,      /* it is no such body: `why` says what is wrong; it stays so */
};

enum multipart_state {
	MULTIPART_PREAMBLE,  /* looking for the first boundary */
	MULTIPART_DELIMITED, /* behind a boundary: "--" or the end of the line */
	MULTIPART_CLOSING,   /* one '-' has come */
	MULTIPART_LINE_END,  /* blanks, then CR LF */
	MULTIPART_LINE_FEED,
	MULTIPART_HEADERS,
	MULTIPART_CONTENTS,
	MULTIPART_ENDED,
	MULTIPART_BROKEN,
};

struct multipart {
	enum multipart_state state;
	const char *why; /* of MULTIPART_BAD: a sentence */
	/* CR LF "--" boundary; its first `matched` bytes have come */
	char delimiter[4 + MULTIPART_BOUNDARY_MAX];
	size_t delimiter_bytes, matched;
	char header[MULTIPART_HEADER_MAX];
	size_t header_bytes;
	/* of the present part; filename absent when it has none */
	char name_bytes[MULTIPART_NAME_MAX], filename_bytes[MULTIPART_NAME_MAX];
	struct str name, filename;
};

/* The boundary of a Content-Type. ERR_MEDIA_TYPE: it is not multipart/form-data, or names no good boundary. */
bool multipart_boundary(
        struct str content_type, char out[MULTIPART_BOUNDARY_MAX], size_t *ret_n, struct err *err) must_check;

void multipart_init(struct multipart *reader, struct str boundary);

/* Takes bytes off the front of *input. */
enum multipart_event multipart_next(struct multipart *reader, struct str *input, struct str *ret_data);

/* True when the last boundary has come. */
bool multipart_is_complete(const struct multipart *reader);

#endif
