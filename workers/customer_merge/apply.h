#ifndef CUSTOMER_MERGE_APPLY_H
#define CUSTOMER_MERGE_APPLY_H

#include "workers/customer_merge/store.h"

/*
 * Commands, one after the other, on the unit of work: finds the customer that a command means, lets merge.c decide,
 * keeps keys and bindings in step, sets the answer and the entry of the update stream. Touches no table, except to ask
 * for a key that only turned up while merging.
 */
bool apply_command(struct work *work, size_t index, struct err *err) must_check;

/* Bodies of the run's commands, parsed; where a command has none, what it stands for. A body that is no JSON object is
   the record's fault: ERR_INVALID. */
bool apply_parse(struct work *work, struct err *err) must_check;

#endif
