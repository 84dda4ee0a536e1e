#include "policy/ports.h"

struct port_list port_list_default(void)
{
	return (struct port_list){ .ports = { 587, 465, 2525, 25 }, .count = 4 };
}

struct port_list port_list_order(struct port_list configured, uint16_t worked)
{
	struct port_list order = { 0 };

	for (unsigned i = 0; i < configured.count; i++) {
		if (configured.ports[i] == worked) {
			order.ports[order.count++] = worked;
			break;
		}
	}
	for (unsigned i = 0; i < configured.count; i++) {
		if (order.count == 0 || configured.ports[i] != order.ports[0] || worked == 0) {
			order.ports[order.count++] = configured.ports[i];
		}
	}
	return order;
}
