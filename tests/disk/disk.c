/* A disk that remembers, and that can be full: loaded before libc with LD_PRELOAD.
 *
 * DISK_WATCH  files whose path begins with this are watched (the directory itself as well)
 * DISK_LOG    what happens to them is appended to this file, in the order in which it happens
 * DISK_FULL   while a file of this name exists, nothing more can be written to watched files
 *
 * A record of the log is a line "operation descriptor number size", and as many bytes as "size"
 * says: the path of open, unlink and rename (both names with a NUL between), the data of write.
 * "number" is the offset of write, the length of truncate, and for open 1 where it made the file.
 *
 * It does not see memory that is mapped, and no files that were open before it was loaded.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define DESCRIPTORS 4096

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER; /* the call and its record are one */
static char watched[DESCRIPTORS];
static int log_fd = -1;

static int is_watched(int fd) {
    return fd >= 0 && fd < DESCRIPTORS && watched[fd];
}

static int matches(const char *path) {
    const char *watch = getenv("DISK_WATCH");
    return watch && path && strncmp(path, watch, strlen(watch)) == 0 && !strstr(path, "-shm");
}

static int full(void) {
    const char *name = getenv("DISK_FULL");
    return name && syscall(SYS_access, name, F_OK) == 0;
}

static void note(const char *operation, int fd, long long number, const void *data, size_t size) {
    const char *name = getenv("DISK_LOG");
    char head[96];
    struct iovec parts[2];

    if (!name)
        return;
    if (log_fd < 0)
        log_fd = (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND, 0600);
    parts[0].iov_base = head;
    parts[0].iov_len =
        (size_t)snprintf(head, sizeof head, "%s %d %lld %zu\n", operation, fd, number, size);
    parts[1].iov_base = (void *)data;
    parts[1].iov_len = size;
    if (syscall(SYS_writev, log_fd, parts, 2) != (long)(parts[0].iov_len + size))
        abort(); /* a record with a hole proves nothing */
}

static int open_watched(const char *path, int flags, mode_t mode) {
    int fd, made;

    if (!matches(path))
        return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    pthread_mutex_lock(&turn);
    made = (flags & O_CREAT) && syscall(SYS_access, path, F_OK) != 0;
    fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (fd >= 0 && fd < DESCRIPTORS) {
        watched[fd] = 1;
        note("open", fd, made, path, strlen(path));
    }
    pthread_mutex_unlock(&turn);
    return fd;
}

#define MODE_OF(flags, mode)                     \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {     \
        va_list rest;                            \
        va_start(rest, flags);                   \
        mode = (mode_t)va_arg(rest, unsigned);   \
        va_end(rest);                            \
    }

int open(const char *path, int flags, ...) {
    mode_t mode = 0;
    MODE_OF(flags, mode)
    return open_watched(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    mode_t mode = 0;
    MODE_OF(flags, mode)
    return open_watched(path, flags | O_LARGEFILE, mode);
}

int close(int fd) {
    int result, mine = is_watched(fd);

    if (!mine)
        return (int)syscall(SYS_close, fd);
    pthread_mutex_lock(&turn);
    watched[fd] = 0;
    result = (int)syscall(SYS_close, fd);
    note("close", fd, 0, "", 0);
    pthread_mutex_unlock(&turn);
    return result;
}

static ssize_t write_watched(int fd, const void *data, size_t size, off64_t offset) {
    ssize_t done;

    pthread_mutex_lock(&turn);
    if (full()) {
        pthread_mutex_unlock(&turn);
        errno = ENOSPC;
        return -1;
    }
    done = syscall(SYS_pwrite64, fd, data, size, offset);
    if (done > 0)
        note("write", fd, offset, data, (size_t)done);
    pthread_mutex_unlock(&turn);
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    if (is_watched(fd))
        return write_watched(fd, data, size, offset);
    return syscall(SYS_pwrite64, fd, data, size, offset);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    return pwrite64(fd, data, size, offset);
}

ssize_t write(int fd, const void *data, size_t size) {
    off64_t offset;
    ssize_t done;

    if (!is_watched(fd))
        return syscall(SYS_write, fd, data, size);
    offset = lseek64(fd, 0, SEEK_CUR);
    done = write_watched(fd, data, size, offset);
    if (done > 0)
        lseek64(fd, offset + done, SEEK_SET);
    return done;
}

int ftruncate64(int fd, off64_t size) {
    int result;

    if (!is_watched(fd))
        return (int)syscall(SYS_ftruncate, fd, size);
    pthread_mutex_lock(&turn);
    result = (int)syscall(SYS_ftruncate, fd, size);
    if (result == 0)
        note("truncate", fd, size, "", 0);
    pthread_mutex_unlock(&turn);
    return result;
}

int ftruncate(int fd, off_t size) {
    return ftruncate64(fd, size);
}

static int sync_watched(int fd, long number) {
    int result;

    if (!is_watched(fd))
        return (int)syscall(number, fd);
    pthread_mutex_lock(&turn);
    /* The disk of the test is the record: there is no need to wait for the real one. */
    result = 0;
    note("sync", fd, 0, "", 0);
    pthread_mutex_unlock(&turn);
    return result;
}

int fsync(int fd) {
    return sync_watched(fd, SYS_fsync);
}

int fdatasync(int fd) {
    return sync_watched(fd, SYS_fdatasync);
}

int unlink(const char *path) {
    int result;

    if (!matches(path))
        return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    pthread_mutex_lock(&turn);
    result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (result == 0)
        note("unlink", -1, 0, path, strlen(path));
    pthread_mutex_unlock(&turn);
    return result;
}

int rename(const char *before, const char *after) {
    char both[8192];
    int result, size;

    if (!matches(before) && !matches(after))
        return (int)syscall(SYS_renameat, AT_FDCWD, before, AT_FDCWD, after);
    pthread_mutex_lock(&turn);
    result = (int)syscall(SYS_renameat, AT_FDCWD, before, AT_FDCWD, after);
    size = snprintf(both, sizeof both, "%s%c%s", before, 0, after);
    if (result == 0)
        note("rename", -1, 0, both, (size_t)size);
    pthread_mutex_unlock(&turn);
    return result;
}
