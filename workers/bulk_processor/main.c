#include "workers/bulk_processor/bulk_processor.h"

int main(int argc, char **argv)
{
	return worker_main(&bulk_processor, argc, argv);
}
