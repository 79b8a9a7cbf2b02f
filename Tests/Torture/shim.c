// LD_PRELOAD: makes calls on files below one directory fail as a full or broken disk does, while a control file says so.
//
// TORTURE_CONTROL names a file of `struct control`, mapped by both sides; TORTURE_DIRECTORY the directory. All else goes through.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, ALLOCATE = 4, CREATE = 8, SHORT = 16 };
enum { IOV_COPIED_MAX = 1024 };

struct control {
    uint32_t operations; // which of the above fail now
    int32_t error;       // errno they fail with
    int32_t remaining;   // calls that still fail; negative: all
    uint32_t hits;       // calls that failed, for the suite to see that faults happen
};

static struct control *control;
static char directory[PATH_MAX];
static size_t directory_length;

__attribute__((constructor)) static void map_control(void) {
    const char *path = getenv("TORTURE_CONTROL"), *below = getenv("TORTURE_DIRECTORY");
    if (!path || !below || !realpath(below, directory)) return;
    directory_length = strlen(directory);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *mapped = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED) control = mapped;
}

static int is_below(const char *path) {
    return strncmp(path, directory, directory_length) == 0 && (path[directory_length] == '/' || path[directory_length] == 0);
}

static int is_ours(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return is_below(path);
}

static int is_active(uint32_t operation) {
    return control && (__atomic_load_n(&control->operations, __ATOMIC_ACQUIRE) & operation);
}

// The call is counted; 0 when it is not to fail.
static int use_up(void) {
    int32_t left = __atomic_load_n(&control->remaining, __ATOMIC_ACQUIRE);
    while (left >= 0) {
        if (left == 0) return 0;
        if (__atomic_compare_exchange_n(&control->remaining, &left, left - 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) break;
    }
    __atomic_add_fetch(&control->hits, 1, __ATOMIC_RELAXED);
    return control->error;
}

static int fault(uint32_t operation, int fd) { return is_active(operation) && is_ours(fd) ? use_up() : 0; }

#define REAL(name) ((__typeof__(&name))real(&name##_real, #name))
#define DECLARE(name) static void *name##_real
static void *real(void **slot, const char *name) {
    if (!*slot) *slot = dlsym(RTLD_NEXT, name);
    return *slot;
}

static int fail(int error) {
    errno = error;
    return -1;
}

// Writes. With SHORT each write ends in its middle; with WRITE as well the one after it fails: a disk that fills up.

static int write_fault(int fd, size_t bytes, size_t *allowed) {
    *allowed = bytes;
    if (!is_active(WRITE | SHORT) || !is_ours(fd)) return 0;
    int is_short = is_active(SHORT) && bytes > 1 && (!is_active(WRITE) || control->hits % 2 == 0);
    int error = use_up();
    if (!error) return 0;
    if (!is_short) return error;
    *allowed = bytes / 2;
    return 0;
}

static size_t total(const struct iovec *iov, int count) {
    size_t bytes = 0;
    for (int i = 0; i < count; i++) bytes += iov[i].iov_len;
    return bytes;
}

// The first `allowed` bytes of the vector; the number of its parts.
static int cut(const struct iovec *iov, int count, size_t allowed, struct iovec *out) {
    int parts = 0;
    for (; parts < count && parts < IOV_COPIED_MAX && allowed > 0; parts++) {
        out[parts] = iov[parts];
        if (out[parts].iov_len > allowed) out[parts].iov_len = allowed;
        allowed -= out[parts].iov_len;
    }
    return parts;
}

#define GUARD_WRITE(name, bytes, ...)                                     \
    size_t allowed;                                                       \
    int error = write_fault(fd, bytes, &allowed);                         \
    if (error) return fail(error);                                        \
    return REAL(name)(__VA_ARGS__)

#define GUARD_WRITEV(name, ...)                                           \
    size_t bytes = total(iov, count), allowed;                            \
    int error = write_fault(fd, bytes, &allowed);                         \
    if (error) return fail(error);                                        \
    struct iovec copy[IOV_COPIED_MAX];                                    \
    if (allowed < bytes) {                                                \
        count = cut(iov, count, allowed, copy);                           \
        iov = copy;                                                       \
    }                                                                     \
    return REAL(name)(__VA_ARGS__)

DECLARE(write); DECLARE(pwrite); DECLARE(pwrite64); DECLARE(writev); DECLARE(pwritev); DECLARE(pwritev64); DECLARE(pwritev2);
DECLARE(pwritev64v2);
ssize_t write(int fd, const void *data, size_t n) { GUARD_WRITE(write, n, fd, data, allowed); }
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) { GUARD_WRITE(pwrite, n, fd, data, allowed, at); }
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) { GUARD_WRITE(pwrite64, n, fd, data, allowed, at); }
ssize_t writev(int fd, const struct iovec *iov, int count) { GUARD_WRITEV(writev, fd, iov, count); }
ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t at) { GUARD_WRITEV(pwritev, fd, iov, count, at); }
ssize_t pwritev64(int fd, const struct iovec *iov, int count, off64_t at) { GUARD_WRITEV(pwritev64, fd, iov, count, at); }
ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t at, int flags) { GUARD_WRITEV(pwritev2, fd, iov, count, at, flags); }
ssize_t pwritev64v2(int fd, const struct iovec *iov, int count, off64_t at, int flags) {
    GUARD_WRITEV(pwritev64v2, fd, iov, count, at, flags);
}

