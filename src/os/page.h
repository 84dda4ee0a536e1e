// Memory shared between processes. A page has one writer and any number of readers; readers take
// nothing in it on trust. A sealed page cannot change any more.
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/view.h"

// A new zeroed page of size bytes, mapped for writing; its descriptor is handed to other processes.
enum error os_page_new(const char *name, size_t size, int *ret_fd, void **ret_memory) must_check;
// A second descriptor of the page that can only be mapped for reading: the one to hand to readers.
enum error os_page_reader(int fd, int *ret_fd) must_check;
// Maps one that was received. size is what the caller needs: a smaller page is ERROR_INVALID.
// The page is checked to be sealed against shrinking, so that reading cannot fault.
enum error os_page_map(int fd, size_t size, bool writable, void **ret_memory) must_check;
void os_page_unmap(void *memory, size_t size); // accepts NULL

// A page with these bytes, sealed against every change; for tables and configurations.
enum error os_page_sealed(const char *name, struct view bytes, int *ret_fd) must_check;
// Maps a sealed page whole. Refuses one that is not sealed (ERROR_INVALID), so what was checked
// stays so.
enum error os_page_map_sealed(int fd, struct view *ret_bytes) must_check;
void os_page_close(int fd); // -1 is accepted; mappings stay
