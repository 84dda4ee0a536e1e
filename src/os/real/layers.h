// The layers of the sandbox that are long enough for a file of their own. Each returns
// ERROR_UNSUPPORTED, having changed nothing, where the kernel lacks it.
#pragma once

#include "os/sandbox.h"

enum error os_landlock_enter(const struct os_sandbox *sandbox) must_check;
enum error os_seccomp_enter(int rights) must_check;
