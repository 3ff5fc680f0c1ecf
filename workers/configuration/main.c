#include "workers/configuration/configuration.h"

int main(int argc, char **argv)
{
	return worker_main(&configuration_worker, argc, argv);
}
