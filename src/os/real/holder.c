// Who holds a port: the kernel's table of sockets names an inode, and some process has it open.
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/socket.h"

enum {
	STATE_LISTENS = 0x0a,
	LINE_MAX_BYTES = 512,
	WORDS_OF_V6 = 4,
};

// The words of an address are written as numbers of this machine's byte order.
static bool may_conflict(const struct os_address *ours, const char *hex)
{
	size_t words = strlen(hex) / 8;
	uint32_t theirs[WORDS_OF_V6] = { 0 }, wanted[WORDS_OF_V6] = { 0 }, any = 0;
	size_t our_words = ours->family == 4 ? 1 : WORDS_OF_V6;

	for (size_t i = 0; i < words && i < WORDS_OF_V6; i++) {
		char word[9] = "";

		memcpy(word, hex + i * 8, 8);
		theirs[i] = (uint32_t)strtoul(word, NULL, 16);
		any |= theirs[i];
	}
	memcpy(wanted, ours->ip6, our_words * 4);
	return any == 0 || (words == our_words && memcmp(theirs, wanted, our_words * 4) == 0) ||
	       (wanted[0] | wanted[1] | wanted[2] | wanted[3]) == 0;
}

// "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1234"
static bool listens_there(const char *line, const struct os_address *address,
			  unsigned long *ret_inode)
{
	char field[10][64];
	size_t count = 0;
	char *colon;

	while (count < 10) {
		size_t len;

		line += strspn(line, " ");
		len = strcspn(line, " \n");
		if (len == 0 || len >= sizeof field[0]) {
			return false;
		}
		memcpy(field[count], line, len);
		field[count++][len] = '\0';
		line += len;
	}
	colon = strchr(field[1], ':');
	if (!colon || strtoul(field[3], NULL, 16) != STATE_LISTENS ||
	    strtoul(colon + 1, NULL, 16) != address->port) {
		return false;
	}
	*colon = '\0';
	*ret_inode = strtoul(field[9], NULL, 10);
	return may_conflict(address, field[1]);
}

static bool find_inode(const char *table, const struct os_address *address,
		       unsigned long *ret_inode)
{
	FILE *file = fopen(table, "re");
	char line[LINE_MAX_BYTES];
	bool found = false;

	while (file && !found && fgets(line, sizeof line, file)) {
		found = listens_there(line, address, ret_inode);
	}
	if (file) {
		fclose(file);
	}
	return found;
}

static bool has_open(int process, const char *wanted)
{
	int fds = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *walk = fds < 0 ? NULL : fdopendir(fds);
	struct dirent *entry;
	bool found = false;

	if (!walk) {
		if (fds >= 0) {
			close(fds);
		}
		return false;
	}
	while (!found && (entry = readdir(walk))) {
		char target[64];
		ssize_t len = readlinkat(dirfd(walk), entry->d_name, target, sizeof target - 1);

		if (len > 0) {
			target[len] = '\0';
			found = strcmp(target, wanted) == 0;
		}
	}
	closedir(walk);
	return found;
}

static void read_name(int process, char name[16])
{
	int file = openat(process, "comm", O_RDONLY | O_CLOEXEC);
	ssize_t len = file < 0 ? 0 : read(file, name, 15);

	if (file >= 0) {
		close(file);
	}
	name[len > 0 ? len : 0] = '\0';
	name[strcspn(name, "\n")] = '\0';
	for (; *name; name++) {
		*name = isprint((unsigned char)*name) ? *name : '?';
	}
}

static bool look_at(int proc, const char *name, const char *wanted,
		    struct os_socket_holder *ret_holder)
{
	int process = isdigit((unsigned char)*name)
			      ? openat(proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
			      : -1;
	bool found = process >= 0 && has_open(process, wanted);

	if (found) {
		ret_holder->pid = (int32_t)strtol(name, NULL, 10);
		read_name(process, ret_holder->name);
	}
	if (process >= 0) {
		close(process);
	}
	return found;
}

enum error os_socket_find_holder(const struct os_address *address,
				 struct os_socket_holder *ret_holder)
{
	unsigned long inode;
	char wanted[64];
	struct dirent *entry;
	bool found = false;
	DIR *walk;

	if (!find_inode("/proc/net/tcp", address, &inode) &&
	    !find_inode("/proc/net/tcp6", address, &inode)) {
		return ERROR_NOT_FOUND;
	}
	snprintf(wanted, sizeof wanted, "socket:[%lu]", inode);
	walk = opendir("/proc");
	while (walk && !found && (entry = readdir(walk))) {
		found = look_at(dirfd(walk), entry->d_name, wanted, ret_holder);
	}
	if (walk) {
		closedir(walk);
	}
	return found ? OK : ERROR_NOT_FOUND;
}
