// The two checksums of the house. SipHash-2-4 with a secret key for tables that hold what strangers
// send (attack A22: hash collisions); CRC32C for stored records.
#pragma once

#include "base/view.h"

struct hash_key {
	uint64_t k0, k1;
};

uint64_t hash_siphash(struct hash_key key, struct view bytes);

// CRC32C (Castagnoli) of the bytes, continuing from crc; start with 0.
uint32_t hash_crc32c(uint32_t crc, struct view bytes);
