#include "base/error.h"

#include <errno.h>
#include <stddef.h>

static const char *const error_texts[ERROR_COUNT] = {
	[OK] = "success",
	[ERROR_AGAIN] = "not ready yet",
	[ERROR_CLOSED] = "closed by the other end",
	[ERROR_RESET] = "connection lost",
	[ERROR_REFUSED] = "connection refused",
	[ERROR_TIMEOUT] = "timed out",
	[ERROR_NO_MEMORY] = "out of memory",
	[ERROR_LIMIT] = "limit reached",
	[ERROR_INVALID] = "malformed",
	[ERROR_CORRUPT] = "corrupt data",
	[ERROR_NOT_FOUND] = "not found",
	[ERROR_EXISTS] = "exists already",
	[ERROR_PERMISSION] = "permission denied",
	[ERROR_READ_ONLY] = "the file system is read-only",
	[ERROR_NO_SPACE] = "no space left",
	[ERROR_IO] = "input/output error",
	[ERROR_BUSY] = "in use",
	[ERROR_UNSUPPORTED] = "not supported here",
	[ERROR_CRYPTO] = "cryptographic library failed",
};

const char *error_text(enum error error)
{
	if ((unsigned)error >= ERROR_COUNT) {
		return "unknown error";
	}
	return error_texts[error];
}

enum error error_from_errno(int system_errno)
{
	switch (system_errno) {
	case 0: return OK;
	case EAGAIN:
	case EINPROGRESS: return ERROR_AGAIN;
	case ECONNRESET:
	case EPIPE:
	case ECONNABORTED:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENOTCONN: return ERROR_RESET;
	case ECONNREFUSED: return ERROR_REFUSED;
	case ETIMEDOUT: return ERROR_TIMEOUT;
	case ENOMEM:
	case ENOBUFS: return ERROR_NO_MEMORY;
	case EMFILE:
	case ENFILE: return ERROR_LIMIT;
	case EINVAL:
	case ENAMETOOLONG:
	case EMSGSIZE: return ERROR_INVALID;
	case ENOENT:
	case ENOTDIR: return ERROR_NOT_FOUND;
	case EEXIST: return ERROR_EXISTS;
	case EACCES:
	case EPERM: return ERROR_PERMISSION;
	case EROFS: return ERROR_READ_ONLY;
	case ENOSPC:
	case EDQUOT:
	case EFBIG: return ERROR_NO_SPACE;
	case EBUSY:
	case EADDRINUSE: return ERROR_BUSY;
	case ENOSYS:
	case EOPNOTSUPP:
	case EAFNOSUPPORT:
	case EPROTONOSUPPORT: return ERROR_UNSUPPORTED;
	default: return ERROR_IO;
	}
}
