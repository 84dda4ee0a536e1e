// What the server keeps on disk is touched as the user that it belongs to, never as root: files
// made are the server's, and what strangers have sent is not read with root's rights.
#pragma once

#include "base/error.h"

// As root, becomes the owner of this folder, not to be undone. Does nothing otherwise.
enum error owner_become(int dir) must_check;
// Opens the spool folder of that path for looking; root becomes the owner of deliver's part, who
// may read the other as well. ERROR_NOT_FOUND: there is no spool.
enum error owner_open_spool(const char *path, int *ret_spool_dir) must_check;
