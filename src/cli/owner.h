// What the server keeps on disk is touched as the user that it belongs to, never as root: files
// made are the server's, and what strangers have sent is not read with root's rights.
#pragma once

#include "base/error.h"

// As root, becomes the owner of this folder, not to be undone. Does nothing otherwise.
enum error owner_become(int dir) must_check;
