// Users and folders: who may reach what, before anything is started.
#include "os/file.h"
#include "supervisor/material.h"

enum {
	MODE_DATA = 0711,  // everybody may pass to the control socket, nobody may look around
	MODE_SPOOL = 0711, // receive and deliver pass to their parts of it
	MODE_MAIL = 0750,
	MODE_SECRET = 0700,
	PATH_DEPTH_MAX = 32,
};

enum error material_find_users(struct material_users *ret_users, struct buffer *problem)
{
	struct material_users users = { .root = os_process_is_root() };
	struct {
		const char *name;
		struct os_user *user;
	} wanted[] = {
		{ "packetboat", &users.shared },    { "packetboat-net", &users.net },
		{ "packetboat-out", &users.out },   { "packetboat-dns", &users.dns },
		{ "packetboat-keep", &users.keep },
	};
	enum error error = OK;

	for (size_t i = 0; users.root && i < sizeof wanted / sizeof *wanted; i++) {
		enum error missing = os_user_find(wanted[i].name, wanted[i].user);

		if (missing != OK) {
			buffer_printf(problem,
				      "the system user %s is missing; make it with: useradd "
				      "--system --user-group --no-create-home --home-dir "
				      "/nonexistent --shell /usr/sbin/nologin %s\n",
				      wanted[i].name, wanted[i].name);
			error = missing;
		}
	}
	if (error == OK) {
		*ret_users = users;
	}
	return error;
}

// Opens the folder, making it and the folders above it where they are absent.
static enum error open_or_make(struct view path, uint32_t mode, unsigned depth, int *ret_dir)
{
	struct buffer text = buffer_with_max(4096);
	size_t slash = view_find_last(path, '/');
	struct view name = view_from(path, slash + 1);
	enum error error;
	int parent;

	buffer_add(&text, path);
	error = buffer_error(&text) == OK ? os_dir_open(buffer_text(&text), ret_dir)
					  : buffer_error(&text);
	if (error != ERROR_NOT_FOUND || depth == 0 || slash == path.len || name.len == 0) {
		buffer_done(&text);
		return error;
	}
	error = open_or_make(slash ? view_first(path, slash) : VIEW("/"), 0755, depth - 1, &parent);
	if (error == OK) {
		buffer_clear(&text);
		buffer_add(&text, name);
		error = os_dir_make_at(parent, buffer_text(&text), mode);
		if (error == OK || error == ERROR_EXISTS) {
			error = os_dir_sync(parent);
		}
		if (error == OK) {
			error = os_dir_open_at(parent, buffer_text(&text), ret_dir);
		}
		os_dir_close(parent);
	}
	buffer_done(&text);
	return error;
}

static enum error prepare(struct view path, uint32_t mode, const struct material_users *users,
			  struct os_user owner, int *ret_dir, struct buffer *problem)
{
	enum error error;
	int dir = -1;

	while (path.len > 1 && path.data[path.len - 1] == '/') {
		path.len--;
	}
	error = open_or_make(path, mode, PATH_DEPTH_MAX, &dir);
	if (error == OK && users->root) {
		error = os_file_owner(dir, owner.uid, owner.gid);
	}
	if (error == OK) {
		error = os_file_mode(dir, mode);
	}
	if (error != OK) {
		os_dir_close(dir);
		buffer_printf(problem, "cannot prepare the folder %.*s: %s", VIEW_ARG(path),
			      error_text(error));
		return error;
	}
	*ret_dir = dir;
	return OK;
}

static enum error prepare_below(struct view data_dir, const char *name, uint32_t mode,
				const struct material_users *users, struct os_user owner,
				int *ret_dir, struct buffer *problem)
{
	struct buffer path = buffer_with_max(4096);
	enum error error;

	buffer_printf(&path, "%.*s/%s", VIEW_ARG(data_dir), name);
	error = buffer_error(&path);
	if (error == OK) {
		error = prepare(buffer_view(&path), mode, users, owner, ret_dir, problem);
	}
	buffer_done(&path);
	return error;
}

// Neither receive nor deliver makes or renames anything in the folder of both.
static enum error prepare_spool(struct view spool_dir, const struct material_users *users,
				int ret_parts[SPOOL_PARTS], struct buffer *problem)
{
	struct os_user owners[SPOOL_PARTS] = {
		[SPOOL_RECEIVE] = { .uid = users->net.uid, .gid = users->shared.gid },
		[SPOOL_DELIVER] = { .uid = users->out.uid, .gid = users->shared.gid },
	};
	int dir;
	enum error error =
		prepare(spool_dir, MODE_SPOOL, users, (struct os_user){ 0, 0 }, &dir, problem);

	if (error != OK) {
		return error;
	}
	error = spool_layout_make(dir, users->root ? owners : NULL, ret_parts);
	os_dir_close(dir);
	if (error == ERROR_UNSUPPORTED) {
		buffer_printf(problem,
			      "the spool %.*s is of an earlier version of Packetboat, which this "
			      "one cannot read: let that version deliver what waits in it, then "
			      "move its folders log, body and trace away",
			      VIEW_ARG(spool_dir));
	} else if (error != OK) {
		buffer_printf(problem, "cannot prepare the spool %.*s: %s", VIEW_ARG(spool_dir),
			      error_text(error));
	}
	return error;
}

void material_close_dirs(struct material_dirs *dirs)
{
	os_dir_close(dirs->data);
	os_dir_close(dirs->mail);
	os_dir_close(dirs->state);
	os_dir_close(dirs->tls);
	spool_layout_close(dirs->spool);
}

enum error material_open_dirs(const struct config *config, const struct material_users *users,
			      struct material_dirs *ret_dirs, struct buffer *problem)
{
	struct material_dirs dirs = { -1, -1, -1, -1, { -1, -1 } };
	struct os_user root = { 0, 0 };
	int run = -1;
	enum error error = prepare(config->data_dir, MODE_DATA, users, root, &dirs.data, problem);

	if (error == OK) {
		error = prepare_spool(config->spool_dir, users, dirs.spool, problem);
	}
	if (error == OK) {
		error = prepare(config->mail_dir, MODE_MAIL, users, users->out, &dirs.mail,
				problem);
	}
	if (error == OK) {
		error = prepare_below(config->data_dir, "keeper", MODE_SECRET, users, users->keep,
				      &dirs.state, problem);
	}
	if (error == OK) {
		error = prepare_below(config->data_dir, "tls", MODE_SECRET, users, root, &dirs.tls,
				      problem);
	}
	if (error == OK) {
		error = prepare_below(config->data_dir, "run", MODE_DATA, users, root, &run,
				      problem);
	}
	os_dir_close(run);
	if (error != OK) {
		material_close_dirs(&dirs);
		return error;
	}
	*ret_dirs = dirs;
	return OK;
}
