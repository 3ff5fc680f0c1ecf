#ifndef BULK_PROCESSOR_LOOKUP_H
#define BULK_PROCESSOR_LOOKUP_H

#include "workers/bulk_processor/row.h"

struct batch;

/* Looks up what rows name, many at once, and finishes them with it. The events of rows are gone afterwards. */
bool lookup_rows(struct batch *batch, struct row_rules *rules, struct row *rows, size_t n, struct err *err) must_check;

#endif
