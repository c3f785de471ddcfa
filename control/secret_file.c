#include "control/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int explain(const char *path, int err, char fault[SECRET_FAULT_MAX])
{
	snprintf(fault, SECRET_FAULT_MAX, "%s: %s", path, strerror(-err));
	return err;
}

static int judge(const char *path, const struct stat *st, char fault[SECRET_FAULT_MAX])
{
	if (!S_ISREG(st->st_mode)) {
		snprintf(fault, SECRET_FAULT_MAX, "%s: expected a regular file", path);
		return -EINVAL;
	}
	if (st->st_size > SECRET_FILE_MAX_BYTES)
		return explain(path, -EFBIG, fault);
	return 0;
}

// The file may grow or shrink meanwhile: what is read counts.
static int read_text(int fd, struct secret_file *out)
{
	ssize_t n;

	out->text = malloc(SECRET_FILE_MAX_BYTES + 2);
	if (!out->text)
		return -ENOMEM;
	do {
		n = read(fd, out->text + out->bytes, SECRET_FILE_MAX_BYTES + 1 - out->bytes);
		if (n < 0 && errno != EINTR)
			return -errno;
		out->bytes += n > 0 ? (size_t)n : 0;
	} while (n != 0 && out->bytes <= SECRET_FILE_MAX_BYTES);
	out->text[out->bytes] = '\0';
	return out->bytes > SECRET_FILE_MAX_BYTES ? -EFBIG : 0;
}

int secret_file_read(const char *path, struct secret_file *out, char fault[SECRET_FAULT_MAX])
{
	// A FIFO in its place must not hold us up.
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int err;

	memset(out, 0, sizeof(*out));
	if (fd < 0)
		return explain(path, -errno, fault);
	err = fstat(fd, &st) ? explain(path, -errno, fault) : judge(path, &st, fault);
	if (!err) {
		out->exposed = st.st_mode & S_IRWXO;
		err = read_text(fd, out);
		if (err) {
			secret_file_free(out);
			explain(path, err, fault);
		}
	}
	close(fd);
	return err;
}

int secret_file_read_private(
	const char *path, struct secret_file *out, char fault[SECRET_FAULT_MAX])
{
	int err = secret_file_read(path, out, fault);

	if (err || !out->exposed)
		return err;
	secret_file_free(out);
	snprintf(fault, SECRET_FAULT_MAX, "%s: every user may read or write it; chmod o= it", path);
	return -EACCES;
}

void secret_file_free(struct secret_file *file)
{
	if (file->text)
		explicit_bzero(file->text, file->bytes);
	free(file->text);
	memset(file, 0, sizeof(*file));
}
