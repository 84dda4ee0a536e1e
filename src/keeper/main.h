// The process `keeper`, as the supervisor starts it. Returns its exit status.
#pragma once

int keeper_main(void);
