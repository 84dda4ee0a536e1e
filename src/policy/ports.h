// The ports of a smarthost, tried in the order given (policy/way.h). Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PORT_LIST_MAX = 8, PORT_SMTPS = 465 };

struct port_list {
	uint16_t ports[PORT_LIST_MAX];
	uint8_t count;
};

// 587, 465, 2525, 25.
struct port_list port_list_default(void);
// TLS from the first byte.
static inline bool port_is_implicit_tls(uint16_t port)
{
	return port == PORT_SMTPS;
}
