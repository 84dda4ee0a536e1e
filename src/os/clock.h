// Time. In the real build the kernel's clocks; in the simulation virtual time that only the
// scheduler moves. Any thread.
#pragma once

#include <stdint.h>

uint64_t os_clock_mono_ms(void); // never steps back; unrelated to the date
uint64_t os_clock_mono_us(void);
uint64_t os_clock_wall_ms(void); // Unix time in milliseconds; may step in both directions
