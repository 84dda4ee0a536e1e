#include "os/random.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void os_random_bytes(void *ret_bytes, size_t len)
{
	char *bytes = ret_bytes;

	while (len) {
		ssize_t got = getrandom(bytes, len, 0);

		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got <= 0) {
			abort(); // nothing secret can be made without it
		}
		bytes += got;
		len -= (size_t)got;
	}
}

uint64_t os_random_u64(void)
{
	uint64_t number;

	os_random_bytes(&number, sizeof number);
	return number;
}

uint64_t os_random_below(uint64_t bound)
{
	uint64_t excess = -bound % bound; // 2^64 mod bound: as many of the smallest are drawn again
	uint64_t number;

	do {
		number = os_random_u64();
	} while (number < excess);
	return number % bound;
}

struct hash_key os_random_hash_key(void)
{
	struct hash_key key;

	os_random_bytes(&key, sizeof key);
	return key;
}
