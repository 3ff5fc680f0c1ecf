#include "workers/aggregate_sync/sync.h"

int main(int argc, char **argv)
{
	return worker_main(&sync_definition, argc, argv);
}
