#include "policy/ports.h"

struct port_list port_list_default(void)
{
	return (struct port_list){ .ports = { 587, 465, 2525, 25 }, .count = 4 };
}
