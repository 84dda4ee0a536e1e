// The process `facts`, as the supervisor starts it. Returns its exit status.
#pragma once

int facts_main(void);
