// Randomness from the kernel; in the simulation from the seed. Any thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

void os_random_bytes(void *ret_bytes, size_t len);
uint64_t os_random_u64(void);
uint64_t os_random_below(uint64_t bound); // 0 .. bound-1, unbiased; bound is not 0
struct hash_key os_random_hash_key(void);
