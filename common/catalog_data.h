#ifndef COMMON_CATALOG_DATA_H
#define COMMON_CATALOG_DATA_H

#include "common/str.h"

/* What the build makes of the files in common/catalog/; sorted by name. Only catalog.c looks at it. */
struct catalog_row {
	struct str name;
	struct str text;
};

extern const struct catalog_row catalog_rows[];
extern const size_t catalog_row_count;

#endif
