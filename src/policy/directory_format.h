// The bytes of the directory block, little-endian; inside this room only.
//
//	header   "PBDIR-1\n", u32 size of the block, u32 number of slots (a power of two), u64 k0,
//	         u64 k1 (of the hash), u16 depth, u16 recipients, u8 plus separator, zeros up to 48
//	slots    u32 each: offset of an entry, 0 for none; linear probing from hash & (slots - 1)
//	entry    u8 flags, string key, u32 targets, then for each target its text and its key
//	string   u32 length, bytes
//
// Keys: "example.org" a domain, "user@example.org" an address, "@example.org" the catch-all of a
// domain, "@" the postmaster.
#pragma once

#define DIRECTORY_MAGIC "PBDIR-1\n"
#define DIRECTORY_POSTMASTER_KEY "@"

enum { DIRECTORY_HEADER_SIZE = 48 };

enum { DIRECTORY_DOMAIN = 1, DIRECTORY_ACCOUNT = 2 };
