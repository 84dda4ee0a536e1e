#include "link/database.h"

#include <sqlite3.h>
#include <stdlib.h>

enum {
	VERSION = 1,
	APPLICATION_ID = 0x5042544b, // "PBTK"
	BUSY_TIMEOUT_MS = 250,
	VALUE_SIZE_MAX = 64 * 1024, // bytes of any value or statement
	ACCOUNT_MEMORY_MAX = 256 * 1024,
};

static const char schema[] =
	"BEGIN IMMEDIATE;"
	"CREATE TABLE account ("
	" address TEXT NOT NULL PRIMARY KEY,"
	" tenant INTEGER NOT NULL DEFAULT 0,"
	" password_hash TEXT NOT NULL,"
	" disabled INTEGER NOT NULL DEFAULT 0"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE sender ("
	" address TEXT NOT NULL REFERENCES account (address) ON DELETE CASCADE,"
	" pattern TEXT NOT NULL,"
	" tenant INTEGER NOT NULL DEFAULT 0,"
	" PRIMARY KEY (address, pattern)"
	") STRICT, WITHOUT ROWID;"
	"PRAGMA application_id = 0x5042544b;"
	"PRAGMA user_version = 1;"
	"COMMIT;";

static const char settings[] = "PRAGMA journal_mode = WAL;"
			       "PRAGMA synchronous = FULL;"
			       "PRAGMA foreign_keys = ON;"
			       "PRAGMA trusted_schema = OFF;"
			       "PRAGMA cell_size_check = ON;"
			       "PRAGMA secure_delete = ON;"
			       "PRAGMA temp_store = MEMORY;";

struct database {
	sqlite3 *handle;
};

static enum error error_of(int status)
{
	switch (status & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
	case SQLITE_ROW: return OK;
	case SQLITE_BUSY:
	case SQLITE_LOCKED: return ERROR_BUSY;
	case SQLITE_NOMEM: return ERROR_NO_MEMORY;
	case SQLITE_FULL: return ERROR_NO_SPACE;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB: return ERROR_CORRUPT;
	case SQLITE_CONSTRAINT: return ERROR_EXISTS;
	case SQLITE_TOOBIG: return ERROR_LIMIT;
	case SQLITE_PERM:
	case SQLITE_AUTH:
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN: return ERROR_PERMISSION;
	default: return ERROR_IO;
	}
}

static enum error run(struct database *database, const char *literal)
{
	return error_of(sqlite3_exec(database->handle, literal, NULL, NULL, NULL));
}

// A statement with its parameters bound by number; finalised by statement_end or _run.
static enum error statement_begin(struct database *database, const char *literal,
				  sqlite3_stmt **ret_statement)
{
	return error_of(sqlite3_prepare_v2(database->handle, literal, -1, ret_statement, NULL));
}

static void bind_text(sqlite3_stmt *statement, int number, struct view text)
{
	// Out of memory shows as a NULL parameter, which no column here takes.
	(void)sqlite3_bind_text64(statement, number, text.len ? text.data : "", text.len,
				  SQLITE_STATIC, SQLITE_UTF8);
}

static enum error statement_run(sqlite3_stmt *statement)
{
	int status = sqlite3_step(statement);

	(void)sqlite3_finalize(statement);
	return error_of(status);
}

static enum error read_number(struct database *database, const char *literal, int64_t *ret_number)
{
	sqlite3_stmt *statement;
	enum error error = statement_begin(database, literal, &statement);
	int status;

	if (error != OK) {
		return error;
	}
	status = sqlite3_step(statement);
	if (status == SQLITE_ROW) {
		*ret_number = sqlite3_column_int64(statement, 0);
	}
	(void)sqlite3_finalize(statement);
	return status == SQLITE_DONE ? ERROR_CORRUPT : error_of(status);
}

static enum error bring_up_to_date(struct database *database)
{
	int64_t version = 0, application = 0, tables = 0;
	enum error error = read_number(database, "PRAGMA user_version", &version);

	if (error == OK) {
		error = read_number(database, "PRAGMA application_id", &application);
	}
	if (error == OK) {
		error = read_number(database, "SELECT count(*) FROM sqlite_schema", &tables);
	}
	if (error != OK) {
		return error;
	}
	if (application == 0 && version == 0 && tables == 0) {
		return run(database, schema);
	}
	if (application != APPLICATION_ID || version < 1) {
		return ERROR_CORRUPT;
	}
	return version > VERSION ? ERROR_UNSUPPORTED : OK;
}

static enum error harden(struct database *database)
{
	int ok = sqlite3_extended_result_codes(database->handle, 1) == SQLITE_OK &&
		 sqlite3_busy_timeout(database->handle, BUSY_TIMEOUT_MS) == SQLITE_OK &&
		 sqlite3_db_config(database->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) ==
			 SQLITE_OK;

	(void)sqlite3_limit(database->handle, SQLITE_LIMIT_LENGTH, VALUE_SIZE_MAX);
	(void)sqlite3_limit(database->handle, SQLITE_LIMIT_SQL_LENGTH, VALUE_SIZE_MAX);
	(void)sqlite3_limit(database->handle, SQLITE_LIMIT_ATTACHED, 0);
	return ok ? run(database, settings) : ERROR_IO;
}

enum error database_open(const char *path, struct database **ret_database)
{
	struct database *database = calloc(1, sizeof *database);
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
	enum error error;

	if (!database) {
		return ERROR_NO_MEMORY;
	}
	error = error_of(sqlite3_open_v2(path, &database->handle, flags, NULL));
	if (error == OK) {
		error = harden(database);
	}
	if (error == OK) {
		error = bring_up_to_date(database);
	}
	if (error != OK) {
		database_close(database);
		return error;
	}
	*ret_database = database;
	return OK;
}

void database_close(struct database *database)
{
	if (database) {
		(void)sqlite3_close(database->handle);
		free(database);
	}
}

// A column's text, bounded; false for another type, an empty text or one that is too long.
static bool column_text(sqlite3_stmt *statement, int column, size_t len_max, struct view *ret_text)
{
	const void *bytes;
	int len;

	if (sqlite3_column_type(statement, column) != SQLITE_TEXT) {
		return false;
	}
	bytes = sqlite3_column_text(statement, column);
	len = sqlite3_column_bytes(statement, column);
	if (!bytes || len <= 0 || (size_t)len > len_max) {
		return false;
	}
	*ret_text = view_of(bytes, (size_t)len);
	return true;
}

static enum error copy_column(sqlite3_stmt *statement, int column, size_t len_max,
			      struct arena *arena, struct view *ret_text)
{
	struct view text;

	if (!column_text(statement, column, len_max, &text)) {
		return ERROR_CORRUPT;
	}
	text = arena_copy(arena, text);
	if (!text.data) {
		return ERROR_NO_MEMORY;
	}
	*ret_text = text;
	return OK;
}

static enum error read_senders(struct database *database, struct arena *arena,
			       struct account *account)
{
	struct view *senders = arena_alloc_array(arena, DATABASE_SENDERS_MAX, sizeof *senders);
	sqlite3_stmt *statement;
	size_t count = 0;
	enum error error;
	int status;

	if (!senders) {
		return ERROR_NO_MEMORY;
	}
	error = statement_begin(database,
				"SELECT pattern FROM sender WHERE address = ?1 ORDER BY pattern",
				&statement);
	if (error != OK) {
		return error;
	}
	bind_text(statement, 1, account->address);
	while ((status = sqlite3_step(statement)) == SQLITE_ROW && error == OK) {
		error = count == DATABASE_SENDERS_MAX
				? ERROR_CORRUPT
				: copy_column(statement, 0, DATABASE_SENDER_MAX, arena,
					      &senders[count]);
		count += error == OK;
	}
	(void)sqlite3_finalize(statement);
	account->senders = senders;
	account->sender_count = count;
	return error == OK ? error_of(status) : error;
}

// The row under the statement: address, password_hash, disabled.
static enum error read_account(struct database *database, sqlite3_stmt *statement,
			       struct arena *arena, struct account *ret_account)
{
	struct account account = { .disabled = sqlite3_column_int64(statement, 2) != 0 };
	enum error error = copy_column(statement, 0, DATABASE_ADDRESS_MAX, arena, &account.address);

	if (error == OK) {
		error = copy_column(statement, 1, DATABASE_HASH_MAX, arena, &account.password_hash);
	}
	if (error == OK) {
		error = read_senders(database, arena, &account);
	}
	if (error == OK) {
		*ret_account = account;
	}
	return error;
}

enum error database_account_get(struct database *database, struct view address, struct arena *arena,
				struct account *ret_account)
{
	sqlite3_stmt *statement;
	enum error error = statement_begin(
		database, "SELECT address, password_hash, disabled FROM account WHERE address = ?1",
		&statement);
	int status;

	if (error != OK) {
		return error;
	}
	bind_text(statement, 1, address);
	status = sqlite3_step(statement);
	if (status == SQLITE_ROW) {
		error = read_account(database, statement, arena, ret_account);
	} else {
		error = status == SQLITE_DONE ? ERROR_NOT_FOUND : error_of(status);
	}
	(void)sqlite3_finalize(statement);
	return error;
}

static enum error add_senders(struct database *database, const struct account *account)
{
	enum error error = OK;

	for (size_t i = 0; i < account->sender_count && error == OK; i++) {
		sqlite3_stmt *statement;

		error = statement_begin(
			database, "INSERT OR IGNORE INTO sender (address, pattern) VALUES (?1, ?2)",
			&statement);
		if (error == OK) {
			bind_text(statement, 1, account->address);
			bind_text(statement, 2, account->senders[i]);
			error = statement_run(statement);
		}
	}
	return error;
}

static enum error add_account(struct database *database, const struct account *account)
{
	sqlite3_stmt *statement;
	int64_t accounts = 0;
	enum error error = read_number(database, "SELECT count(*) FROM account", &accounts);

	if (error == OK && accounts >= DATABASE_ACCOUNTS_MAX) {
		error = ERROR_LIMIT;
	}
	if (error == OK) {
		error = statement_begin(database,
					"INSERT INTO account (address, password_hash, disabled) "
					"VALUES (?1, ?2, ?3)",
					&statement);
	}
	if (error != OK) {
		return error;
	}
	bind_text(statement, 1, account->address);
	bind_text(statement, 2, account->password_hash);
	(void)sqlite3_bind_int(statement, 3, account->disabled);
	error = statement_run(statement);
	return error == OK ? add_senders(database, account) : error;
}

static bool fits(struct view text, size_t len_max)
{
	return text.len > 0 && text.len <= len_max;
}

static bool account_fits(const struct account *account)
{
	for (size_t i = 0; i < account->sender_count; i++) {
		if (!fits(account->senders[i], DATABASE_SENDER_MAX)) {
			return false;
		}
	}
	return account->sender_count <= DATABASE_SENDERS_MAX &&
	       fits(account->address, DATABASE_ADDRESS_MAX) &&
	       fits(account->password_hash, DATABASE_HASH_MAX);
}

enum error database_account_add(struct database *database, const struct account *account)
{
	enum error error;

	if (!account_fits(account)) {
		return ERROR_INVALID;
	}
	error = run(database, "BEGIN IMMEDIATE");
	if (error != OK) {
		return error;
	}
	error = add_account(database, account);
	if (error == OK) {
		error = run(database, "COMMIT");
	}
	if (error != OK) {
		(void)run(database, "ROLLBACK"); // fails where SQLite has done so itself
	}
	return error;
}

// ERROR_NOT_FOUND when the statement touched no row.
static enum error change_one(struct database *database, sqlite3_stmt *statement)
{
	enum error error = statement_run(statement);

	if (error == OK && sqlite3_changes64(database->handle) == 0) {
		return ERROR_NOT_FOUND;
	}
	return error;
}

enum error database_account_set_password(struct database *database, struct view address,
					 struct view password_hash)
{
	sqlite3_stmt *statement;
	enum error error;

	if (!fits(password_hash, DATABASE_HASH_MAX)) {
		return ERROR_INVALID;
	}
	error = statement_begin(
		database, "UPDATE account SET password_hash = ?2 WHERE address = ?1", &statement);
	if (error != OK) {
		return error;
	}
	bind_text(statement, 1, address);
	bind_text(statement, 2, password_hash);
	return change_one(database, statement);
}

enum error database_account_remove(struct database *database, struct view address)
{
	sqlite3_stmt *statement;
	enum error error =
		statement_begin(database, "DELETE FROM account WHERE address = ?1", &statement);

	if (error != OK) {
		return error;
	}
	bind_text(statement, 1, address);
	return change_one(database, statement);
}

static struct account damaged_account(sqlite3_stmt *statement)
{
	struct account account = { .damaged = true };

	(void)column_text(statement, 0, DATABASE_ADDRESS_MAX, &account.address);
	return account;
}

enum error database_account_each(struct database *database, struct view after,
				 database_account_fn *fn, void *context)
{
	sqlite3_stmt *statement;
	bool go_on = true;
	int status = SQLITE_DONE;
	enum error error = statement_begin(database,
					   "SELECT address, password_hash, disabled FROM account"
					   " WHERE address > ?1 ORDER BY address",
					   &statement);

	if (error != OK) {
		return error;
	}
	bind_text(statement, 1, after);
	while (go_on && error == OK && (status = sqlite3_step(statement)) == SQLITE_ROW) {
		struct arena arena = arena_with_max(ACCOUNT_MEMORY_MAX);
		struct account account;

		error = read_account(database, statement, &arena, &account);
		if (error == ERROR_CORRUPT) {
			account = damaged_account(statement);
			error = OK;
		}
		if (error == OK) {
			go_on = fn(context, &account);
		}
		arena_done(&arena);
	}
	(void)sqlite3_finalize(statement);
	return error == OK ? error_of(status) : error;
}
