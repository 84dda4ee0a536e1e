// The process `deliver`, as the supervisor starts it. Returns its exit status.
#pragma once

int deliver_main(void);
