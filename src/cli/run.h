// The functions of the command table, a file each for what belongs together.
#pragma once

#include "cli/command.h"

int run_serve(const struct invocation *invocation);
int run_check(const struct invocation *invocation);
int run_reload(const struct invocation *invocation);
int run_stop(const struct invocation *invocation);
int run_status(const struct invocation *invocation);
int run_user_change(const struct invocation *invocation); // add, passwd, remove
int run_user_list(const struct invocation *invocation);
int run_queue_list(const struct invocation *invocation);
int run_queue_show(const struct invocation *invocation);
int run_queue_change(const struct invocation *invocation); // flush, hold, release, remove
int run_trace(const struct invocation *invocation);
int run_help(const struct invocation *invocation);
int run_version(const struct invocation *invocation);
