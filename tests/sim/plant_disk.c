// Planted at the calls to the system: syncs and checksums.
#include "base/hash.h"
#include "os/file.h"
#include "sim/plant.h"

enum error __real_os_file_sync_data(int file) must_check;
enum error __wrap_os_file_sync_data(int file) must_check;
enum error __wrap_os_file_sync_data(int file)
{
	static unsigned calls;
	enum error error;

	if (plant_is(PLANT_DATA_SYNC_LIES) || (plant_is(PLANT_SYNC_LEFT_OUT) && calls++ % 2 == 0)) {
		return OK;
	}
	error = __real_os_file_sync_data(file);
	if (error != OK && plant_is(PLANT_SYNC_TRIED_AGAIN)) {
		error = __real_os_file_sync_data(file);
	}
	return plant_is(PLANT_SYNC_ERROR_IGNORED) ? OK : error;
}

enum error __real_os_dir_sync(int dir) must_check;
enum error __wrap_os_dir_sync(int dir) must_check;
enum error __wrap_os_dir_sync(int dir)
{
	return plant_is(PLANT_FOLDER_SYNC_LIES) ? OK : __real_os_dir_sync(dir);
}

uint32_t __real_hash_crc32c(uint32_t crc, struct view bytes);
uint32_t __wrap_hash_crc32c(uint32_t crc, struct view bytes);
uint32_t __wrap_hash_crc32c(uint32_t crc, struct view bytes)
{
	return plant_is(PLANT_CRC_UNCHECKED) ? 1 : __real_hash_crc32c(crc, bytes);
}
