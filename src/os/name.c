#include "os/name.h"

#include <string.h>

bool os_name_is_single(const char *name)
{
	return name[0] && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !strchr(name, '/') &&
	       strlen(name) <= OS_NAME_MAX;
}
