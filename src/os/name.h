// Names of files within a folder handle. Pure.
#pragma once

#include <stdbool.h>

enum { OS_NAME_MAX = 255 };

// One name that stays in its folder: not empty, no "/", not "." or "..", at most OS_NAME_MAX bytes.
bool os_name_is_single(const char *name);