// Syncs.

DECLARE(fsync); DECLARE(fdatasync); DECLARE(sync_file_range); DECLARE(syncfs);
#define GUARD(operation, name, ...)             \
    int error = fault(operation, fd);           \
    return error ? fail(error) : REAL(name)(__VA_ARGS__)
int fsync(int fd) { GUARD(SYNC, fsync, fd); }
int fdatasync(int fd) { GUARD(SYNC, fdatasync, fd); }
int sync_file_range(int fd, off64_t at, off64_t n, unsigned flags) { GUARD(SYNC, sync_file_range, fd, at, n, flags); }
int syncfs(int fd) { GUARD(SYNC, syncfs, fd); }

// Space. posix_fallocate returns its error.

DECLARE(fallocate); DECLARE(fallocate64); DECLARE(posix_fallocate); DECLARE(posix_fallocate64); DECLARE(ftruncate); DECLARE(ftruncate64);
int fallocate(int fd, int mode, off_t at, off_t n) { GUARD(ALLOCATE, fallocate, fd, mode, at, n); }
int fallocate64(int fd, int mode, off64_t at, off64_t n) { GUARD(ALLOCATE, fallocate64, fd, mode, at, n); }
int ftruncate(int fd, off_t n) { GUARD(ALLOCATE, ftruncate, fd, n); }
int ftruncate64(int fd, off64_t n) { GUARD(ALLOCATE, ftruncate64, fd, n); }
int posix_fallocate(int fd, off_t at, off_t n) {
    int error = fault(ALLOCATE, fd);
    return error ? error : REAL(posix_fallocate)(fd, at, n);
}
int posix_fallocate64(int fd, off64_t at, off64_t n) {
    int error = fault(ALLOCATE, fd);
    return error ? error : REAL(posix_fallocate64)(fd, at, n);
}

// New files.

DECLARE(open); DECLARE(open64); DECLARE(openat); DECLARE(openat64);
static int open_fault(int at, const char *path, int flags) {
    if (!(flags & O_CREAT) || !is_active(CREATE)) return 0;
    char resolved[PATH_MAX];
    if (path[0] == '/' || at == AT_FDCWD) {
        char parent[PATH_MAX];
        snprintf(parent, sizeof parent, "%s", path);
        char *slash = strrchr(parent, '/');
        if (slash) *slash = 0; else strcpy(parent, ".");
        return realpath(parent, resolved) && is_below(resolved) ? use_up() : 0;
    }
    return is_ours(at) ? use_up() : 0;
}

#define GUARD_OPEN(name, at, ...)                         \
    mode_t mode = 0;                                      \
    if (flags & (O_CREAT | __O_TMPFILE)) {                \
        va_list rest;                                     \
        va_start(rest, flags);                            \
        mode = va_arg(rest, mode_t);                      \
        va_end(rest);                                     \
    }                                                     \
    int error = open_fault(at, path, flags);              \
    return error ? fail(error) : REAL(name)(__VA_ARGS__, flags, mode)
int open(const char *path, int flags, ...) { GUARD_OPEN(open, AT_FDCWD, path); }
int open64(const char *path, int flags, ...) { GUARD_OPEN(open64, AT_FDCWD, path); }
int openat(int fd, const char *path, int flags, ...) { GUARD_OPEN(openat, fd, fd, path); }
int openat64(int fd, const char *path, int flags, ...) { GUARD_OPEN(openat64, fd, fd, path); }
