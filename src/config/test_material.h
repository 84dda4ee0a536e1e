// For unit tests only: what processes are handed, from a configuration's text and a small
// directory. A test that uses it lists config_test_material (src/config/meson.build) among its
// sources.
#pragma once

#include "config/encode.h"
#include "policy/directory.h"

// Appends the part of this configuration, which must be without problems, that the reader gets.
// It may name one other file, /password.
void test_config_encode(const char *text, enum config_reader reader, struct buffer *out);
// example.org with alice and bob, team@ (alice, bob, carl@elsewhere.example), postmaster to alice.
// *ret_directory views out, to be freed after it.
void test_directory_build(struct buffer *out, struct directory *ret_directory);
