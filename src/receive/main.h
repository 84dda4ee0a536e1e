// The process `receive`, as the supervisor starts it. Returns its exit status.
#pragma once

int receive_main(void);
