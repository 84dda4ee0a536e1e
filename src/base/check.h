// For unit tests only: cmocka with what it needs, and assertions for views.
#pragma once

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/view.h"

#define assert_view(actual_, expected_) \
	do { \
		struct view actual__ = (actual_); \
		struct view expected__ = view_from_text(expected_); \
		if (!view_equal(actual__, expected__)) { \
			print_error("is \"%.*s\", expected \"%s\"\n", VIEW_ARG(actual__), \
				    expected__.data); \
			fail(); \
		} \
	} while (0)

#define COUNT_OF(array_) (sizeof(array_) / sizeof *(array_))

// A file of the case sets in CONFORMANCE_DIR (default: ../shared/conformance beside the source
// root) with a NUL behind it, to be freed; data NULL where it is missing: then skip(). A test that
// uses it lists tests/conformance.c among its sources.
struct view conformance_read(const char *name);
