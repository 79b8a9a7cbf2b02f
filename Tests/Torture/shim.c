// LD_PRELOAD: makes calls on files below one directory fail as a full or broken disk does, while a control file says so.
//
// TORTURE_CONTROL names a file of `struct control`, mapped by both sides; TORTURE_DIRECTORY the directory. All else goes through.
//
// TORTURE_SHADOW names a directory that is kept as the disk would be after a power cut: a file's bytes get there when a sync of the file
// has succeeded, its name (as NAME, before that as NAME.new) when a sync of the directory has. Bytes whose sync has failed never do: the
// kernel takes them for written.
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
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
static const char *shadow;
static char directory[PATH_MAX];
static size_t directory_length;

__attribute__((constructor)) static void map_control(void) {
    const char *path = getenv("TORTURE_CONTROL"), *below = getenv("TORTURE_DIRECTORY");
    if (!path || !below || !realpath(below, directory)) return;
    shadow = getenv("TORTURE_SHADOW");
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

static int path_of(int fd, char path[PATH_MAX]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return is_below(path);
}

static int is_ours(int fd) {
    char path[PATH_MAX];
    return path_of(fd, path);
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

DECLARE(write);
DECLARE(pwrite);
DECLARE(pwrite64);
DECLARE(writev);
DECLARE(pwritev);
DECLARE(pwritev64);
DECLARE(pwritev2);
DECLARE(pwritev64v2);
DECLARE(fsync);
DECLARE(fdatasync);
DECLARE(sync_file_range);
DECLARE(syncfs);
DECLARE(fallocate);
DECLARE(fallocate64);
DECLARE(posix_fallocate);
DECLARE(posix_fallocate64);
DECLARE(ftruncate);
DECLARE(ftruncate64);
DECLARE(open);
DECLARE(open64);
DECLARE(openat);
DECLARE(openat64);

static int fail(int error) {
    errno = error;
    return -1;
}

// The shadow.

enum { FILES_MAX = 64, COPIED_BYTES = 1 << 16 };
static pthread_mutex_t shadow_lock = PTHREAD_MUTEX_INITIALIZER;
// Bytes written since the last sync, per file.
static struct { dev_t device; ino_t inode; off64_t begin, end; } dirty[FILES_MAX];

// The file's entry, or a free one.
static int entry(int fd, struct stat *status) {
    int free = -1;
    if (fstat(fd, status) != 0) return -1;
    for (int i = 0; i < FILES_MAX; i++) {
        if (dirty[i].end > 0 && dirty[i].device == status->st_dev && dirty[i].inode == status->st_ino) return i;
        if (dirty[i].end == 0) free = i;
    }
    if (free < 0) abort();
    return free;
}

static void wrote(int fd, off64_t begin, ssize_t count) {
    if (!shadow || count <= 0 || !is_ours(fd)) return;
    pthread_mutex_lock(&shadow_lock);
    struct stat status;
    int i = entry(fd, &status);
    if (i >= 0) {
        int is_new = dirty[i].end == 0;
        dirty[i].device = status.st_dev;
        dirty[i].inode = status.st_ino;
        if (is_new || begin < dirty[i].begin) dirty[i].begin = begin;
        if (is_new || begin + count > dirty[i].end) dirty[i].end = begin + count;
    }
    pthread_mutex_unlock(&shadow_lock);
}

static void copy_dirty(int fd, int i, const char *name, off64_t size) {
    char path[PATH_MAX], fresh[PATH_MAX], bytes[COPIED_BYTES];
    snprintf(path, sizeof path, "%s/%s", shadow, name);
    snprintf(fresh, sizeof fresh, "%s/%s.new", shadow, name);
    int target = REAL(open)(access(path, F_OK) == 0 ? path : fresh, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (target < 0 || REAL(ftruncate)(target, size) != 0) abort();
    for (off64_t at = dirty[i].begin; at < dirty[i].end;) {
        size_t left = dirty[i].end - at;
        ssize_t count = pread(fd, bytes, left < sizeof bytes ? left : sizeof bytes, at);
        if (count <= 0) break;
        if (REAL(pwrite)(target, bytes, count, at) != count) abort();
        at += count;
    }
    close(target);
}

// A directory's names are now as they are on disk.
static void sync_names(void) {
    DIR *names = opendir(shadow);
    for (struct dirent *name; names && (name = readdir(names));) {
        char path[PATH_MAX], other[PATH_MAX], stem[sizeof name->d_name];
        if (name->d_name[0] == '.') continue;
        strcpy(stem, name->d_name);
        char *suffix = strstr(stem, ".new");
        if (suffix) *suffix = 0;
        snprintf(path, sizeof path, "%s/%s", shadow, name->d_name);
        snprintf(other, sizeof other, "%s/%s", directory, stem);
        if (access(other, F_OK) != 0) {
            unlink(path);
        } else if (suffix) {
            snprintf(other, sizeof other, "%s/%s", shadow, stem);
            rename(path, other);
        }
    }
    if (names) closedir(names);
}

static int synced(int fd, int result) {
    char path[PATH_MAX];
    int error = errno;
    if (!shadow || !path_of(fd, path)) return result;
    pthread_mutex_lock(&shadow_lock);
    struct stat status;
    int i = entry(fd, &status);
    if (result == 0 && S_ISDIR(status.st_mode)) sync_names();
    if (i >= 0 && S_ISREG(status.st_mode)) {
        if (result == 0) copy_dirty(fd, i, strrchr(path, '/') + 1, status.st_size);
        dirty[i].begin = dirty[i].end = 0;
    }
    pthread_mutex_unlock(&shadow_lock);
    errno = error;
    return result;
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

#define GUARD_WRITE(name, bytes, at, ...)                                 \
    size_t allowed;                                                       \
    int error = write_fault(fd, bytes, &allowed);                         \
    if (error) return fail(error);                                        \
    off64_t place = at;                                                   \
    ssize_t result = REAL(name)(__VA_ARGS__);                             \
    wrote(fd, place, result);                                             \
    return result

#define GUARD_WRITEV(name, at, ...)                                       \
    size_t bytes = total(iov, count), allowed;                            \
    int error = write_fault(fd, bytes, &allowed);                         \
    if (error) return fail(error);                                        \
    struct iovec copy[IOV_COPIED_MAX];                                    \
    if (allowed < bytes) {                                                \
        count = cut(iov, count, allowed, copy);                           \
        iov = copy;                                                       \
    }                                                                     \
    off64_t place = at;                                                   \
    ssize_t result = REAL(name)(__VA_ARGS__);                             \
    wrote(fd, place, result);                                             \
    return result

// Where a write without a place goes.
static off64_t position(int fd) { return shadow ? lseek64(fd, 0, SEEK_CUR) : 0; }

ssize_t write(int fd, const void *data, size_t n) { GUARD_WRITE(write, n, position(fd), fd, data, allowed); }
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) { GUARD_WRITE(pwrite, n, at, fd, data, allowed, at); }
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) { GUARD_WRITE(pwrite64, n, at, fd, data, allowed, at); }
ssize_t writev(int fd, const struct iovec *iov, int count) { GUARD_WRITEV(writev, position(fd), fd, iov, count); }
ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t at) { GUARD_WRITEV(pwritev, at, fd, iov, count, at); }
ssize_t pwritev64(int fd, const struct iovec *iov, int count, off64_t at) { GUARD_WRITEV(pwritev64, at, fd, iov, count, at); }
ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t at, int flags) {
    GUARD_WRITEV(pwritev2, at, fd, iov, count, at, flags);
}
ssize_t pwritev64v2(int fd, const struct iovec *iov, int count, off64_t at, int flags) {
    GUARD_WRITEV(pwritev64v2, at, fd, iov, count, at, flags);
}

// Syncs.

#define GUARD(operation, name, ...)             \
    int error = fault(operation, fd);           \
    return error ? fail(error) : REAL(name)(__VA_ARGS__)
#define GUARD_SYNC(name)                                                  \
    int error = fault(SYNC, fd);                                          \
    return synced(fd, error ? fail(error) : REAL(name)(fd))
int fsync(int fd) { GUARD_SYNC(fsync); }
int fdatasync(int fd) { GUARD_SYNC(fdatasync); }
int sync_file_range(int fd, off64_t at, off64_t n, unsigned flags) { GUARD(SYNC, sync_file_range, fd, at, n, flags); }
int syncfs(int fd) { GUARD(SYNC, syncfs, fd); }

// Space. posix_fallocate returns its error.

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
