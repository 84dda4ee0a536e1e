// Planted faults: lies told to the archives at their edge, to prove that the checkers find what
// they are for. They stand in front of calls by the linker's --wrap (meson.build), in this program
// alone; without a plant each call passes straight through.
#pragma once

#include <stdbool.h>
#include <stdio.h>

void plant_list(FILE *out);
bool plant_exists(const char *name);
void plant_set(const char *name); // NULL: none
