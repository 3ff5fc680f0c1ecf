#ifndef TESTS_BENCH_BENCH_JANSSON_H
#define TESTS_BENCH_BENCH_JANSSON_H

#include "common/str.h"

/* jansson reads and writes the document once; in a file of its own because some of its function names are also ours. */
void jansson_parse(struct str text);
void jansson_parse_and_dump(struct str text);

#endif
