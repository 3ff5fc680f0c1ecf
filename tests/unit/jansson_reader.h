#ifndef TESTS_UNIT_JANSSON_READER_H
#define TESTS_UNIT_JANSSON_READER_H

#include "common/str.h"

/*
 * jansson as an independent reader, in a file of its own because some of its function names are also ours.
 * Gives the document with sorted members (free() it), or NULL when jansson refuses it.
 */
char *jansson_canonical(struct str text);

#endif
