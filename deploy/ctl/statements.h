#ifndef DEPLOY_CTL_STATEMENTS_H
#define DEPLOY_CTL_STATEMENTS_H

#include "common/db.h"

/* Everything that the operator's tool asks the tables. It writes one thing: that a dead letter was sent again. */
#define CTL_STATEMENTS 16
extern const struct statement ctl_statements[CTL_STATEMENTS];

#endif
