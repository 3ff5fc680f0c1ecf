#include "workers/stats_rollup/rollup.h"

int main(int argc, char **argv)
{
	return worker_main(&rollup_definition, argc, argv);
}
