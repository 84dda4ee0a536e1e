#include "base/hash.h"

#include <string.h>

#include "base/wire.h"

static uint64_t rotate(uint64_t value, int bits)
{
	return (value << bits) | (value >> (64 - bits));
}

struct sip {
	uint64_t v0, v1, v2, v3;
};

static void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v0 = rotate(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v2 = rotate(s->v2, 32);
}

static void sip_absorb(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s);
	sip_round(s);
	s->v0 ^= word;
}

uint64_t hash_siphash(struct hash_key key, struct view bytes)
{
	struct sip s = {
		key.k0 ^ 0x736f6d6570736575u,
		key.k1 ^ 0x646f72616e646f6du,
		key.k0 ^ 0x6c7967656e657261u,
		key.k1 ^ 0x7465646279746573u,
	};
	uint64_t last = (uint64_t)bytes.len << 56;
	size_t whole = bytes.len - bytes.len % 8;

	for (size_t i = 0; i < whole; i += 8) {
		sip_absorb(&s, wire_get_u64(bytes.data + i));
	}
	for (size_t i = whole; i < bytes.len; i++) {
		last |= (uint64_t)(uint8_t)bytes.data[i] << (8 * (i - whole));
	}
	sip_absorb(&s, last);
	s.v2 ^= 0xff;
	for (int i = 0; i < 4; i++) {
		sip_round(&s);
	}
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

#if defined(__x86_64__)

__attribute__((target("sse4.2"))) static uint32_t crc32c_fast(uint32_t crc, struct view bytes)
{
	uint64_t wide = crc;
	size_t i = 0;

	for (; i + 8 <= bytes.len; i += 8) {
		uint64_t word; // a call for each (wire_get_u64) costs a third more

		memcpy(&word, bytes.data + i, sizeof word);
		wide = __builtin_ia32_crc32di(wide, word);
	}
	crc = (uint32_t)wide;
	for (; i < bytes.len; i++) {
		crc = __builtin_ia32_crc32qi(crc, (uint8_t)bytes.data[i]);
	}
	return crc;
}

static bool crc32c_is_fast(void)
{
	return __builtin_cpu_supports("sse4.2");
}

#else

static uint32_t crc32c_fast(uint32_t crc, struct view bytes)
{
	(void)bytes;
	return crc;
}

static bool crc32c_is_fast(void)
{
	return false;
}

#endif

// Four bits at a time: remainders of 0..15 under the reflected Castagnoli polynomial.
static const uint32_t crc32c_nibbles[16] = {
	0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
	0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
	0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

static uint32_t crc32c_portable(uint32_t crc, struct view bytes)
{
	for (size_t i = 0; i < bytes.len; i++) {
		crc ^= (uint8_t)bytes.data[i];
		crc = (crc >> 4) ^ crc32c_nibbles[crc & 15];
		crc = (crc >> 4) ^ crc32c_nibbles[crc & 15];
	}
	return crc;
}

uint32_t hash_crc32c(uint32_t crc, struct view bytes)
{
	if (crc32c_is_fast()) {
		return ~crc32c_fast(~crc, bytes);
	}
	return ~crc32c_portable(~crc, bytes);
}
